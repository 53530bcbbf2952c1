"""For a comparison the largest face is sought first, and then only those at least a third as high."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flaskapp.detection import Detector, Face, detector, networks
from flaskapp.preprocess.selection import PROMINENT_HEIGHT, prominent_faces


class Counted(networks.Network):
    """A network that knows what it was given: images and pixels."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.images: list[int] = []
        self.pixels = 0

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.images.append(len(images))
        self.pixels += images.shape[1] * images.shape[2]
        return super().__call__(images)


@pytest.fixture
def given() -> dict[str, Counted]:
    return {name: Counted(name) for name in networks.FILES}


@pytest.fixture
def finder(given) -> Detector:
    return Detector(load=given.get)


def placed(*portraits: np.ndarray, size_wh: tuple[int, int] = (1280, 960)) -> np.ndarray:
    """Return a grey photo with portraits beside each other."""
    photo, left = np.full((size_wh[1], size_wh[0], 3), 127, np.uint8), 0
    for portrait in portraits:
        photo[: portrait.shape[0], left : left + portrait.shape[1]] = portrait
        left += portrait.shape[1]
    return photo


def scaled(portrait: np.ndarray, scale: float) -> np.ndarray:
    return cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def from_large_to_small(finder: Detector, photo: np.ndarray) -> tuple[Face, ...]:
    return prominent_faces(finder.search(photo, PROMINENT_HEIGHT).faces)


@pytest.mark.parametrize("scale", [1.6, 1.0, 0.5, 0.2])
@pytest.mark.parametrize("quarters", [0, 1, 2])
def test_the_largest_face_is_the_one_that_is_found_among_all_to_the_bit(finder, hopper_pixels, scale, quarters):
    photo = np.ascontiguousarray(np.rot90(placed(scaled(hopper_pixels, scale)), quarters))
    everybody, found = finder.search(photo), finder.search(photo, PROMINENT_HEIGHT)
    assert (found.faces, found.turned) == (everybody.faces, everybody.turned)
    assert len(found) == 1


@pytest.mark.parametrize("part", [0.36, 0.45, 0.6])
def test_whoever_is_more_than_a_third_as_high_is_found_too(finder, hopper_pixels, collins_pixels, part):
    collins_scale = 1.5 * part * 226 / 112  # heights of their faces in the portraits
    photo = placed(scaled(hopper_pixels, 1.5), scaled(collins_pixels, collins_scale), size_wh=(1800, 960))
    faces = from_large_to_small(finder, photo)
    assert faces == prominent_faces(finder.search(photo).faces)
    assert len(faces) == 2


@pytest.mark.parametrize("photo", [np.full((960, 1280, 3), 127, np.uint8), np.zeros((30, 40, 3), np.uint8)], ids=str)
def test_where_nobody_is_nobody_is_found(finder, photo):
    assert finder.search(photo, PROMINENT_HEIGHT) == finder.search(photo)


def pixels_searched(finder, given, photo) -> list[int]:
    """Return how many pixels the first network reads for all faces, and for those that force a choice."""
    spent = []
    for part in (0, PROMINENT_HEIGHT):
        given["pnet"].pixels = 0
        finder.search(photo, part)
        spent.append(given["pnet"].pixels)
    return spent


def test_a_large_face_spares_the_search_for_small_ones(finder, given, hopper_pixels):
    everything, quickly = pixels_searched(finder, given, placed(scaled(hopper_pixels, 1.5)))
    assert quickly < everything / 3


def test_where_all_faces_are_small_nothing_is_searched_twice(finder, given, hopper_pixels):
    everything, quickly = pixels_searched(finder, given, placed(scaled(hopper_pixels, 0.4)))
    assert quickly <= everything


def test_all_views_of_all_faces_are_looked_at_in_one_run_a_look(finder, given, hopper_pixels, collins_pixels):
    assert len(finder.search(placed(hopper_pixels, collins_pixels))) == 2
    first, *looks = given["onet"].images
    views = 2 * len(detector.VIEW_SHIFTS)
    assert first >= 2
    assert len(looks) == detector.LOOKS
    assert all(images % views == 0 and images >= 2 * views for images in looks)
