"""Pictures of the found faces, for pages whose browser does not show the photo as it was read."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from described import check
from PIL import Image

from flaskapp.detection import Face
from flaskapp.preprocess import Photo
from flaskapp.web.comparing import PICTURE_PIXELS, PICTURE_SIDE, pictures_json


def face(left: float, top: float, right: float, bottom: float) -> Face:
    width, height = right - left, bottom - top
    places = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    landmarks = tuple((left + x * width, top + y * height) for x, y in places)
    return Face((left, top, right, bottom), landmarks, 0.99)


def pixels_of(picture: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["jpeg"]))).convert("RGB")).astype(int)


@pytest.fixture
def ramp() -> np.ndarray:
    """Return a picture uint8 (300, 400, 3) whose red tells x and whose green tells y."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 400)[None, :]
    pixels[..., 1] = np.linspace(0, 255, 300)[:, None]
    return pixels


def test_a_picture_shows_the_face_with_room_around(ramp):
    (picture,) = pictures_json(Photo(ramp, (400, 300)), [face(100, 100, 140, 160)])
    assert picture["box_xyxy"] == [70, 70, 170, 190]
    seen = pixels_of(picture)
    assert seen.shape == (120, 100, 3)
    assert np.abs(seen - ramp[70:190, 70:170]).mean() < 4


def test_of_a_reduced_photo_the_part_is_told_in_full_pixels(ramp):
    (picture,) = pictures_json(Photo(ramp, (1600, 1200)), [face(400, 400, 560, 640)])
    assert picture["box_xyxy"] == [280, 280, 680, 760]
    assert np.abs(pixels_of(picture) - ramp[70:190, 70:170]).mean() < 4


def test_no_picture_leaves_the_photo(ramp):
    faces = [face(-20, -10, 60, 90), face(350, 220, 430, 330), face(398, 298, 399, 299), face(500, 400, 510, 410)]
    for picture in pictures_json(Photo(ramp, (400, 300)), faces):
        left, top, right, bottom = picture["box_xyxy"]
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 300
        assert pixels_of(picture).size


@pytest.mark.parametrize("count", [1, 20, 300])
def test_all_pictures_together_are_small(count):
    photo = Photo(np.zeros((500, 500, 3), np.uint8), (500, 500))
    sizes = [pixels_of(picture).shape for picture in pictures_json(photo, [face(100, 100, 400, 400)] * count)]
    assert max(sizes[0][:2]) <= PICTURE_SIDE
    assert sum(height * width for height, width, _ in sizes) <= PICTURE_PIXELS


def test_no_faces_have_no_pictures(ramp):
    assert pictures_json(Photo(ramp, (400, 300)), []) == []


def test_they_come_with_the_faces_if_asked_for(agreed, hopper, hopper_pixels):
    response = agreed.send("/api/v1/detect", {"photo": hopper}, pictures="yes")
    check(response, "/api/v1/detect", "post")
    assert response.headers["Cache-Control"] == "no-store"
    (found,), (picture,) = response.json["faces"], response.json["pictures"]
    left, top, right, bottom = (round(value) for value in picture["box_xyxy"])
    assert left < found["box_xyxy"][0] < found["box_xyxy"][2] < right
    shown = pixels_of(picture)
    expected = Image.fromarray(hopper_pixels[top:bottom, left:right]).resize(shown.shape[1::-1])
    assert np.abs(shown - np.asarray(expected, int)).mean() < 6


@pytest.mark.parametrize("asked", [{}, {"pictures": "no"}, {"pictures": ""}])
def test_they_do_not_come_unasked(agreed, hopper, asked):
    response = agreed.send("/api/v1/detect", {"photo": hopper}, **asked)
    check(response, "/api/v1/detect", "post")
    assert "pictures" not in response.json
