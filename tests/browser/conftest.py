"""What the browser tests share: a server, a browser with a camera fed from a file, a page."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from flaskapp.app import create_app

if TYPE_CHECKING:
    from page_driver import Driver, RunningServer, SteeredVerifier
    from playwright.sync_api import Browser

HERE = Path(__file__).parent
PORTRAITS = HERE.parent.parent / "flaskapp" / "static" / "portraits"

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
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium; set CHROMIUM to its path")
    return path


@pytest.fixture(scope="session")
def camera_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a film, for the camera, of a portrait that sways a little."""
    portrait = Image.open(PORTRAITS / "grace_hopper.jpg").resize((410, 480))
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    with film.open("wb") as file:
        for step in np.abs(np.arange(-10, 10)):
            frame = Image.new("RGB", (640, 480), (90, 100, 110))
            frame.paste(portrait, (115 + int(step), 0))
            frame.save(file, "JPEG", quality=92)
    return film


@pytest.fixture(scope="session")
def chromium_browser(chromium: str, camera_film: Path) -> Iterator[Browser]:
    from page_driver import INSECURE_HOST, PATIENCE_MS
    from playwright.sync_api import sync_playwright

    switches = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_film}",
        f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-gpu",
        "--disable-sync",
        "--no-first-run",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=switches, timeout=PATIENCE_MS)
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


@pytest.fixture
def visit(
    chromium_browser: Browser, server: RunningServer, verifier: SteeredVerifier
) -> Iterator[Callable[..., Driver]]:
    """Return a function that opens a browser window, with Playwright's settings for a context.

    Whatever a test does, the page must ask nobody but the server, and must not complain: a
    breach of the Content-Security-Policy, for one, is a complaint.
    """
    from page_driver import Driver

    windows = []

    def open_one(address: str = server.address, **settings: Any) -> Driver:
        window = Driver(chromium_browser.new_context(**({"locale": "en-GB"} | settings)), address)
        windows.append(window)
        return window

    yield open_one
    for window in windows:
        window.context.close()
    assert [url for window in windows for url in window.foreign_requests] == []
    assert [words for window in windows for words in window.complaints] == []


@pytest.fixture
def page(visit: Callable[..., Driver]) -> Driver:
    """Return a window in which consent was given."""
    return visit().agree()


@pytest.fixture(scope="session")
def group_photo() -> bytes:
    """Return a JPEG of two people: the two portraits side by side, 900×500."""
    group = Image.new("RGB", (900, 500), (200, 205, 210))
    for place, name in enumerate(("grace_hopper.jpg", "eileen_collins.jpg")):
        group.paste(Image.open(PORTRAITS / name).resize((440, 500)), (5 + 450 * place, 0))
    return _encoded(group, "JPEG", quality=92)


@pytest.fixture(scope="session")
def landscape() -> bytes:
    """Return a PNG without a face."""
    rows = np.linspace(90, 220, 240, dtype=np.uint8)[:, None, None]
    return _encoded(Image.fromarray(np.broadcast_to(rows, (240, 320, 3)).copy()), "PNG")


@pytest.fixture(scope="session")
def heic_portrait() -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.open(PORTRAITS / "grace_hopper.jpg")).save(buffer, quality=80)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def heic_group(group_photo: bytes) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.open(io.BytesIO(group_photo))).save(buffer, quality=80)
    return buffer.getvalue()


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def hopper_file() -> Path:
    return PORTRAITS / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def collins_file() -> Path:
    return PORTRAITS / "eileen_collins.jpg"
