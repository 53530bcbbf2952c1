"""What the tests of the web door share: apps, and browsers before and after consent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from web_helpers import Browser, FakeVerifier
from weights_files import write_weights_files

from flaskapp.app import create_app
from flaskapp.verifier import Verifier
from flaskapp.web import personal_model
from flaskapp.weights.info import default_weights_path
from flaskapp.weights.runtime import Runtime

UNLIMITED = {"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0}


@pytest.fixture(autouse=True)
def can_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers train where the libraries for it are missing: what trains here is mostly a stand-in."""
    monkeypatch.setattr(personal_model, "NEEDED", ())


@pytest.fixture
def verifier() -> FakeVerifier:
    return FakeVerifier()


@pytest.fixture
def open_browser(verifier: FakeVerifier) -> Callable[..., Browser]:
    """Return a function that makes a browser with an app of its own, given settings."""

    def open_one(**config: Any) -> Browser:
        return Browser(create_app(UNLIMITED | config, verifier))

    return open_one


@pytest.fixture
def browser(open_browser: Callable[..., Browser]) -> Browser:
    return open_browser()


@pytest.fixture
def agreed(browser: Browser) -> Browser:
    """Return a browser whose person has agreed."""
    browser.agree()
    return browser


@pytest.fixture(scope="session")
def shipped() -> Verifier:
    """Return a verifier with the shipped weights."""
    if not default_weights_path().exists():
        pytest.skip("the weights have not landed yet")
    return Verifier()


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """Return a verifier that does all the work, with weights that have learned nothing."""
    return Verifier(Runtime(write_weights_files(tmp_path_factory.mktemp("weights"))))


@pytest.fixture
def working(untrained: Verifier) -> Browser:
    """Return a browser whose person has agreed, before a server that really looks at photos."""
    browser = Browser(create_app(UNLIMITED, untrained))
    browser.agree()
    return browser
