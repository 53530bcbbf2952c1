"""What the browser tests share: a server, a browser with a camera fed from a file, a page."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sample_photos
from PIL import Image

from flaskapp.app import create_app
from flaskapp.web.settings import services

if os.environ.get("CI"):
    # There the page must be tested: what is missing is an error and no reason to skip.
    import axe_playwright_python  # noqa: F401
    import playwright  # noqa: F401

if TYPE_CHECKING:
    from page_driver import Driver, RunningServer, SteeredVerifier
    from playwright.sync_api import Browser

HERE = Path(__file__).parent

SETTINGS = {"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0, "FR_ALLOWED_HOSTS": "localhost,faces.test"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromium() -> str:
    pytest.importorskip("playwright.sync_api")
    from page_driver import chromium_path

    path = chromium_path()
    if not path:
        lack = "there is no Chromium; set CHROMIUM to its path"
        pytest.fail(lack) if os.environ.get("CI") else pytest.skip(lack)
    return path


@pytest.fixture(scope="session")
def chromium_browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    from page_driver import launch
    from playwright.sync_api import sync_playwright

    film = sample_photos.camera_film(tmp_path_factory.mktemp("camera"))
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium, chromium, film)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def session_verifier(chromium: str) -> SteeredVerifier:
    # Asks for the browser: where there is none, no detector need be loaded.
    from page_driver import SteeredVerifier

    return SteeredVerifier()


@pytest.fixture
def verifier(session_verifier: SteeredVerifier) -> SteeredVerifier:
    session_verifier.reset()
    return session_verifier


@pytest.fixture(scope="session")
def server(session_verifier: SteeredVerifier) -> Iterator[RunningServer]:
    from page_driver import RunningServer

    with RunningServer(create_app(SETTINGS, session_verifier)) as running:
        yield running


@pytest.fixture(scope="session")
def spare_windows(server: RunningServer) -> Iterator[dict[str, list[Driver]]]:
    """Return windows that earlier tests have left as good as new, by what they were opened with."""
    windows: dict[str, list[Driver]] = {}
    yield windows
    for window in itertools.chain(*windows.values()):
        window.context.close()


@pytest.fixture
def visit(
    chromium_browser: Browser, server: RunningServer, verifier: SteeredVerifier, spare_windows: dict[str, list[Driver]]
) -> Iterator[Callable[..., Driver]]:
    """Return a function that opens a browser window, with Playwright's settings for a context.

    Whatever a test does, the page must ask nobody but the server, and must not complain: a
    breach of the Content-Security-Policy, for one, is a complaint.
    """
    from page_driver import Driver

    windows = []

    def open_one(address: str = server.address, **settings: Any) -> Driver:
        kind = repr((address, sorted(settings.items())))
        spare = spare_windows.setdefault(kind, [])
        window = (
            spare.pop() if spare else Driver(chromium_browser.new_context(**({"locale": "en-GB"} | settings)), address)
        )
        windows.append((kind, window))
        return window

    yield open_one
    foreign = [url for _, window in windows for url in window.foreign_requests]
    complaints = [words for _, window in windows for words in window.complaints]
    for kind, window in windows:
        if window.can_be_renewed:
            spare_windows[kind].append(window.renew())
        else:
            window.context.close()
    assert foreign == []
    assert complaints == []


@pytest.fixture
def end_consents(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that lets all consents run out on the server, of which the page cannot know."""
    consents = services(server.app).consents

    def end_all() -> None:
        later = consents.now() + consents.lifetime.total_seconds()
        monkeypatch.setattr(consents, "now", lambda: later)

    return end_all


@pytest.fixture
def page(visit: Callable[..., Driver]) -> Driver:
    """Return a window in which consent was given."""
    return visit().agree()


@pytest.fixture(scope="session")
def group_photo() -> bytes:
    """Return a JPEG of two people."""
    return sample_photos.encoded(sample_photos.group_photo(), "JPEG", quality=92)


@pytest.fixture(scope="session")
def landscape() -> bytes:
    """Return a PNG without a face."""
    return sample_photos.encoded(sample_photos.landscape(), "PNG")


@pytest.fixture(scope="session")
def heic_portrait() -> bytes:
    return sample_photos.heic(Image.open(sample_photos.HOPPER))


@pytest.fixture(scope="session")
def heic_group() -> bytes:
    return sample_photos.heic(sample_photos.group_photo())


@pytest.fixture(scope="session")
def hopper_file() -> Path:
    return sample_photos.HOPPER


@pytest.fixture(scope="session")
def collins_file() -> Path:
    return sample_photos.COLLINS
