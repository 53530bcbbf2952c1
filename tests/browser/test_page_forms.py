"""Without JavaScript: plain forms, from consent to result."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("playwright.sync_api")

from page_driver import WEIGHTS
from playwright.sync_api import expect
from sample_photos import sample_files
from states import at_plain_photos


@pytest.fixture
def plain(visit):
    """Return a window without JavaScript, after consent."""
    window = visit(java_script_enabled=False)
    at_plain_photos(window, {})
    return window


def test_two_files_lead_to_the_result(plain, hopper_file, collins_file):
    plain.send(hopper_file, collins_file)
    expect(plain.find("#verdict-word")).to_have_text("Match")
    expect(plain.find("#counts")).to_contain_text("0.07 % of pairs of strangers (7 of 10,000)")
    expect(plain.find("#counts")).to_contain_text("94.0 % of pairs of the same person (4,700 of 5,000)")
    expect(plain.find("#result-scale .marker-number")).to_have_text("0.900")
    expect(plain.find("#result")).to_contain_text("not a liveness check")
    plain.page.get_by_role("link", name="Compare two other photos").click()
    expect(plain.find("#photos")).to_be_visible()


def test_photos_are_told_and_blamed_for_what_cannot_be_told(plain, verifier, hopper_file):
    verifier.score = 0.5
    intervals = {"inconclusive": {"impostor": [0.0002, 0.0015], "genuine": [0.93, 0.947]}}
    counts = {"good and poor": {**WEIGHTS.error_counts, "intervals": intervals}}
    verifier.weights = replace(WEIGHTS, counts_by_grades=counts)
    plain.send(hopper_file, sample_files()["poor"])
    expect(plain.find("#verdict-words")).to_have_text(
        "The two faces are neither alike enough nor different enough to tell. "
        "The probe photo is poor: too dark, blurred, covered. More light on the face may help."
    )
    expect(plain.find("#reference-quality")).to_have_text("Good photo")
    expect(plain.find("#probe-quality")).to_have_text("Poor photo: too dark, blurred, covered")
    plain.page.get_by_text("Details", exact=True).click()
    expect(plain.find("#numbers")).to_contain_text("0.02 to 0.15 % of pairs of strangers; 93.00 to 94.70 % of pairs of")
    expect(plain.find("#numbers")).to_contain_text("certainty 0.300")


def test_out_of_scope_shows_no_score(plain, verifier, hopper_file, collins_file):
    verifier.knows = False
    plain.send(hopper_file, collins_file)
    expect(plain.find("#verdict-word")).to_have_text("Out of scope")
    expect(plain.find("#result-scale")).to_be_hidden()


def test_only_what_works_is_offered(plain):
    for name in ("Webcam", "Paste", "Try with sample photos", "Start over"):
        expect(plain.page.get_by_role("button", name=name)).to_have_count(0)
    expect(plain.page.get_by_text("Without JavaScript this page works as a plain form")).to_be_visible()


def test_several_faces_are_numbered_and_asked_for(plain, verifier, group_photo, hopper_file):
    group = {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo}
    plain.send(hopper_file, group)
    expect(plain.page.get_by_role("heading", name="Which face do you mean?")).to_be_visible()
    expect(plain.page.get_by_text("this server keeps nothing, so it has forgotten them already")).to_be_visible()
    expect(plain.page.get_by_role("radio")).to_have_count(3)
    plain.page.get_by_label("Face 2 from the left").check()
    plain.send(hopper_file, group)
    expect(plain.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls[-1] == (None, 2)


def test_another_photo_can_be_sent_in_place_of_one_with_several_faces(plain, verifier, group_photo, hopper_file):
    plain.send(hopper_file, {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo})
    plain.page.get_by_label("None of these: I will choose another photo").check()
    plain.send(hopper_file, hopper_file)
    expect(plain.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls[-1] == (None, None)


def test_several_faces_leave_a_way_back_to_the_start(plain, group_photo, hopper_file):
    plain.send(hopper_file, {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo})
    plain.page.get_by_role("link", name="Start over").click()
    expect(plain.page.get_by_role("heading", name="Choose two photos")).to_be_visible()
    expect(plain.page.get_by_role("radio")).to_have_count(0)


def test_an_error_stands_beside_its_photo(plain, landscape, hopper_file):
    plain.send(hopper_file, {"name": "sky.png", "mimeType": "image/png", "buffer": landscape})
    plain.expect_error("probe", "no_face")
    expect(plain.find("#reference-error")).to_be_hidden()
    assert plain.page.title().startswith("Error: ")


def test_consent_can_be_withdrawn(plain, server):
    plain.page.get_by_role("button", name="Withdraw consent").click()
    expect(plain.find("#consent")).to_be_visible()
    expect(plain.find("#photos")).to_be_hidden()
    assert plain.page.request.get(f"{server.address}/api/v1/consent").status == 403


def test_consent_that_ended_is_asked_for_again(plain, end_consents, hopper_file):
    end_consents()
    plain.send(hopper_file, hopper_file)
    plain.expect_error("consent", "consent_required")
    expect(plain.find("#photos")).to_be_hidden()
