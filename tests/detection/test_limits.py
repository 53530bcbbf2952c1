"""How small a face may be in how large a photo, and that this is told."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from flaskapp.detection import Detection, Detector, Face
from flaskapp.detection.detector import LARGEST_IMAGE
from flaskapp.preprocess import Photo, decode_photo, find_faces

BOX, LANDMARKS = (10, 10, 60, 70), ((20, 30),) * 5


@pytest.fixture(scope="module")
def finder() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def small_portrait(hopper_pixels) -> np.ndarray:
    """Grace Hopper with a face of 71×90 pixels."""
    return cv2.resize(hopper_pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)


def placed(portrait: np.ndarray, size_wh: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    photo = np.full((size_wh[1], size_wh[0], 3), 127, np.uint8)
    left, top = corner
    photo[top : top + portrait.shape[0], left : left + portrait.shape[1]] = portrait
    return photo


@pytest.mark.parametrize(
    ("size_wh", "corner"),
    [((1080, 12000), (400, 9000)), ((12000, 1080), (9000, 400))],
    ids=["long screenshot", "panorama"],
)
def test_a_face_in_a_long_strip_is_found(finder, small_portrait, size_wh, corner):
    (face,) = finder.search(placed(small_portrait, size_wh, corner))
    left, top = (value - 50 for value in corner)
    assert left < face.box_xyxy[0] < face.box_xyxy[2] < left + 300
    assert top < face.box_xyxy[1] < face.box_xyxy[3] < top + 340
    assert face.box_xyxy[2] - face.box_xyxy[0] < 80


@pytest.mark.parametrize(
    ("size_wh", "pixels"),
    [
        ((64, 48), 40),
        ((205, 205), 40),
        ((410, 307), 80),
        ((410, 170), 80),
        ((108, 1200), 70),
        ((1200, 108), 70),
        ((2500, 200), 138),
    ],
)
def test_the_smallest_face_grows_with_what_is_searched(size_wh, pixels):
    finder = Detector(40, LARGEST_IMAGE / 10)
    found = finder.search(np.full((size_wh[1], size_wh[0], 3), 127, np.uint8))
    assert round(found.smallest_face) == pixels


def test_the_smallest_face_is_told_in_full_scale_pixels():
    photo = Photo(np.full((1500, 2000, 3), 127, np.uint8), (4000, 3000))
    found = find_faces(photo)
    assert (found.smallest_face, found.size_wh) == (80, (4000, 3000))


@pytest.mark.parametrize(("size_wh", "pixels"), [((25_000, 2_000), 138), ((2_000, 12_000), 96)])
def test_a_strip_is_decoded_at_as_many_pixels_as_are_searched(size_wh, pixels):
    buffer = io.BytesIO()
    Image.new("RGB", size_wh, "grey").save(buffer, "JPEG")
    assert find_faces(decode_photo(buffer.getvalue())).smallest_face == pytest.approx(pixels, rel=0.05)


def faces(count: int) -> tuple[Face, ...]:
    return (Face(BOX, LANDMARKS, 0.99),) * count


@pytest.mark.parametrize("count", [0, 2, 9])
def test_a_group_and_nobody_say_which_faces_were_too_small(count):
    (note,) = Detection(faces(count), (4096, 3072), 80).notes
    assert "80 pixels" in note


def test_one_face_alone_is_who_is_meant():
    assert Detection(faces(1), (4096, 3072), 80).notes == ()


def test_what_is_too_small_to_compare_is_not_missed():
    assert Detection(faces(2), (640, 480), 40).notes == ()


@pytest.mark.parametrize(("size_wh", "smallest"), [((0, 9), 40), ((9, 9), 0)])
def test_impossible_detections_are_refused(size_wh, smallest):
    with pytest.raises(ValueError, match="Received"):
        Detection((), size_wh, smallest)
