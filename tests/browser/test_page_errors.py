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
        page.expect_error(label, "A photo is missing here.", "Choose a file")
    expect(page.find("#reference-file")).to_be_focused()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "The file is empty."),
        (GIF, "This is a GIF, which is not accepted."),
        (b"%PDF-1.7", "This is a PDF, which is not accepted."),
        (b"words", "This is not a photo of a known format."),
        (b"\xff\xd8\xff\xe0" + bytes(100), "JPEG photo"),
    ],
    ids=["empty", "gif", "pdf", "text", "damaged"],
)
def test_what_is_no_photo_is_refused_beside_its_slot(page, data, words):
    page.choose("probe", as_file(data))
    page.expect_error("probe", words)
    expect(page.find("#reference-error")).to_be_hidden()
    page.compare()  # nothing is sent; the errors are pointed out
    page.expect_error("probe", words)
    page.expect_error("reference", "A photo is missing here.")


def test_a_truncated_photo_says_so(page, hopper):
    page.choose("reference", as_file(hopper[:20_000]))
    page.expect_error("reference", "The end of this JPEG photo is missing.", "Copy the file again")


def test_a_photo_without_a_face_says_what_to_try(page, landscape):
    page.choose("reference", as_file(landscape))
    page.expect_error("reference", "No face was found.", "from the front, upright, well lit")


def test_a_photo_that_is_too_large_is_not_sent_at_all(page, hopper):
    page.find("#probe-file").set_input_files(as_file(hopper + bytes(12 * 1024**2)))
    page.expect_error("probe", "at most 12 MB are accepted", "Save it as JPEG")
    assert not [url for url in page.requests if url.endswith("/detect")]


def test_several_files_at_a_time_are_refused(page, hopper):
    files = [("a.jpg", "image/jpeg", hopper), ("b.jpg", "image/jpeg", hopper)]
    page.hand_over("#reference-slot [data-drop]", "drop", files)
    page.expect_error("reference", "Those are several files.", "one photo at a time")


def test_an_address_is_never_opened(page):
    page.hand_over("#reference-slot [data-drop]", "drop", [], text="http://169.254.169.254/photo.jpg")
    page.expect_error("reference", "That is not a file.", "Addresses of pictures are never opened.")


def test_pasted_words_are_no_picture(page):
    page.hand_over("body", "paste", [], text="hello")
    page.expect_error("reference", "The clipboard holds no picture.")


def test_a_clipboard_that_stays_closed_is_explained(visit):
    window = visit()
    window.context.add_init_script(
        "navigator.clipboard.read = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
    )
    window.agree().page.get_by_role("button", name="Paste the reference photo").click()
    window.expect_error("reference", "did not open its clipboard", "Ctrl+V")


@pytest.mark.parametrize(
    ("error", "photo", "words"),
    [
        (NoFaceError("No face was found.", "Use another photo."), "probe", "Use another photo."),
        (BadFaceNumberError("There is no face 3.", "Choose another."), "reference", "no face 3"),
        (BusyError("Too many comparisons are under way.", "Try again."), "compare", "Too many comparisons"),
        (WeightsError("The weights were changed.", "Install them again."), "compare", "The weights were changed."),
        (RuntimeError("secret"), "compare", "Something went wrong on the server"),
    ],
    ids=["no_face", "bad_face_number", "busy", "weights", "unforeseen"],
)
def test_what_the_comparison_finds_wrong_stands_where_it_belongs(
    page, verifier, hopper_file, collins_file, error, photo, words
):
    if photo != "compare":
        error.for_photo(photo)
    verifier.raises = error
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    page.expect_error(photo, words)
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
    page.expect_error("compare", "Too many requests.", "Wait 7 seconds, then try again.")


def test_a_server_that_is_gone_is_named(page, hopper_file, collins_file):
    page.choose("reference", hopper_file).choose("probe", collins_file)
    page.page.route("**/api/v1/verify", lambda route: route.abort())
    page.compare()
    page.expect_error("compare", "The server does not answer.", "Check that it is running")


def test_a_photo_that_could_not_be_looked_at_may_still_be_compared(page, hopper_file, collins_file):
    page.page.route("**/api/v1/detect", lambda route: route.abort())
    page.choose("reference", hopper_file).choose("probe", collins_file)
    page.expect_error("reference", "The server does not answer.")
    page.page.unroute("**/api/v1/detect")
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")


def test_several_faces_first_seen_by_the_comparison_are_offered_then(page, verifier, group_photo, hopper_file):
    page.page.route("**/api/v1/detect", lambda route: route.abort())
    page.choose("reference", hopper_file).choose("probe", as_file(group_photo))
    page.page.unroute("**/api/v1/detect")
    page.compare()
    page.expect_error("probe", "2 faces could be meant.")
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
    page.expect_error("probe", "2 faces could be meant.")
    expect(page.find("#probe-slot [data-outlines]")).to_have_attribute("viewBox", "0 0 900 500")


def test_what_the_server_found_before_the_script_was_there_stays_to_be_read(visit, landscape, hopper_file):
    window = visit()
    window.page.route("**/static/js/**", lambda route: route.abort())
    window.agree()
    window.page.unroute("**/static/js/**")
    window.send(as_file(landscape), hopper_file)
    expect(window.find("html.js")).to_have_count(1)
    window.expect_error("reference", "No face was found.")
    expect(window.page).to_have_title(re.compile("^Error"))
    window.choose("reference", hopper_file)
    expect(window.find("#reference-error")).to_be_hidden()


def test_an_answer_that_is_no_json_is_an_error_too(page, hopper_file, collins_file):
    page.page.route("**/api/v1/verify", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    page.expect_error("compare", "The server could not answer.", "Try again in a moment.")
