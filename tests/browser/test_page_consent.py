"""Step 1: nothing works before two boxes were ticked, and nothing after consent has ended."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api")

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from flaskapp.web.consent import Notice
from flaskapp.web.settings import services


def test_the_page_opens_on_two_unticked_boxes_and_the_reason(visit):
    window = visit().open()
    assert [box.is_checked() for box in window.find("#consent-form input[type=checkbox]").all()] == [False, False]
    expect(window.find("#consent")).to_contain_text("Nothing works until you agree.")
    expect(window.find("#consent")).to_contain_text("biometric data")
    expect(window.find("#photos")).to_be_hidden()
    assert not [url for url in window.requests if "/api/" in url]


@pytest.mark.parametrize(
    ("tick", "left", "words"),
    [("age", "consent", "Tick this box if you agree"), ("consent", "age", "Tick this box if you are 18")],
)
def test_both_boxes_are_needed_and_the_missing_one_says_so(visit, tick, left, words):
    window = visit().open()
    window.find(f"#{tick}-box").check()
    window.page.get_by_role("button", name="Agree and continue").click()
    expect(window.find(f"#{left}-box-error")).to_contain_text(words)
    expect(window.find(f"#{left}-box")).to_be_focused()
    expect(window.find(f"#{left}-box")).to_have_attribute("aria-describedby", f"{left}-box-error")
    expect(window.find("#photos")).to_be_hidden()
    assert not [url for url in window.requests if "/api/" in url]


def test_consent_opens_the_photos_and_says_until_when(page):
    expect(page.find("#consent")).to_be_hidden()
    expect(page.find("#photos-heading")).to_be_focused()
    expect(page.find("#consent-until")).to_contain_text("Agreed until")
    expect(page.find('[data-step-name="photos"]')).to_have_attribute("aria-current", "step")


def test_consent_survives_a_reload_but_the_token_is_out_of_reach_of_scripts(page):
    page.page.reload()
    expect(page.find("#photos")).to_be_visible()
    expect(page.find("#consent-until")).to_contain_text("Agreed until")
    assert page.page.evaluate("document.cookie") == ""
    assert page.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_withdrawing_forgets_everything_at_once(page, hopper_file, server):
    page.choose("reference", hopper_file)
    page.page.get_by_role("button", name="Withdraw consent").click()
    expect(page.find("#consent")).to_be_visible()
    expect(page.find("#consent-heading")).to_be_focused()
    expect(page.find("#status")).to_contain_text("Consent withdrawn. Everything on this page was forgotten.")
    assert page.find("#reference-file").evaluate("(input) => input.files.length") == 0
    assert page.is_blank("#reference-slot [data-picture]")
    assert [box.is_checked() for box in page.find("#consent-form input[type=checkbox]").all()] == [False, False]
    assert page.page.request.get(f"{server.address}/api/v1/consent").status == 403


def test_withdrawing_without_an_answer_of_the_server_still_forgets(page, hopper_file):
    page.choose("reference", hopper_file)
    page.page.route("**/api/v1/consent", lambda route: route.abort())
    page.page.get_by_role("button", name="Withdraw consent").click()
    page.expect_error("consent", "unreachable", "This page has forgotten everything")
    assert page.find("#reference-file").evaluate("(input) => input.files.length") == 0


def test_consent_that_ended_on_the_server_is_asked_for_again_and_the_photos_wait(
    page, hopper_file, collins_file, end_consents
):
    page.choose("reference", hopper_file).choose("probe", collins_file)
    end_consents()
    page.compare()
    page.expect_error("consent", "consent_required")
    expect(page.find("#photos")).to_be_hidden()
    page.find("#consent-box").check()
    page.find("#age-box").check()
    page.page.get_by_role("button", name="Agree and continue").click()
    expect(page.find("#reference-note")).to_have_text("One face found.")
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")


def test_a_photo_that_was_refused_for_want_of_consent_is_looked_at_after_it(page, hopper_file, end_consents):
    end_consents()
    page.find("#reference-file").set_input_files(hopper_file)
    page.expect_error("consent", "consent_required")
    page.find("#consent-box").check()
    page.find("#age-box").check()
    page.page.get_by_role("button", name="Agree and continue").click()
    expect(page.find("#reference-note")).to_have_text("One face found.")


def test_consent_that_runs_out_under_an_open_page_is_asked_for_again(visit, server, monkeypatch):
    monkeypatch.setattr(services(server.app).consents, "lifetime", timedelta(seconds=3))
    window = visit().agree()
    window.expect_error("consent", "consent_required")


def test_a_consent_of_weeks_says_its_day_and_does_not_ask_the_server_all_the_time(visit, server, monkeypatch):
    """A browser's timers take 24 days at most; asked for more they go off at once."""
    monkeypatch.setattr(services(server.app).consents, "lifetime", timedelta(days=40))
    window = visit().agree()
    asked = len(window.requests)
    window.page.wait_for_timeout(1500)
    assert len(window.requests) == asked
    end = datetime.now(UTC) + timedelta(days=40)
    expect(window.find("#consent-until")).to_contain_text(f"{end:%b}")


def test_a_notice_that_changed_must_be_read_anew(visit, server, monkeypatch):
    window = visit().open()
    monkeypatch.setattr(services(server.app).consents, "notice", Notice("Privacy notice", (("New", ("words",)),)))
    window.find("#consent-box").check()
    window.find("#age-box").check()
    window.page.get_by_role("button", name="Agree and continue").click()
    window.expect_error("consent", "consent_required")
    expect(window.find("#photos")).to_be_hidden()


def test_the_notice_is_readable_on_the_page_and_on_its_own(visit, server):
    window = visit().open()
    window.page.get_by_text("Privacy notice", exact=False).first.click()
    for heading, _ in services(server.app).consents.notice.sections:
        expect(window.find(".notice").get_by_role("heading", name=heading)).to_be_visible()
    window.open("/privacy")
    for heading, _ in services(server.app).consents.notice.sections:
        expect(window.page.get_by_role("heading", name=heading)).to_be_visible()
