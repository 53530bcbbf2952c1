"""What the tests share: the packaged portraits, the photos beside the checkout, the marks."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from flaskapp.preprocess import decode_photo

ROOT = Path(__file__).resolve().parent.parent
PORTRAITS = ROOT / "tests" / "portraits"
SHARED = Path(os.environ.get("FR_SHARED", ROOT.parent / "shared"))

# What ``nohup``, or a shell that starts a job behind itself, passes over, every process below it would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if os.name == "posix":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine lacks the means for; files with slow tests first.

    Processes that share the files out would else wait for one that came to a long file last.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    lacking = {
        "needs_shared": None if SHARED.is_dir() else "the photos beside the checkout are absent",
        "needs_tensorflow": None if importlib.util.find_spec("tensorflow") else "the [train] extra is not installed",
    }
    for item in items:
        for mark, reason in lacking.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of data beside the checkout; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the photos beside the checkout are absent")
    return SHARED


@pytest.fixture(scope="session")
def photos(shared: Path) -> Path:
    """Return the folder of full photos beside the checkout."""
    return shared / "photos"


@pytest.fixture(scope="session")
def hopper() -> bytes:
    """Return the JPEG of Grace Hopper, 512×600."""
    return (PORTRAITS / "grace_hopper.jpg").read_bytes()


@pytest.fixture(scope="session")
def collins() -> bytes:
    """Return the JPEG of Eileen Collins, 512×512."""
    return (PORTRAITS / "eileen_collins.jpg").read_bytes()


@pytest.fixture(scope="session")
def hopper_pixels(hopper: bytes) -> np.ndarray:
    """Return Grace Hopper, uint8 (600, 512, 3) RGB, read-only."""
    return decode_photo(hopper).pixels


@pytest.fixture(scope="session")
def collins_pixels(collins: bytes) -> np.ndarray:
    """Return Eileen Collins, uint8 (512, 512, 3) RGB, read-only."""
    return decode_photo(collins).pixels
