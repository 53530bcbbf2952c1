"""Step 2 and 3 with several photos of the reference person."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("playwright.sync_api")

from page_driver import WEIGHTS, in_memory
from playwright.sync_api import expect
from sample_photos import sample_files
from states import at_plain_photos

from flaskapp.errors import UnreadablePhotoError

POOR = "Poor photo: too dark, blurred, covered"
COUNTED = "Compared with 3 photos of one person."


@pytest.fixture
def files() -> dict:
    return sample_files()


def test_each_photo_tells_its_face_and_its_quality(page, files):
    page.add(files["hopper"], files["poor"])
    expect(page.find(".tile h4")).to_have_text(["Photo 2", "Photo 3"])
    expect(page.find(".tile .outline-group.chosen")).to_have_count(2)
    expect(page.find(".tile [data-quality-words]")).to_have_text(["Good photo", POOR])
    expect(page.find(".tile [data-note]")).to_have_text(["One face found."] * 2)
    expect(page.find("#status")).to_contain_text("Reference photo 3: One face found. Poor photo")
    for number in (2, 3):
        expect(page.page.get_by_role("group", name=f"Reference photo {number}", exact=True)).to_be_visible()


def test_all_are_compared_and_the_result_names_their_number_and_the_odd_one(page, verifier, files):
    verifier.odd = (3,)
    page.choose("reference", files["hopper"]).add(files["fair"], files["heic"]).choose("probe", files["collins"])
    page.compare()
    expect(page.find("#references-words")).to_contain_text(f"{COUNTED} Photo 3 does not look")
    expect(page.find("#references-words .icon")).to_be_visible()
    expect(page.find("#status")).to_contain_text("Photo 3 does not look like the others")
    assert verifier.calls == [(None, None, None, None)]
    expect(page.find("#more-faces li")).to_have_count(2)
    expect(page.find("#more-faces [data-quality-words]")).to_have_text(["Fair photo: a little blurred", "Good photo"])
    for number in range(2):
        assert not page.is_blank(f"#more-faces li:nth-child({number + 1}) canvas")
    page.page.get_by_text("Details", exact=True).click()
    expect(page.find("#numbers dt", has_text="Face in the reference photo")).to_have_text(
        [f"Face in the reference photo {number}" for number in (1, 2, 3)]
    )


def test_one_photo_says_nothing_of_several(page, files):
    page.choose("reference", files["hopper"]).choose("probe", files["collins"]).compare()
    expect(page.find("#result")).to_be_visible()
    expect(page.find("#references-words")).to_be_hidden()
    expect(page.find("#more-faces")).to_be_hidden()


def test_the_scale_is_that_of_so_many_photos(page, verifier, files):
    fitted = {"scale": 1.0, "offset": 0.0, "threshold": 0.3, "inconclusive_band": [0.2, 0.35]}
    verifier.weights = replace(WEIGHTS, by_references={2: fitted | {"error_counts": WEIGHTS.error_counts}})
    page.choose("reference", files["hopper"]).add(files["hopper"]).choose("probe", files["hopper"]).compare()
    expect(page.find("#result-scale [data-low-number]")).to_have_text("0.200")
    expect(page.find("#result-scale [data-high-number]")).to_have_text("0.350")
    expect(page.find("#result-scale rect.zone-match")).to_have_attribute("x", "45.58%")
    expect(page.find("#result-scale .threshold-tick")).to_have_attribute("x1", "43.95%")
    expect(page.find("#counts")).to_contain_text("with 2 photos of the person")
    page.page.get_by_role("button", name="Remove reference photo 2").click()
    page.compare()
    expect(page.find("#result-scale [data-low-number]")).to_have_text("0.400")


def test_they_are_five_at_most_and_can_be_removed(page, files):
    page.choose("reference", files["hopper"]).add(*[files["hopper"]] * 3, files["fair"])
    expect(page.find("#more-sources")).to_be_hidden()
    page.page.get_by_role("button", name="Remove reference photo 3").press("Enter")
    expect(page.find(".tile h4")).to_have_text(["Photo 2", "Photo 3", "Photo 4"])
    expect(page.find("#more-file")).to_be_focused()
    expect(page.find(".tile").last).to_contain_text("Fair photo")
    page.find("#more-file").set_input_files(in_memory([files["hopper"]] * 2))
    page.expect_error("more", "several_photos", "5 photos")
    expect(page.find(".tile")).to_have_count(4)


def test_they_come_from_files_drops_the_clipboard_and_the_camera(visit, server, hopper, files):
    page = visit().watch_camera().agree()
    picture = ("hopper.jpg", "image/jpeg", hopper)
    page.hand_over("#more", "drop", [picture, picture])
    page.find(".tile[data-state=ready]").nth(1).wait_for()
    page.find("#more-file").focus()
    page.hand_over("#more-file", "paste", [picture])
    page.find(".tile[data-state=ready]").nth(2).wait_for()
    expect(page.find("#reference-slot")).to_have_attribute("data-state", "empty")
    page.page.get_by_role("button", name="Webcam for another photo of this person").click()
    page.page.get_by_role("button", name="Take photo").click()
    page.page.get_by_role("button", name="Use this photo").click()
    page.find(".tile[data-state=ready]").nth(3).wait_for()
    page.expect_camera_off()


def test_the_paste_button_adds_what_the_clipboard_holds(page, server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.address)
    page.page.evaluate("""async () => {
      const picture = await createImageBitmap(await (await fetch("/static/samples/whitson_portrait.jpg")).blob());
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      canvas.getContext("2d").drawImage(picture, 0, 0);
      await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })]);
    }""")
    page.page.get_by_role("button", name="Paste another photo of this person").click()
    page.find(".tile[data-state=ready]").wait_for()


def test_what_is_pasted_elsewhere_goes_to_the_two_photos(page, hopper):
    for label in ("reference", "probe", "probe"):
        page.hand_over("body", "paste", [("image.png", "image/png", hopper)])
        page.settled(label)
    expect(page.find(".tile")).to_have_count(0)


def test_a_face_of_several_is_chosen_photo_by_photo(page, verifier, files):
    page.choose("reference", files["hopper"]).add(files["group"], files["hopper"]).choose("probe", files["hopper"])
    page.compare()
    error = page.find(".tile").first.locator(".error")
    expect(error).to_have_attribute("data-code", "several_faces")
    expect(page.page.get_by_role("button", name="Face 1 of 2")).to_be_focused()
    assert verifier.calls == []
    page.page.get_by_role("button", name="Face 2 of 2").click()
    expect(error).to_be_hidden()
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls == [(None, 2, None, None)]


@pytest.mark.parametrize(("number", "box"), [(1, "#reference-error"), (3, ".tile:nth-child(2) .error")])
def test_what_the_comparison_finds_wrong_stands_beside_its_photo(page, verifier, files, number, box):
    verifier.raises = UnreadablePhotoError("The photo is damaged.", photo=f"reference {number}")
    page.choose("reference", files["hopper"]).add(files["hopper"], files["fair"]).choose("probe", files["hopper"])
    page.compare()
    expect(page.find(box)).to_have_attribute("data-code", "unreadable_photo")


def test_a_photo_without_a_face_stops_the_comparison_until_it_is_removed(page, verifier, files):
    page.choose("reference", files["hopper"]).add(files["landscape"]).choose("probe", files["hopper"]).compare()
    expect(page.find(".tile .error")).to_have_attribute("data-code", "no_face")
    expect(page.page.get_by_role("button", name="Remove reference photo 2")).to_be_focused()
    assert verifier.calls == []
    page.page.get_by_role("button", name="Remove reference photo 2").click()
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")


def test_start_over_samples_and_a_changed_photo_leave_nothing_of_them(page, files):
    page.choose("reference", files["hopper"]).add(files["hopper"]).choose("probe", files["hopper"]).compare()
    expect(page.find("#result")).to_be_visible()
    page.add(files["fair"])
    expect(page.find("#result")).to_be_hidden()
    page.page.get_by_role("button", name="Try with sample photos of one person", exact=True).click()
    expect(page.find(".tile")).to_have_count(0)
    page.settled("reference").settled("probe").add(files["fair"])
    page.find("#go [data-start-over]").click()
    expect(page.find(".tile")).to_have_count(0)


def test_a_live_comparison_has_one_reference(page, files):
    page.choose("reference", files["hopper"]).add(files["fair"]).set_mode("Live webcam")
    expect(page.find("#more")).to_be_hidden()
    page.set_mode("A photo")
    expect(page.find(".tile")).to_be_visible()


def test_without_script_a_second_field_takes_them(visit, verifier, files):
    verifier.odd = (2,)
    window = visit(java_script_enabled=False)
    at_plain_photos(window, {})
    window.find("#more-file").set_input_files(in_memory([files["collins"], files["poor"]]))
    window.send(files["hopper"], files["hopper"])
    expect(window.find("#references-words")).to_contain_text(f"{COUNTED} Photo 2 does not look")
    expect(window.find("#more-faces li")).to_have_text(["Photo 2 Good photo", f"Photo 3 {POOR}"])
    assert verifier.calls == [(None, None, None, None)]


def test_without_script_the_face_of_a_further_photo_is_chosen_by_number(visit, verifier, files):
    window = visit(java_script_enabled=False)
    at_plain_photos(window, {})
    for _ in range(2):
        if window.find(".face-numbers").count():
            window.page.get_by_label("Face 2 from the left").check()
        window.find("#more-file").set_input_files(in_memory([files["group"]]))
        window.send(files["hopper"], files["hopper"])
    expect(window.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls[-1] == (None, 2, None)
