"""Photos that show more faces, or more that looks like faces, than anybody compares."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flaskapp.detection import Detection, Detector, detector, networks
from tests.conftest import ROOT

SIDE = 2048


def collage(hopper_pixels: np.ndarray, face: int) -> np.ndarray:
    """Return a square of 2048 pixels full of Hopper's face, ``face`` pixels wide each time."""
    head = cv2.resize(hopper_pixels[110:300, 170:360], (face, face), interpolation=cv2.INTER_AREA)
    times = -(-SIDE // face)
    return np.ascontiguousarray(np.tile(head, (times, times, 1))[:SIDE, :SIDE])


@pytest.mark.slow
@pytest.mark.parametrize("face", [32, 160])
def test_a_crowd_takes_no_more_than_its_share(hopper_pixels, face):
    given: dict[str, list[int]] = {name: [] for name in networks.FILES}

    class Counted(networks.Network):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.given = given[name]

        def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
            self.given.append(len(images))
            return super().__call__(images)

    found = Detector(load=Counted).search(collage(hopper_pixels, face))
    assert 50 <= len(found) <= detector.MOST_FACES
    assert found.more_faces
    assert max(given["rnet"]) <= detector.MOST_GUESSES
    assert sum(given["onet"]) <= detector.MOST_LIKELY + 8 * detector.MOST_FACES


def test_whoever_stands_before_a_crowd_is_found(hopper_pixels):
    photo = collage(hopper_pixels, 48)
    photo[700:1300, 800:1312] = hopper_pixels
    found = Detector().search(photo)
    tallest = max(found, key=lambda face: face.height)
    assert tallest.height > 150
    assert np.abs(np.subtract(tallest.landmarks[2], (1068, 940))).max() < 10


def test_a_photo_of_two_people_shows_no_more(hopper_pixels, collins_pixels):
    found = Detector().search(np.hstack([collins_pixels, hopper_pixels[:512]]))
    assert (len(found), found.more_faces, found.notes) == (2, False, ())


def test_a_crowd_is_told():
    (note,) = Detection((), (9, 9), 40, more_faces=True).notes
    assert "more faces" in note


def test_batches_change_nothing_of_an_answer():
    network = networks.Network("onet")
    images = np.random.default_rng(0).uniform(0, 255, (130, 48, 48, 3)).astype(np.float32)
    together, one_by_one = network(images), [network(image[None]) for image in images]
    for name, answer in together.items():
        assert np.allclose(answer, np.concatenate([each[name] for each in one_by_one]), atol=1e-4)


PEAK = """
import re, sys
import numpy as np
from flaskapp.detection import default_detector
from tests.conftest import ROOT
finder, small, photo = default_detector(), np.load(sys.argv[1]), np.load(sys.argv[2])
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) // 1024
finder.search(small)
rest = peak()
finder.search(photo)
print(peak() - rest)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a process's peak is asked for otherwise")
def test_p9_a_collage_of_four_thousand_faces_costs_little_memory(hopper_pixels, tmp_path):
    small, photo = tmp_path / "small.npy", tmp_path / "photo.npy"
    np.save(small, hopper_pixels)
    np.save(photo, collage(hopper_pixels, 32))
    command = [sys.executable, "-c", PEAK, str(small), str(photo)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200, "megabytes over what a portrait takes"
