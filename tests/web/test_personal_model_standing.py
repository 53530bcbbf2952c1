"""What stands after something has ended: a server's model after a crash, a training after its consent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from personal_models import write_model
from test_personal_api import DIES, REFUSES, RESULT, WAITS, ended, train, trained_by, wait_for
from web_helpers import Browser, FakeVerifier

from flaskapp import personal
from flaskapp.app import create_app
from flaskapp.web.consent import seconds_up

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


def test_a_models_folder_may_have_the_name_of_a_file_of_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_model(tmp_path / "mine.h5")
    browser = Browser(create_app({"FR_MODEL": str(folder)}))
    browser.agree()
    assert browser.get(URL).json["comparing_with"].startswith("mine")
    assert browser.delete(URL).json["removed"]
    assert not folder.exists()


@pytest.fixture
def browser(tmp_path, monkeypatch, verifier) -> Browser:
    """Return a browser before a server, in an empty folder, whose trainings do not end by themselves."""
    monkeypatch.chdir(tmp_path)
    browser = Browser(create_app({"FR_RATE_LIMIT": 0}, verifier))
    trained_by(browser, WAITS)
    yield browser
    browser.delete(f"{URL}/training")


# What a training has written when it is stopped amid its work, and amid putting its model together.
BEGUN = """
from pathlib import Path
work, new = Path(order["out"] + ".training"), Path(order["out"] + ".new")
work.mkdir()
(work / "run.json").write_text('{"base": "0", "photos": "1", "recipe": {}}')
(work / "best.weights.h5").write_bytes(bytes(1000))
new.mkdir()
(new / "templates.npz").write_bytes(bytes(1000))
tell(share=0.7)
"""
# Killed before its note was whole.
JUST_BEGUN = """
from pathlib import Path
(work := Path(order["out"] + ".training")).mkdir()
(work / "run.part").touch()
tell(share=0.7)
"""
MADE = f"tell(result={RESULT!r})"


@pytest.mark.parametrize("written", [BEGUN, JUST_BEGUN])
@pytest.mark.parametrize("end", [DIES, REFUSES, MADE])
def test_a_training_that_fails_leaves_nothing_of_the_person(browser, tmp_path, written, end):
    browser.agree()
    trained_by(browser, written + end)
    train(browser)
    assert ended(browser)["state"] == "failed"
    assert list(tmp_path.iterdir()) == []


def test_one_whose_process_cannot_be_understood_has_failed(browser, tmp_path, monkeypatch):
    browser.agree()
    monkeypatch.setattr(
        "flaskapp.web.personal_model.verifier_of", lambda _: (_ for _ in ()).throw(ConnectionError("x"))
    )
    trained_by(browser, BEGUN + MADE)
    train(browser)
    told = ended(browser)
    assert (told["state"], told["problem"]["code"]) == ("failed", "training_failed")
    assert list(tmp_path.iterdir()) == []


class TestAnotherProcess:
    """What another server, or a command, does to the model that this one compares with."""

    @pytest.fixture
    def server(self, tmp_path, monkeypatch) -> Browser:
        monkeypatch.setattr("flaskapp.web.personal_model.default_verifier", FakeVerifier)
        server = Browser(create_app({"FR_MODEL": str(write_model(tmp_path / "anna", seed=1))}))
        server.agree()
        return server

    @pytest.fixture
    def compare(self, server, hopper) -> Callable[[], str]:
        return lambda: server.verify(hopper, hopper).json["model"].partition("@")[0]

    def test_a_model_that_was_forgotten_is_compared_with_no_longer(self, server, compare, tmp_path):
        assert compare() == "anna"
        personal.forget(tmp_path / "anna")
        assert compare() == "fake"
        state = server.get(URL).json
        assert (state["exists"], state["in_use"], state["comparing_with"][:5]) == (False, False, "fake@")

    def test_nor_by_what_waited_meanwhile(self, server, hopper, tmp_path):
        comparer, answers = server.services.comparer, []
        comparer.at_work, free = threading.BoundedSemaphore(1), comparer.admitted._value
        with comparer.at_work:
            waiter = threading.Thread(target=lambda: answers.append(server.verify(hopper, hopper)))
            waiter.start()
            wait_for(lambda: comparer.admitted._value == free - 1)
            personal.forget(tmp_path / "anna")
        waiter.join()
        assert answers[0].json["model"].startswith("fake@")

    def test_nor_does_the_page_name_it(self, server, tmp_path):
        assert "anna" in server.get("/").get_data(as_text=True)
        personal.forget(tmp_path / "anna")
        assert "anna" not in server.get("/").get_data(as_text=True)

    def test_a_model_that_was_replaced_is_compared_with(self, server, tmp_path):
        before = server.get(URL).json["comparing_with"]
        write_model(tmp_path / "anna.new", seed=2)
        personal.install(tmp_path / "anna")
        after = server.get(URL).json
        assert (after["in_use"], after["exists"]) == (True, True)
        assert after["comparing_with"] != before

    def test_one_that_cannot_be_used_is_taken_for_forgotten(self, server, compare, tmp_path):
        write_model(tmp_path / "anna.new", seed=2)
        (tmp_path / "anna.new" / "templates.npz").write_bytes(b"")
        personal.install(tmp_path / "anna")
        assert compare() == "fake"
        assert not server.get(URL).json["in_use"]

    def test_a_training_amid_which_somebody_was_forgotten_comes_to_nothing(self, browser, tmp_path):
        browser.agree()
        prepared = write_model(tmp_path / "elsewhere" / "my_model")
        forgets = "from flaskapp import personal; personal.forget(Path(order['out']))\n"
        finishes = f"import shutil; shutil.copytree({str(prepared)!r}, order['out'] + '.new'); {MADE}"
        trained_by(browser, BEGUN + forgets + finishes)
        train(browser)
        assert ended(browser)["state"] == "cancelled"
        assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]

    def test_the_moment_between_two_renames_changes_nothing(self, server, compare, tmp_path):
        verifier = server.services.comparer.verifier
        (tmp_path / "anna").rename(tmp_path / "anna.old")
        assert compare() == "anna"
        assert server.services.comparer.verifier is verifier


class TestCancelling:
    def test_ends_it_and_removes_what_it_wrote(self, browser, tmp_path):
        browser.agree()
        trained_by(browser, BEGUN + WAITS)
        train(browser)
        process = browser.services.personal_model.training.process
        wait_for(lambda: browser.get(URL).json["training"]["share"] == 0.7)
        browser.delete(f"{URL}/training")
        assert process.poll() is not None
        assert ended(browser)["state"] == "cancelled"
        assert list(tmp_path.iterdir()) == []

    def test_leaves_a_folder_that_training_did_not_make(self, browser, tmp_path):
        browser.agree()
        (mine := tmp_path / "my_model.training" / "photos of mine").mkdir(parents=True)
        train(browser)
        browser.delete(f"{URL}/training")
        assert mine.exists()

    @pytest.mark.parametrize("how", ["api", "page"])
    def test_withdrawing_the_consent_does_the_same(self, browser, how, tmp_path):
        browser.agree()
        trained_by(browser, BEGUN + WAITS)
        train(browser)
        process = browser.services.personal_model.training.process
        wait_for(lambda: browser.get(URL).json["training"]["share"] == 0.7)
        if how == "api":
            browser.delete("/api/v1/consent")
        else:
            browser.post("/consent/withdraw", data={"csrf_token": browser.form_token()})
        assert process.poll() is not None
        assert list(tmp_path.iterdir()) == []


class TestConsentThatRanOut:
    """A training ends with its consent: nobody could withdraw that afterwards, or cancel what it allowed."""

    def test_ends_its_training(self, browser):
        browser.services.consents.lifetime = timedelta(seconds=1)
        browser.agree()
        train(browser)
        process = browser.services.personal_model.training.process
        wait_for(lambda: process.poll() is not None)
        browser.services.consents.lifetime = timedelta(hours=1)
        browser.agree()
        assert train(browser).status_code == 202
        browser.delete(f"{URL}/training")

    def test_can_still_be_withdrawn(self, browser):
        token = browser.agree()
        train(browser)
        process = browser.services.personal_model.training.process
        browser.services.consents.now = lambda: seconds_up() + 7200
        assert browser.get(URL).status_code == 403
        browser.delete("/api/v1/consent", headers={"Authorization": f"Bearer {token}"})
        assert process.poll() is not None
        browser.services.consents.now = seconds_up
        browser.agree()
        assert ended(browser) is None
