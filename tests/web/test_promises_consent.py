"""Promises about consent for work that waits: looked at again when its turn comes, and before it is answered.

Each docstring names the deliberate break that was seen to make its test fail.
"""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable, Iterator

import pytest
from personal_models import write_model
from test_personal_api import URL, ended, face, follow_to_its_end, succeeds_with, train, trained_by, wait_for
from web_helpers import Browser, FakeVerifier
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from flaskapp import personal, preprocess
from flaskapp.app import create_app
from flaskapp.personal.split import FEWEST_PHOTOS
from flaskapp.web import personal_model
from flaskapp.web.consent import seconds_up

PATIENCE = 60


class SlowVerifier(FakeVerifier):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.leave = threading.Event(), threading.Event()

    def verify(self, *arguments, **more):
        self.entered.set()
        assert self.leave.wait(PATIENCE)
        return super().verify(*arguments, **more)


def page(browser: Browser, photo: bytes) -> TestResponse:
    return browser.send("/compare", {"reference": photo, "probe": photo}, csrf_token=browser.form_token())


REQUESTS: dict[str, Callable[[Browser, bytes], TestResponse]] = {
    "verify": lambda browser, photo: browser.verify(photo, photo),
    "detect": lambda browser, photo: browser.send("/api/v1/detect", {"photo": photo}),
    "live": lambda browser, photo: browser.send("/api/v1/live", {"reference": photo, "frame": photo}),
    "page": page,
    "own photo": lambda browser, photo: browser.send(f"{URL}/photo", {"photo": photo}),
    "training": lambda browser, _: train(browser),
}


def withdraw(browser: Browser, token: str) -> None:
    other = Browser(browser.app)
    assert other.delete("/api/v1/consent", headers={"Authorization": f"Bearer {token}"}).status_code == 204


def let_run_out(browser: Browser, _: str) -> None:
    browser.services.consents.now = lambda: seconds_up() + 7200


ENDINGS = {"withdrawn": withdraw, "run out": let_run_out}


@pytest.fixture
def slow() -> SlowVerifier:
    return SlowVerifier()


@pytest.fixture
def person(tmp_path, monkeypatch, slow) -> Browser:
    """Return a browser before a server, in an empty folder, that works at one thing at a time."""
    monkeypatch.chdir(tmp_path)
    browser = Browser(create_app({"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0}, slow))
    browser.services.comparer.at_work = threading.BoundedSemaphore(1)
    yield browser
    slow.leave.set()


@pytest.fixture
def looked_at(monkeypatch) -> Iterator[list[str]]:
    """Return a list of everything that was done to a photo."""
    done: list[str] = []
    for name in ("decode_photo", "find_faces"):
        real = getattr(preprocess, name)
        monkeypatch.setattr(preprocess, name, lambda *photo, name=name, real=real: done.append(name) or real(*photo))
    return done


def begun(work: Callable[[], TestResponse]) -> tuple[threading.Thread, list[TestResponse]]:
    answers: list[TestResponse] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    return thread, answers


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", REQUESTS)
def test_p4_p6_what_waits_while_its_consent_ends_is_not_begun(person, slow, looked_at, hopper, name, ending):
    """P4, P6. Break: no ``check`` in ``Comparer``."""
    before = Browser(person.app)
    before.agree()
    free = person.services.comparer.admitted._value
    holder, _ = begun(before.verify)
    assert slow.entered.wait(PATIENCE)
    token = person.agree()
    waiter, answers = begun(lambda: REQUESTS[name](person, hopper))
    wait_for(lambda: person.services.comparer.admitted._value == free - 2)
    ENDINGS[ending](person, token)
    slow.leave.set()
    for thread in (holder, waiter):
        thread.join(PATIENCE)
    assert [answer.status_code for answer in answers] == [403]
    assert [reference for reference, *_ in slow.calls] == [b"one"]
    assert looked_at == []
    assert person.services.personal_model.training is None


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("found", [None, ValueError])
def test_p6_what_is_looked_at_while_its_consent_ends_is_not_answered(person, slow, ending, found):
    """P6. Break: no second ``check`` in ``Comparer``, or only where nothing went wrong."""
    token = person.agree()
    slow.raises = found
    worker, answers = begun(person.verify)
    assert slow.entered.wait(PATIENCE)
    ENDINGS[ending](person, token)
    slow.leave.set()
    worker.join(PATIENCE)
    assert [(answer.status_code, answer.json["code"]) for answer in answers] == [(403, "consent_required")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_p6_a_training_does_not_begin_after_its_consent_has_ended(person, monkeypatch, ending):
    """P6. Break: the consent looked at before the lock under which a training begins."""
    token = person.agree()
    trained_by(person, "")
    monkeypatch.setattr(personal_model, "missing_extra", lambda: ENDINGS[ending](person, token))
    response = train(person)
    assert (response.status_code, response.json["code"]) == (403, "consent_required")
    assert person.services.personal_model.training is None


ALL_ENDINGS = ENDINGS | {
    "cancelled": lambda browser, _: browser.delete(f"{URL}/training"),
    "forgotten": lambda browser, _: browser.delete(URL),
}


@pytest.mark.parametrize("ending", ALL_ENDINGS)
def test_p6_a_model_whose_consent_ends_while_it_is_taken_over_is_gone(person, tmp_path, monkeypatch, ending):
    """P6. Break: no look at the consent in ``_take_over``."""
    token = person.agree()
    verifier = person.services.comparer.verifier
    loading, go_on = threading.Event(), threading.Event()
    real = personal_model.verifier_of

    def load(model):
        made = real(model)
        loading.set()
        assert go_on.wait(PATIENCE)
        return made

    monkeypatch.setattr(personal_model, "verifier_of", load)
    prepared = write_model(tmp_path / "elsewhere" / "my_model")
    trained_by(person, succeeds_with(prepared))
    train(person)
    training = person.services.personal_model.training
    assert loading.wait(PATIENCE)
    ALL_ENDINGS[ending](person, token)
    go_on.set()
    follow_to_its_end()
    assert training.state == "cancelled"
    assert person.services.comparer.verifier is verifier
    assert not person.services.personal_model.in_use
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_p6_a_model_that_stood_before_stands_after_a_training_was_cancelled(person, tmp_path, monkeypatch):
    """P6. Break: no look at the training's state before its model takes its place."""
    consent = person.services.consents.find(person.agree()).key
    own = person.services.personal_model
    before = (write_model(own.place, seed=1) / "model.h5").read_bytes()
    other = write_model(tmp_path / "elsewhere" / "my_model", seed=2)

    def cancel(_: object) -> None:
        own.cancel(consent)
        shutil.copytree(other, personal.new_folder(own.place))  # of another training, which has begun meanwhile
        personal.work_folder(own.place).mkdir()

    monkeypatch.setattr(personal_model, "verifier_of", cancel)
    trained_by(person, succeeds_with(other))
    train(person)
    assert ended(person)["state"] == "cancelled"
    assert (own.place / "model.h5").read_bytes() == before


def test_a_consent_that_stands_is_answered_after_waiting(person, slow, hopper):
    before = Browser(person.app)
    before.agree()
    holder, _ = begun(before.verify)
    assert slow.entered.wait(PATIENCE)
    person.agree()
    files = [FileStorage(io.BytesIO(face(seed)), "face.png") for seed in range(FEWEST_PHOTOS)]
    trained_by(person, "")
    waiters = [
        begun(lambda: person.send("/api/v1/detect", {"photo": hopper})),
        begun(lambda: person.send(f"{URL}/training", {}, face=files, keep_model="yes")),
    ]
    slow.leave.set()
    for thread in (holder, *(thread for thread, _ in waiters)):
        thread.join(PATIENCE)
    assert [answers[0].status_code for _, answers in waiters] == [200, 202]
