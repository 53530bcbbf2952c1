"""Is it me? A photo or the webcam, and whom a personal model knows, in the place of a reference photo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")

from page_driver import PERSONAL, Driver, SteeredVerifier
from playwright.sync_api import expect


@pytest.fixture
def owned(verifier: SteeredVerifier) -> SteeredVerifier:
    verifier.weights, verifier.known_photos = PERSONAL, 15
    return verifier


@pytest.fixture
def window(owned: SteeredVerifier, visit) -> Driver:
    return visit().watch_camera().agree()


def test_you_stand_in_the_place_of_the_reference_with_how_many_photos_are_known(window):
    expect(window.find("#you-slot")).to_contain_text("15 photos")
    expect(window.find("#person")).to_be_hidden()
    expect(window.find("#photos-heading")).to_have_text("Is it you? Choose a photo")
    expect(window.find("#samples")).to_be_hidden()


def test_one_photo_is_enough(window, owned, hopper_file):
    window.choose("probe", hopper_file).compare()
    expect(window.find("#verdict-word")).to_have_text("Match")
    expect(window.find("#verdict-words")).to_contain_text("to count as you")
    expect(window.find("#references-words")).to_have_text("Compared with 15 photos of you.")
    expect(window.find("#you-face")).to_be_visible()
    expect(window.find("#reference-face")).to_be_hidden()
    assert not window.is_blank("#probe-aligned")
    assert owned.calls == [(None,)]
    window.page.get_by_text("Details", exact=True).click()
    expect(window.find("#numbers")).not_to_contain_text("reference photo")


def test_without_a_photo_it_says_what_is_missing(window, owned):
    window.compare().expect_error("probe", "missing_photo")
    assert not owned.calls


@pytest.mark.parametrize(("score", "word"), [(0.2, "Non-match"), (0.5, "Inconclusive")])
def test_other_answers_are_about_you_too(window, owned, collins_file, score, word):
    owned.score = score
    window.choose("probe", collins_file).compare()
    expect(window.find("#verdict-word")).to_have_text(word)
    expect(window.find("#verdict-words")).to_contain_text("your photos")


def test_the_answer_can_be_saved(window, hopper_file, tmp_path):
    window.choose("probe", hopper_file).compare()
    expect(window.find("#result")).to_be_visible()
    for button, name in (("Save as JSON", "answer.json"), ("Save as PNG", "answer.png")):
        with window.page.expect_download() as download:
            window.page.get_by_role("button", name=button).click()
        download.value.save_as(tmp_path / name)
    told = json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))
    assert (told["known_photos"], told["faces"]["reference"]) == (15, None)
    assert (tmp_path / "answer.png").stat().st_size > 10_000


def test_the_webcam_is_asked_whether_it_is_you(window, owned):
    window.set_mode("Live webcam")
    expect(window.find("#photos-heading")).to_have_text("Is it you? Ask the webcam")
    window.page.get_by_role("button", name="Start live comparison").click()
    expect(window.find("#live-word")).to_have_text("Match")
    expect(window.find("#live-words")).to_contain_text("to count as you")
    assert owned.calls[0] == (None,), "no reference goes along"
    window.page.get_by_role("radio", name="A reference photo").check()
    window.expect_camera_off()
    expect(window.find("#live-result")).to_be_hidden()


def test_a_link_leads_straight_to_the_webcam(owned, visit):
    window = visit().agree().open("/privacy").open("/#live")
    expect(window.find("#live")).to_be_visible()
    expect(window.page.get_by_role("radio", name="Live webcam")).to_be_checked()


def test_a_reference_photo_can_be_compared_with_instead(window, owned, hopper_file, collins_file):
    window.page.get_by_role("radio", name="A reference photo").check()
    expect(window.find("#you-slot")).to_be_hidden()
    expect(window.find("#photos-heading")).to_have_text("Choose two photos")
    window.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(window.find("#reference-face")).to_be_visible()
    expect(window.find("#you-face")).to_be_hidden()
    assert owned.calls == [(None, None)]
    window.page.get_by_role("radio", name="You", exact=True).check()
    expect(window.find("#result")).to_be_hidden(), "a result belongs to what it was made from"


def test_starting_over_asks_for_you_again(window, hopper_file):
    window.page.get_by_role("radio", name="A reference photo").check()
    window.set_mode("Live webcam")
    window.page.get_by_role("button", name="Start over").first.click()
    expect(window.find("#you-slot")).to_be_visible()
    expect(window.find("#probe-slot")).to_be_visible()
    expect(window.page.get_by_role("radio", name="You", exact=True)).to_be_checked()


def test_what_is_pasted_goes_to_the_photo_that_can_be_seen(window, hopper_file):
    data = Path(hopper_file).read_bytes()
    window.hand_over("#photos", "paste", [("one.jpg", "image/jpeg", data)])
    window.settled("probe")
    expect(window.find("#reference-slot")).to_have_attribute("data-state", "empty")


def test_without_script_the_reference_may_be_left_out(owned, visit, hopper_file):
    window = visit(java_script_enabled=False).open()
    window.find("#consent-box").check()
    window.find("#age-box").check()
    window.page.get_by_role("button", name="Agree and continue").click()
    expect(window.find("#you-slot")).to_contain_text("Choose no reference photo")
    window.find("#probe-file").set_input_files(hopper_file)
    window.compare()
    expect(window.find("#verdict-words")).to_contain_text("to count as you")
    expect(window.find("#you-face")).to_be_visible()


def test_weights_that_know_nobody_offer_nobody(page):
    expect(page.find("#who")).to_have_count(0)
    expect(page.find("#you-slot")).to_have_count(0)
