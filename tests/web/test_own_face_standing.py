"""What stands after something has ended: a server's model after a crash, a training after its consent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from personal_models import write_model
from test_own_face import WAITS, ended, train, trained_by, wait_for
from web_helpers import Browser

from flaskapp.app import create_app
from flaskapp.consent import seconds_up

URL, BASE = "/api/v1/own-face", "http://localhost:5000"


def test_p25_the_model_before_is_found_where_a_crash_between_the_renames_left_it(tmp_path, monkeypatch, verifier):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "my_model").rename(tmp_path / "my_model.old")
    browser = Browser(create_app({}, verifier))
    browser.agree()
    assert browser.get(URL).json["exists"]
    assert browser.get("/own-face/report.html").status_code == 200
    assert browser.client.put(f"{URL}/use", json={"own": True}, base_url=BASE).status_code == 200
    assert browser.get(URL).json["comparing_with"].startswith("my_model@")
    assert browser.delete(URL).json["removed"]
    assert not list(tmp_path.iterdir())


class TestConsentThatRanOut:
    """A training ends with its consent: nobody could withdraw that afterwards, or cancel what it allowed."""

    @pytest.fixture
    def browser(self, tmp_path, monkeypatch, verifier) -> Browser:
        monkeypatch.chdir(tmp_path)
        browser = Browser(create_app({"FR_RATE_LIMIT": 0}, verifier))
        trained_by(browser, WAITS)
        return browser

    def test_ends_its_training(self, browser):
        browser.services.consents.lifetime = timedelta(seconds=2)
        browser.agree()
        train(browser)
        process = browser.services.own_face._training._process
        wait_for(lambda: process.poll() is not None)
        browser.services.consents.lifetime = timedelta(hours=1)
        browser.agree()
        assert train(browser).status_code == 202
        browser.delete(f"{URL}/training")

    def test_can_still_be_withdrawn(self, browser):
        token = browser.agree()
        train(browser)
        process = browser.services.own_face._training._process
        browser.services.consents._now = lambda: seconds_up() + 7200
        assert browser.get(URL).status_code == 403
        browser.delete("/api/v1/consent", headers={"Authorization": f"Bearer {token}"})
        assert process.poll() is not None
        browser.services.consents._now = seconds_up
        browser.agree()
        assert ended(browser) is None
