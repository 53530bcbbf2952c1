"""Drives the page in a real browser, as a person would; and the server behind it."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import cast

import numpy as np
import waitress
from flask import Flask
from playwright.sync_api import (
    Browser,
    BrowserContext,
    BrowserType,
    ConsoleMessage,
    FilePayload,
    Locator,
    Page,
    Request,
    expect,
)

from flaskapp.detection import Face
from flaskapp.errors import PhotoError
from flaskapp.evaluation.calibration import Trust
from flaskapp.evaluation.decisions import decide
from flaskapp.personal.model import PersonalInfo
from flaskapp.preprocess import TEMPLATE, Photo
from flaskapp.quality import LIMITS, Quality, measured
from flaskapp.verifier import OUT_OF_SCOPE, STAGES, FaceInPhoto, Verification, Verifier, reference_labels
from flaskapp.weights.info import WeightsInfo
from flaskapp.weights.runtime import Runtime

PATIENCE_MS = 60_000
"""How long a step may take; a machine that trains a network meanwhile is slow."""

INSECURE_HOST = "faces.test"
"""A name that leads to this machine, which browsers do not trust as they trust localhost."""

WEIGHTS = WeightsInfo(
    name="measured",
    sha256="0123456789ab" + "0" * 52,
    threshold=0.5,
    inconclusive_band=(0.4, 0.6),
    error_counts={
        "impostor": {"match": 7, "inconclusive": 193, "non_match": 9800, "out_of_scope": 0},
        "genuine": {"match": 4700, "inconclusive": 252, "non_match": 48, "out_of_scope": 0},
    },
    trust=Trust((0.0, 1.0), 8.0),
    grade_bounds=(0.7, 0.9),
    details={"terms": "For tests."},
)
SCOPE = {"stranger_pairs": 900, "strangers_out": 890, "owner_pairs": 20, "owner_out": 1}
PERSONAL = PersonalInfo(
    **vars(replace(WEIGHTS, name="my_model", details={"personal": {}, "figures": {"scope": SCOPE}})),
)


def chromium_path() -> str | None:
    """Return where Chromium is: named by CHROMIUM, or on the PATH."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def launch(chromium: BrowserType, path: str, camera_film: Path) -> Browser:
    """Start Chromium without a screen, with a film in place of a camera."""
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
    return chromium.launch(executable_path=path, args=switches, timeout=PATIENCE_MS)


class PixelRuntime:
    """Grades photos by their pixels alone: the better, the longer the embedding."""

    info = WEIGHTS
    FRONTAL = Face((0.0, 0.0, 100.0, 100.0), TEMPLATE, 1.0)

    def embed(self, faces: np.ndarray) -> np.ndarray:
        measures = measured(np.round(faces[0] * 255).astype(np.uint8), self.FRONTAL)
        worst = max(limit.excess(measures[name]) for name, limit in LIMITS.items())
        return np.full((1, 1), 0.95 if worst <= 0 else 0.8 if worst < 0.5 else 0.3)


class SteeredVerifier:
    """Finds faces as the real one does, once in each photo, grades them by pixels, gives the score that a test wants.

    Attributes:
        weights: what is said of the weights.
        knows: False: of the next comparisons it knows nobody, as a personal model of strangers.
        score: of the next comparisons.
        known_photos: how many it knows of its owner, as a personal model.
        odd: references, by number, that do not look like the others.
        raises: error of the next comparison, or None.
        delay_s: seconds that a comparison takes.
        most_at_once: most comparisons that were under way at the same time.
    """

    def __init__(self) -> None:
        self._reader = Verifier(cast(Runtime, PixelRuntime()))
        # An error is not kept, and each frame of the camera is another photo.
        self._read_once = functools.lru_cache(500)(self._reader.embed)
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Behave as at first."""
        self.score, self.delay_s, self.most_at_once, self._under_way = 0.9, 0.0, 0, 0
        self.odd: tuple[int, ...] = ()
        self.known_photos = 0
        self.raises: Exception | None = None
        self.calls: list[tuple[int | None, ...]] = []
        self.weights, self.knows = WEIGHTS, True

    def read(self, photo: bytes, number: int | None = None) -> FaceInPhoto:
        return self._read_once(photo, number)[0]

    def grade(self, photo: Photo, faces: Sequence[Face]) -> list[Quality]:
        return self._reader.grade(photo, faces)

    def verify(
        self,
        reference: bytes | Sequence[bytes],
        probe: bytes,
        reference_face: int | Sequence[int | None] | None = None,
        probe_face: int | None = None,
        probe_choice: str = "refuse",  # noqa: ARG002 - the film shows one person
    ) -> Verification:
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            references = [reference] if isinstance(reference, bytes) else list(reference)
            chosen = list(reference_face) if isinstance(reference_face, Sequence) else [reference_face]
            return self._verify(references, probe, chosen, probe_face)
        finally:
            self._under_way -= 1

    def _verify(
        self, references: list[bytes], probe: bytes, chosen: list[int | None], second: int | None
    ) -> Verification:
        self.calls.append((*chosen, second))
        time.sleep(self.delay_s)
        if self.raises:
            raise self.raises
        told = zip(reference_labels(len(references)), references, chosen, strict=True)
        first = tuple(self._read_as(*one) for one in told)
        new = self._read_as("probe", probe, second)
        weights, times = self.weights.for_references(self.known_photos or len(first)), dict.fromkeys(STAGES, 1.0)
        band = weights.inconclusive_band
        decision = decide(self.score, band) if self.knows else OUT_OF_SCOPE
        counts = weights.verdict_counts(decision, (first[0].quality.grade, new.quality.grade) if first else None)
        known = 0 if first else self.known_photos
        return Verification(
            decision,
            self.score,
            band,
            weights.threshold,
            first,
            new,
            weights.weights_id,
            counts,
            times,
            self.odd,
            known,
        )

    def _read_as(self, label: str, photo: bytes, number: int | None) -> FaceInPhoto:
        try:
            return self.read(photo, number)
        except PhotoError as error:
            error.for_photo(label)
            raise


class RunningServer:
    """The server on a free port of this machine."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._server = waitress.create_server(app, host="127.0.0.1", port=0, threads=8)
        self.port = self._server.effective_port
        self.address = f"http://localhost:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closing pulls the socket from under the loop
            self._server.run()

    def __enter__(self) -> RunningServer:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.close()
        self._thread.join(10)


NO_COMPLAINTS = (
    "Failed to load resource",  # answers of 4xx, which tests provoke
    "Cross-Origin-Opener-Policy header has been ignored",  # as it is on an insecure address
)


class Driver:
    """One page in one browser context, with all that it asked for and complained of."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        self.context, self.address = context, address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.can_be_renewed, self._watches_camera = True, False
        context.on("request", self._note_request)
        self.page: Page = context.new_page()
        self.page.on("console", self._note_console)
        # Playwright sets its trap for file choosers only while somebody listens, and a key may overtake that.
        self.page.on("filechooser", lambda _: None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._size = self.page.viewport_size

    def renew(self) -> Driver:
        """Be as a window that was just opened: nothing is shown, agreed to, granted, or routed elsewhere.

        Opening one costs a second of processor time, most of which goes into the browser's processes.
        """
        self.page.unroute_all(behavior="ignoreErrors")
        self.context.unroute_all(behavior="ignoreErrors")
        self.open("/healthz")  # a blank page would be another site's, which costs a process
        self.context.clear_cookies()
        self.context.clear_permissions()
        if self._size and self.page.viewport_size != self._size:
            self.page.set_viewport_size(self._size)
        self.requests.clear()
        self.complaints.clear()
        return self

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _note_console(self, message: ConsoleMessage) -> None:
        unknown = "Unrecognized feature" in message.text  # in Permissions-Policy: a warning on every page
        if (message.type == "error" or unknown) and not any(words in message.text for words in NO_COMPLAINTS):
            self.complaints.append(message.text)

    @property
    def foreign_requests(self) -> list[str]:
        """What was asked of anybody but the server. blob: never leaves the browser."""
        own = (self.address, f"blob:{self.address}")
        return [url for url in self.requests if not url.startswith(own)]

    def find(self, selector: str, has_text: str | None = None) -> Locator:
        return self.page.locator(selector, has_text=has_text)

    def boxes(self, *selectors: str) -> list[dict[str, float]]:
        """Return where these lie on the screen, at one moment: the page may still be scrolling to its next step."""
        box_of = "(selector) => document.querySelector(selector).getBoundingClientRect().toJSON()"
        return cast("list[dict[str, float]]", self.page.evaluate(f"(all) => all.map({box_of})", selectors))

    def open(self, path: str = "/") -> Driver:
        self.page.goto(self.address + path)
        return self

    def agree(self) -> Driver:
        """Open the page and go through step 1."""
        self.open()
        self.page.get_by_label("I have read the privacy notice").check()
        self.page.get_by_label("I am 18 or older").check()
        self.page.get_by_role("button", name="Agree and continue").click()
        expect(self.find("#photos")).to_be_visible()
        return self

    def choose(self, label: str, photo: Path | FilePayload) -> Driver:
        """Choose a file, and wait until the page has looked at it."""
        self.find(f"#{label}-file").set_input_files(photo)
        return self.settled(label)

    def add(self, *photos: Path | FilePayload) -> Driver:
        """Choose more photos of the person, and wait until the page has looked at them."""
        before = self.find(".tile").count()
        self.find("#more-file").set_input_files(in_memory(photos))
        expect(self.find(".tile:is([data-state=ready], [data-state=failed])")).to_have_count(before + len(photos))
        return self

    def settled(self, label: str) -> Driver:
        """Wait until the page has looked at a photo."""
        self.find(f"#{label}-slot:is([data-state=ready], [data-state=failed])").wait_for()
        return self

    def set_mode(self, name: str) -> Driver:
        """Compare with "A photo" or the "Live webcam"."""
        self.page.get_by_role("radio", name=name).check()
        return self

    def compare(self) -> Driver:
        self.page.get_by_role("button", name="Compare Faces").click()
        return self

    def send(self, reference: Path | FilePayload, probe: Path | FilePayload) -> Driver:
        """Choose both photos and compare, without waiting for a script to look at them."""
        self.find("#reference-file").set_input_files(reference)
        self.find("#probe-file").set_input_files(probe)
        return self.compare()

    def expect_error(self, where: str, code: str, *words: str) -> None:
        """Hold the error beside a photo by its code and words, and that assistive technology is told of it."""
        expect(self.find(f"#{where}-error")).to_be_visible()
        expect(self.find(f"#{where}-error")).to_have_attribute("data-code", code)
        for part in words:
            expect(self.find(f"#{where}-error")).to_contain_text(part)
        if where in ("reference", "probe"):
            described = self.find(f"#{where}-file").get_attribute("aria-describedby") or ""
            assert f"{where}-error" in described.split()
            expect(self.find(f"#{where}-file")).to_have_attribute("aria-invalid", "true")

    def hand_over(self, selector: str, kind: str, files: list[tuple[str, str, bytes]], text: str = "") -> None:
        """Drop or paste files (name, type, bytes) or text on an element."""
        packed = [[name, mime, base64.b64encode(data).decode()] for name, mime, data in files]
        self.find(selector).evaluate(HAND_OVER, [kind, packed, text])

    def live_tracks(self) -> int:
        """Return how many camera tracks are on; needs ``watch_camera`` before the page was opened."""
        return cast(int, self.page.evaluate("window.tracks.filter((track) => track.readyState === 'live').length"))

    def expect_camera_off(self) -> None:
        """Wait until no camera track is on; the browser tells the page of a closed dialog a moment later."""
        # A function, not an expression: Playwright reads an expression anew each time it asks, which the
        # page's Content-Security-Policy forbids from the second time on.
        self.page.wait_for_function("() => window.tracks.every((track) => track.readyState === 'ended')")

    def watch_camera(self) -> Driver:
        if not self._watches_camera:
            self.context.add_init_script(WATCH_CAMERA)
            self._watches_camera = True
        return self

    def run_first(self, script: str) -> Driver:
        """Run a script before each page's own; it cannot be taken back, so this window is not renewed."""
        self.context.add_init_script(script)
        self.can_be_renewed = False
        return self

    def break_camera(self, error: str) -> Driver:
        """Make the browser answer every wish for a camera with an error of this name."""
        return self.run_first(
            f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{error}'))"
        )

    def is_blank(self, canvas: str) -> bool:
        """Say whether nothing is drawn on a canvas."""
        return cast(bool, self.find(canvas).evaluate(IS_BLANK))

    def sideways_scroll(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        root = "document.documentElement"
        return cast(int, self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))


def in_memory(photos: Sequence[Path | FilePayload]) -> list[FilePayload]:
    """Return photos as Playwright takes several, which lie all on disk or all in memory."""
    return [
        {"name": one.name, "mimeType": "image/jpeg", "buffer": one.read_bytes()} if isinstance(one, Path) else one
        for one in photos
    ]


HAND_OVER = """(target, [kind, files, text]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  if (text) transfer.setData("text/plain", text);
  const more = { bubbles: true, cancelable: true };
  if (kind === "paste") target.dispatchEvent(new ClipboardEvent("paste", { ...more, clipboardData: transfer }));
  else for (const type of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(type, { ...more, dataTransfer: transfer }));
}"""

IS_BLANK = """(canvas) => !canvas.width || !canvas.height ||
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.every((byte) => byte === 0)"""

WATCH_CAMERA = """
window.tracks = [];
const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (open) navigator.mediaDevices.getUserMedia = async (wish) => {
  const stream = await open(wish);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""
