"""Takes the pictures of the page at the README's top: ``make screenshots``.

With a folder as its argument it takes every state there instead, in every window, light and
dark: for whoever changes how the page looks.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from page_driver import PERSONAL, Driver, RunningServer, SteeredVerifier, chromium_path, launch
from playwright.sync_api import Browser, expect, sync_playwright
from sample_photos import blurred, camera_film, encoded, sample_files, upload
from states import OWNED_STATES, PLAIN_STATES, SCHEMES, STATES, WINDOWS, State, name_of, stop_motion

from flaskapp.app import create_app
from flaskapp.verifier import Verifier

IMAGES = Path(__file__).resolve().parent.parent.parent / "images"
README_WINDOW = {"viewport": {"width": 1000, "height": 780}}


@contextmanager
def opened() -> Iterator[tuple[Browser, str]]:
    """Start the server with the shipped weights and a browser; return it and the address."""
    path = chromium_path()
    if not path:
        raise SystemExit("There is no Chromium; set CHROMIUM to its path.")
    app = create_app({"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0}, Verifier())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright, RunningServer(app) as server:
        browser = launch(playwright.chromium, path, camera_film(Path(folder)))
        yield browser, server.address
        browser.close()


def shown_files() -> dict[str, Any]:
    """Return what the states are shown with: blurred until the shipped weights, too, say fair and poor."""
    strengths = {"fair": 6.4, "poor": 10}
    strong = {name: encoded(blurred(radius), "JPEG", quality=92) for name, radius in strengths.items()}
    return sample_files() | {name: upload(photo, f"{name}.jpg", "image/jpeg") for name, photo in strong.items()}


def take_for_readme(browser: Browser, address: str) -> None:
    """Take the page at the start, and the page with a match of two sample photos."""
    window = Driver(browser.new_context(locale="en-GB", **README_WINDOW), address)
    window.open().page.screenshot(path=IMAGES / "image1.png", full_page=True)
    window.agree().page.get_by_role("button", name="Try with sample photos of one person").click()
    window.settled("reference").settled("probe").compare()
    expect(window.find("#verdict-word")).to_have_text("Match")
    window.page.screenshot(path=IMAGES / "image2.png", full_page=True)
    window.context.close()


def take_every_state(browser: Browser, address: str, folder: Path) -> None:
    """Take each state in each window, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for size, settings in WINDOWS.items():
        for state in STATES:
            take_state(browser, address, state, folder / f"{name_of(state)}-{size}", settings)
        for state in PLAIN_STATES:
            plain = settings | {"java_script_enabled": False}
            take_state(browser, address, state, folder / f"{name_of(state)}-{size}", plain)
    owned = SteeredVerifier()
    owned.weights, owned.known_photos = PERSONAL, 15
    with RunningServer(create_app({"FR_LIVE_RATE_LIMIT": 0}, owned)) as server:
        for size, settings in WINDOWS.items():
            for state in OWNED_STATES:
                take_state(browser, server.address, state, folder / f"{name_of(state)}-{size}", settings)


def take_state(browser: Browser, address: str, state: State, file: Path, settings: dict[str, object]) -> None:
    """Take one state, light and dark."""
    window = Driver(browser.new_context(locale="en-GB", reduced_motion="reduce", **settings), address)
    state(window, shown_files())
    stop_motion(window)
    for scheme in SCHEMES:
        window.page.emulate_media(color_scheme=scheme)
        window.page.screenshot(path=f"{file}-{scheme}.png", full_page=True)
    print(file.name)
    window.context.close()


def main() -> None:
    """Take what was asked for."""
    logging.disable()
    with opened() as (browser, address):
        if len(sys.argv) > 1:
            take_every_state(browser, address, Path(sys.argv[1]))
        else:
            take_for_readme(browser, address)


if __name__ == "__main__":
    main()
