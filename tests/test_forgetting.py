"""After an answer and after an error, nothing of a photo is left, and no collector is needed for that."""

from __future__ import annotations

import gc
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from weights_files import write_weights_files

from flaskapp import preprocess
from flaskapp.errors import (
    BadFaceNumberError,
    NoFaceError,
    PhotoError,
    SeveralFacesError,
    TruncatedPhotoError,
)
from flaskapp.verifier import Verifier
from flaskapp.web.comparing import Comparer
from flaskapp.weights.runtime import Runtime

PATIENCE = 10  # seconds


def as_png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def verifier(tmp_path_factory) -> Verifier:
    return Verifier(Runtime(write_weights_files(tmp_path_factory.mktemp("weights"))))


@pytest.fixture(scope="module")
def nobody() -> bytes:
    return as_png(np.full((200, 300, 3), 128, np.uint8))


@pytest.fixture(scope="module")
def both(hopper_pixels, collins_pixels) -> bytes:
    return as_png(np.hstack([hopper_pixels[:512], collins_pixels]))


@pytest.fixture
def decoded(monkeypatch) -> list[weakref.ref]:
    """Return a list that gets a weak reference to every photo's pixels as they are decoded."""
    seen: list[weakref.ref] = []
    decode = preprocess.decode_photo

    def watched(data: bytes) -> preprocess.Photo:
        photo = decode(data)
        seen.append(weakref.ref(photo.pixels))
        return photo

    monkeypatch.setattr(preprocess, "decode_photo", watched)
    return seen


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ends_with(work: Callable[[], object]) -> type[PhotoError] | None:
    """Do it, and return the kind of error that it ended with; pytest.raises would keep the error itself."""
    try:
        work()
    except PhotoError as error:
        return type(error)
    return None


def references(photos: dict[str, bytes]) -> list[int]:
    """Return how many references there are to each photo's bytes, which no weak one can watch."""
    return [sys.getrefcount(data) for data in photos.values()]


def soon(holds: Callable[[], bool]) -> bool:
    """Say whether something holds before long: a thread that has handed over its result is still putting it down."""
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("verify", None),
        ("nobody", NoFaceError),
        ("several", SeveralFacesError),
        ("index", BadFaceNumberError),
        ("cut", TruncatedPhotoError),
        ("live, nobody", None),
        ("live, several", None),
        ("live, nobody in the reference", NoFaceError),
        ("detect, nobody", None),
        ("detect, cut", TruncatedPhotoError),
    ],
)
def test_no_pixel_and_no_byte_outlives_its_request(
    verifier, nobody, both, hopper, collins, decoded, no_collector, kind, outcome
):
    comparer = Comparer(verifier, under_way=1)
    cut = hopper[:20_000]
    photos = {"hopper": hopper, "collins": collins, "both": both, "nobody": nobody, "cut": cut}
    work = {
        "verify": lambda: comparer.compare(hopper, collins),
        "nobody": lambda: comparer.compare(hopper, nobody),
        "several": lambda: comparer.compare(both, hopper),
        "index": lambda: comparer.compare(hopper, collins, 7),
        "cut": lambda: comparer.compare(hopper, cut),
        "live, nobody": lambda: comparer.compare_frame([hopper], nobody),
        "live, several": lambda: comparer.compare_frame([hopper], both),
        "live, nobody in the reference": lambda: comparer.compare_frame([nobody], hopper),
        "detect, nobody": lambda: comparer.detect(nobody),
        "detect, cut": lambda: comparer.detect(cut),
    }[kind]
    before = references(photos)
    assert ends_with(work) is outcome
    assert decoded or "cut" in kind
    assert soon(lambda: not any(pixels() is not None for pixels in decoded))
    assert soon(lambda: references(photos) == before)
