"""Every error has its words, beside the photo that it is about."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from flaskapp.errors import BadFaceNumberError, BusyError, NoFaceError, WeightsError

GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


def as_file(data: bytes, name: str = "photo.jpg") -> dict[str, object]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def test_missing_photos_are_asked_for_one_by_one(page):
    page.compare()
    for label in ("reference", "probe"):
        page.expect_error(label, "missing_photo")
    expect(page.find("#reference-file")).to_be_focused()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_photo"),
        (GIF, "unsupported_format"),
        (b"%PDF-1.7", "unsupported_format"),
        (b"words", "unsupported_format"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "truncated_photo"),
    ],
    ids=["empty", "gif", "pdf", "text", "damaged"],
)
def test_what_is_no_photo_is_refused_beside_its_slot(page, data, code):
    page.choose("probe", as_file(data))
    page.expect_error("probe", code)
    expect(page.find("#reference-error")).to_be_hidden()
    page.compare()  # nothing is sent; the errors are pointed out
    page.expect_error("probe", code)
    page.expect_error("reference", "missing_photo")


def test_a_truncated_photo_says_so(page, hopper):
    page.choose("reference", as_file(hopper[:20_000]))
    page.expect_error("reference", "truncated_photo")


def test_a_photo_without_a_face_says_what_to_try(page, landscape):
    page.choose("reference", as_file(landscape))
    page.expect_error("reference", "no_face")


def test_a_photo_that_is_too_large_is_not_sent_at_all(page, hopper, tmp_path):
    photo = tmp_path / "photo.jpg"  # bytes would go to the browser as text
    photo.write_bytes(hopper + bytes(12 * 1024**2))
    page.find("#probe-file").set_input_files(photo)
    page.expect_error("probe", "too_large", "12 MB")
    assert not [url for url in page.requests if url.endswith("/detect")]


def test_several_files_at_a_time_are_refused(page, hopper):
    files = [("a.jpg", "image/jpeg", hopper), ("b.jpg", "image/jpeg", hopper)]
    page.hand_over("#reference-slot [data-drop]", "drop", files)
    page.expect_error("reference", "several_files")


def test_an_address_is_never_opened(page):
    page.hand_over("#reference-slot [data-drop]", "drop", [], text="http://169.254.169.254/photo.jpg")
    page.expect_error("reference", "not_a_file")


def test_pasted_words_are_no_picture(page):
    page.hand_over("body", "paste", [], text="hello")
    page.expect_error("reference", "nothing_to_paste")


def test_a_clipboard_that_stays_closed_is_explained(visit):
    window = visit()
    window.run_first("navigator.clipboard.read = () => Promise.reject(new DOMException('', 'NotAllowedError'))")
    window.agree().page.get_by_role("button", name="Paste the reference photo").click()
    window.expect_error("reference", "clipboard_closed", "Ctrl+V")


@pytest.mark.parametrize(
    ("error", "photo", "code"),
    [
        (NoFaceError("No face was found.", "Use another photo."), "probe", "no_face"),
        (BadFaceNumberError("There is no face 3.", "Choose another."), "reference", "bad_face_number"),
        (BusyError("Too many comparisons are under way.", "Try again."), "compare", "busy"),
        (WeightsError("The weights were changed.", "Install them again."), "compare", "weights_unusable"),
        (RuntimeError("secret"), "compare", "internal_error"),
    ],
    ids=["no_face", "bad_face_number", "busy", "weights", "unforeseen"],
)
def test_what_the_comparison_finds_wrong_stands_where_it_belongs(
    page, verifier, hopper_file, collins_file, error, photo, code
):
    if photo != "compare":
        error.for_photo(photo)
    verifier.raises = error
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    page.expect_error(photo, code)
    expect(page.find("#result")).to_be_hidden()
    expect(page.find("body")).not_to_contain_text("secret")
    # Nothing is stuck: once the cause is gone, the same button works.
    verifier.raises = None
    if photo != "compare":
        page.choose(photo, collins_file if photo == "reference" else hopper_file)
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")


def test_being_too_fast_says_how_long_to_wait(page, hopper_file, collins_file):
    body = '{"code": "rate_limited", "detail": "Too many requests.", "hint": "Wait.", "photo": null}'
    answer = {"status": 429, "headers": {"Retry-After": "7"}, "content_type": "application/problem+json", "body": body}
    page.page.route("**/api/v1/verify", lambda route: route.fulfill(**answer))
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    page.expect_error("compare", "rate_limited", "7 seconds")


def test_a_server_that_is_gone_is_named(page, hopper_file, collins_file):
    page.choose("reference", hopper_file).choose("probe", collins_file)
    page.page.route("**/api/v1/verify", lambda route: route.abort())
    page.compare()
    page.expect_error("compare", "unreachable")


def test_a_photo_that_could_not_be_looked_at_may_still_be_compared(page, hopper_file, collins_file):
    page.page.route("**/api/v1/detect", lambda route: route.abort())
    page.choose("reference", hopper_file).choose("probe", collins_file)
    page.expect_error("reference", "unreachable")
    page.page.unroute("**/api/v1/detect")
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")


def test_several_faces_first_seen_by_the_comparison_are_offered_then(page, verifier, group_photo, hopper_file):
    page.page.route("**/api/v1/detect", lambda route: route.abort())
    page.choose("reference", hopper_file).choose("probe", as_file(group_photo))
    page.page.unroute("**/api/v1/detect")
    page.compare()
    page.expect_error("probe", "several_faces", "2 faces")
    page.page.get_by_role("button", name="Face 1 of 2").click()
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls[-1] == (None, 1)


def test_faces_are_offered_where_they_are_in_this_photo_whatever_was_there_before(
    page, group_photo, landscape, hopper_file
):
    page.choose("probe", as_file(landscape)).choose("reference", hopper_file)
    page.page.route("**/api/v1/detect", lambda route: route.abort())
    page.choose("probe", as_file(group_photo))
    page.page.unroute("**/api/v1/detect")
    page.compare()
    page.expect_error("probe", "several_faces", "2 faces")
    expect(page.find("#probe-slot [data-outlines]")).to_have_attribute("viewBox", "0 0 900 500")


def test_what_the_server_found_before_the_script_was_there_stays_to_be_read(visit, landscape, hopper_file):
    window = visit()
    window.page.route("**/static/js/**", lambda route: route.abort())
    window.agree()
    window.page.unroute("**/static/js/**")
    window.send(as_file(landscape), hopper_file)
    expect(window.find("html.js")).to_have_count(1)
    window.expect_error("reference", "no_face")
    expect(window.page).to_have_title(re.compile("^Error"))
    window.choose("reference", hopper_file)
    expect(window.find("#reference-error")).to_be_hidden()


def test_an_answer_that_is_no_json_is_an_error_too(page, hopper_file, collins_file):
    page.page.route("**/api/v1/verify", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    page.expect_error("compare", "internal_error")
