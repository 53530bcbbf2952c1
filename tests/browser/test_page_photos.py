"""Step 2: how photos come in, what is found in them, and whose face is meant."""

from __future__ import annotations

import io

import pytest

pytest.importorskip("playwright.sync_api")

from PIL import Image
from playwright.sync_api import expect
from sample_photos import encoded, sample_files

from flaskapp.web.pages import SAMPLES

ONE_FACE = "One face found."


def as_file(data: bytes, name: str = "photo.jpg", mime: str = "image/jpeg") -> dict[str, object]:
    return {"name": name, "mimeType": mime, "buffer": data}


def test_a_chosen_file_is_shown_with_its_face(page, hopper_file):
    page.choose("reference", hopper_file)
    expect(page.find("#reference-note")).to_have_text(ONE_FACE)
    expect(page.find("#reference-slot .outline-group.chosen")).to_have_count(1)
    expect(page.find("#reference-slot .landmark")).to_have_count(5)
    expect(page.find("#status")).to_contain_text(f"Reference photo: {ONE_FACE}")
    drawn = "(canvas) => [canvas.width, canvas.height]"
    assert page.find("#reference-slot [data-picture]").evaluate(drawn) == [512, 600]


@pytest.mark.parametrize(
    ("file", "words", "helps"),
    [
        ("hopper", "Good photo", ""),
        ("fair", "Fair photo: a little blurred", "A sharper photo may help."),
        ("poor", "Poor photo: too dark, blurred, covered", "More light on the face may help."),
    ],
)
def test_how_good_a_photo_is_stands_beside_it_and_is_read_out(page, file, words, helps):
    expect(page.find("#probe-slot [data-quality]")).to_be_hidden()
    page.choose("probe", sample_files()[file])
    expect(page.find("#probe-slot [data-quality-words]")).to_have_text(words)
    expect(page.find("#probe-slot [data-quality-help]")).to_have_text(helps)
    expect(page.find("#probe-slot [data-quality] .icon:visible")).to_have_count(1)
    expect(page.find("#status")).to_contain_text(f"Probe photo: {ONE_FACE} {words}. {helps}".strip())
    page.page.get_by_role("button", name="Remove the probe photo").click()
    expect(page.find("#probe-slot [data-quality]")).to_be_hidden()


def test_of_several_faces_the_quality_is_that_of_the_chosen_one(page):
    group = Image.new("RGB", (900, 500), (200, 205, 210))
    for place, name in enumerate(("fair", "hopper")):
        file = sample_files()[name]
        portrait = Image.open(io.BytesIO(file["buffer"]) if isinstance(file, dict) else file)
        group.paste(portrait.resize((440, 500)), (5 + 450 * place, 0))
    page.choose("probe", as_file(encoded(group, "PNG")))
    expect(page.find("#probe-slot [data-quality]")).to_be_hidden()
    page.page.get_by_role("button", name="Face 1 of 2").click()
    expect(page.find("#probe-slot [data-quality-words]")).to_contain_text("Fair photo")
    page.page.get_by_role("button", name="Face 2 of 2").click()
    expect(page.find("#probe-slot [data-quality-words]")).to_have_text("Good photo")
    expect(page.find("#status")).to_contain_text("face 2 from the left is compared. Good photo.")


def test_the_buttons_stay_where_they_are_once_the_quality_is_known(page, hopper_file):
    page.page.evaluate("""() => {
      const real = window.fetch;
      window.fetch = async (...all) => {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        return real(...all);
      };
    }""")
    page.find("#reference-file").set_input_files(hopper_file)
    expect(page.find("#reference-slot [data-stage]")).to_be_visible()
    place = "(button) => button.getBoundingClientRect().top + scrollY"  # in the page, however far it is scrolled
    before = page.find("#compare").evaluate(place)
    page.settled("reference")
    expect(page.find("#reference-slot [data-quality]")).to_be_visible()
    assert page.find("#compare").evaluate(place) == before


def test_outlines_lie_on_the_face(page, hopper_file, session_verifier):
    page.choose("reference", hopper_file)
    left, top, right, bottom = session_verifier.read(hopper_file.read_bytes()).face.box_xyxy
    stage, box = page.boxes("#reference-slot [data-stage]", "#reference-slot .outline")
    scale = stage["width"] / 512
    assert stage["height"] / 600 == pytest.approx(scale, rel=0.01)
    assert box["x"] - stage["x"] == pytest.approx(left * scale, abs=4)
    assert box["y"] - stage["y"] == pytest.approx(top * scale, abs=4)
    assert box["width"] == pytest.approx((right - left) * scale, abs=6)
    assert box["height"] == pytest.approx((bottom - top) * scale, abs=6)


def test_a_photo_that_lies_on_its_side_says_so_and_has_its_box_where_the_face_is(page, hopper):
    turned = io.BytesIO()
    with Image.open(io.BytesIO(hopper)) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG")
    page.hand_over("#reference-slot [data-drop]", "drop", [("hopper.png", "image/png", turned.getvalue())])
    page.settled("reference")
    expect(page.find("#reference-note")).to_contain_text("lies on its side")
    stage, box = page.boxes("#reference-slot [data-stage]", "#reference-slot .outline")
    scale = stage["width"] / 600
    assert stage["height"] / 512 == pytest.approx(scale, rel=0.01)
    # The middle of the face: 265, 230 in the portrait, which lies on its left side here.
    assert (box["x"] + box["width"] / 2 - stage["x"]) / scale == pytest.approx(230, abs=15)
    assert (box["y"] + box["height"] / 2 - stage["y"]) / scale == pytest.approx(512 - 265, abs=15)


def test_a_photo_can_be_dropped(page, hopper):
    page.hand_over("#probe-slot [data-drop]", "drop", [("hopper.jpg", "image/jpeg", hopper)])
    page.settled("probe")
    expect(page.find("#probe-note")).to_have_text(ONE_FACE)
    # The plain form holds it too.
    assert page.find("#probe-file").evaluate("(input) => input.files.length") == 1


def test_a_file_dropped_beside_the_slots_does_not_replace_the_page(page, hopper):
    page.hand_over("h1", "drop", [("hopper.jpg", "image/jpeg", hopper)])
    expect(page.find("#photos")).to_be_visible()
    expect(page.find("#reference-slot")).to_have_attribute("data-state", "empty")


def test_a_photo_can_be_pasted_into_the_first_empty_slot_then_the_next(page, hopper, collins):
    page.hand_over("body", "paste", [("image.png", "image/png", hopper)])
    page.settled("reference")
    page.hand_over("body", "paste", [("image.png", "image/png", collins)])
    page.settled("probe")
    expect(page.find("#probe-note")).to_have_text(ONE_FACE)


def test_in_live_mode_a_photo_is_pasted_where_it_can_be_seen(page, hopper, group_photo):
    page.choose("reference", as_file(hopper)).set_mode("Live webcam")
    page.hand_over("body", "paste", [("image.png", "image/png", group_photo)])
    expect(page.find("#reference-note")).to_contain_text("2 faces found.")
    expect(page.find("#probe-slot")).to_have_attribute("data-state", "empty")


def test_a_photo_is_pasted_where_the_focus_is(page, hopper):
    page.find("#probe-file").focus()
    page.hand_over("#probe-file", "paste", [("image.png", "image/png", hopper)])
    page.settled("probe")
    expect(page.find("#reference-slot")).to_have_attribute("data-state", "empty")


def test_the_paste_button_reads_the_clipboard(page, server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.address)
    page.page.evaluate("""async () => {
      const picture = await createImageBitmap(await (await fetch("/static/samples/whitson_portrait.jpg")).blob());
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      canvas.getContext("2d").drawImage(picture, 0, 0);
      await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })]);
    }""")
    page.page.get_by_role("button", name="Paste the probe photo").click()
    page.settled("probe")
    expect(page.find("#probe-note")).to_have_text(ONE_FACE)


@pytest.mark.parametrize("pair", SAMPLES)
def test_sample_photos_fill_both_slots_by_keyboard(page, pair):
    page.page.get_by_role("button", name=f"Try with sample photos of {pair}", exact=True).press("Enter")
    page.settled("reference").settled("probe")
    for slot, name in zip(("reference", "probe"), SAMPLES[pair], strict=True):
        expect(page.find(f"#{slot}-note")).to_have_text(ONE_FACE)
        assert page.find(f"#{slot}-file").evaluate("(input) => input.files[0].name") == name


def test_a_photo_can_be_removed(page, hopper_file):
    page.choose("reference", hopper_file)
    page.page.get_by_role("button", name="Remove the reference photo").click()
    expect(page.find("#reference-slot")).to_have_attribute("data-state", "empty")
    expect(page.find("#reference-file")).to_be_focused()
    assert page.find("#reference-file").evaluate("(input) => input.files.length") == 0


def test_the_webcam_takes_a_photo_and_goes_off(visit):
    window = visit().watch_camera().agree()
    window.page.get_by_role("button", name="Webcam for the reference photo").click()
    window.page.get_by_role("button", name="Take photo").click()
    window.expect_camera_off()
    window.page.get_by_role("button", name="Retake").click()
    expect(window.page.get_by_role("button", name="Take photo")).to_be_enabled()
    assert window.live_tracks() == 1
    window.page.get_by_role("button", name="Take photo").click()
    window.page.get_by_role("button", name="Use this photo").click()
    window.settled("reference")
    expect(window.find("#reference-note")).to_have_text(ONE_FACE)
    window.expect_camera_off()


@pytest.mark.parametrize("how", ["button", "escape"])
def test_closing_the_camera_switches_it_off(visit, how):
    window = visit().watch_camera().agree()
    window.page.get_by_role("button", name="Webcam for the probe photo").click()
    expect(window.page.get_by_role("button", name="Take photo")).to_be_enabled()
    assert window.live_tracks() == 1
    if how == "button":
        window.page.get_by_role("button", name="Close the camera").click()
    else:
        window.page.keyboard.press("Escape")
    expect(window.find("#camera")).to_be_hidden()
    window.expect_camera_off()
    expect(window.find("#probe-slot")).to_have_attribute("data-state", "empty")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("NotAllowedError", "camera_denied"),
        ("SecurityError", "camera_denied"),
        ("NotFoundError", "camera_absent"),
        ("OverconstrainedError", "camera_absent"),
        ("NotReadableError", "camera_busy"),
        ("AbortError", "camera_busy"),
        ("UnknownError", "camera_failed"),
    ],
)
def test_a_camera_that_cannot_be_had_says_why(visit, error, code):
    window = visit().break_camera(error).agree()
    window.page.get_by_role("button", name="Webcam for the reference photo").click()
    window.expect_error("camera", code)
    expect(window.page.get_by_role("button", name="Try again")).to_be_focused()


def test_a_camera_that_is_unplugged_says_so(visit):
    window = visit().watch_camera().agree()
    window.page.get_by_role("button", name="Webcam for the reference photo").click()
    expect(window.page.get_by_role("button", name="Take photo")).to_be_enabled()
    window.page.evaluate("window.tracks[0].dispatchEvent(new Event('ended'))")
    window.expect_error("camera", "camera_lost")
    window.expect_camera_off()


def test_on_an_insecure_address_the_camera_says_what_is_missing(visit, server):
    window = visit(f"http://faces.test:{server.port}").agree()
    assert window.page.evaluate("isSecureContext") is False
    window.page.get_by_role("button", name="Webcam for the reference photo").click()
    window.expect_error("camera", "camera_insecure")


def test_in_a_group_photo_the_person_clicks_the_face_they_mean(page, verifier, group_photo, hopper_file):
    page.choose("probe", as_file(group_photo)).choose("reference", hopper_file)
    expect(page.find("#probe-note")).to_have_text("2 faces found. Choose the one you mean.")
    page.compare()
    page.expect_error("probe", "several_faces", "2 faces")
    expect(page.page.get_by_role("button", name="Face 1 of 2")).to_be_focused()
    assert verifier.calls == []
    page.page.get_by_role("button", name="Face 2 of 2").click()
    expect(page.find("#probe-error")).to_be_hidden()
    expect(page.page.get_by_role("button", name="Face 2 of 2")).to_have_attribute("aria-pressed", "true")
    expect(page.find("#probe-note")).to_have_text("2 faces found; face 2 from the left is compared.")
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls == [(None, 2)]


def test_a_photo_that_the_browser_cannot_show_is_compared_all_the_same(page, heic_portrait, hopper_file):
    page.choose("reference", as_file(heic_portrait, "portrait.heic", "image/heic")).choose("probe", hopper_file)
    expect(page.find("#reference-slot [data-unseen]")).to_contain_text("Your browser cannot show this photo")
    expect(page.find("#reference-note")).to_have_text(ONE_FACE)
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    expect(page.find("#reference-aligned")).to_be_visible()
    expect(page.find("#probe-aligned")).to_be_visible()


def test_faces_of_a_photo_that_cannot_be_shown_can_be_chosen(page, verifier, heic_group, hopper_file):
    page.choose("reference", as_file(heic_group, "group.heic", "image/heic")).choose("probe", hopper_file)
    page.page.get_by_role("button", name="Face 2 of 2").click()
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls == [(2, None)]


def test_choosing_again_while_the_first_photo_is_looked_at_keeps_the_second(page, landscape, hopper_file):
    page.find("#reference-file").set_input_files(as_file(landscape, "sky.png", "image/png"))
    page.choose("reference", hopper_file)
    expect(page.find("#reference-note")).to_have_text(ONE_FACE)
    expect(page.find("#reference-error")).to_be_hidden()
