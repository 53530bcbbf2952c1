"""Photos that lie on their side or stand on their head, and say nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from flaskapp.detection import Detection, Detector
from flaskapp.detection.candidates import Candidates
from flaskapp.detection.networks import Network
from flaskapp.preprocess import Photo, crop_face, find_faces

UPRIGHT = ((30, 40), (70, 40), (50, 60), (35, 80), (65, 80))


@pytest.fixture(scope="module")
def finder() -> Detector:
    return Detector()


def turned_by(photo: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a photo to the left, on a grey ground."""
    side = 2 * max(photo.shape[:2])
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turn[:, 2] += side / 2 - np.array((width, height)) / 2
    return cv2.warpAffine(photo, turn, (side, side), borderValue=(127, 127, 127))


def as_photo(pixels: np.ndarray) -> Photo:
    return Photo(np.ascontiguousarray(pixels), (pixels.shape[1], pixels.shape[0]))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_is_found_whichever_way_the_photo_is_turned(hopper_pixels, quarters):
    (upright,) = find_faces(as_photo(hopper_pixels))
    found = find_faces(as_photo(np.rot90(hopper_pixels, quarters)))
    (face,) = found
    assert found.turned == 90 * quarters
    places = np.array(upright.landmarks) @ (1, 1j) - (256 + 300j)
    size_wh = (512, 600) if quarters == 2 else (600, 512)
    expected = places * (-1j) ** quarters + complex(*size_wh) / 2
    assert np.abs(np.array(face.landmarks) @ (1, 1j) - expected).max() < 4
    left, top, right, bottom = face.box_xyxy
    assert all(left < x < right and top < y < bottom for x, y in face.landmarks)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_network_sees_a_turned_face_upright(hopper_pixels, quarters):
    crops = []
    for photo in (as_photo(hopper_pixels), as_photo(np.rot90(hopper_pixels, quarters))):
        (face,) = find_faces(photo)
        crops.append(crop_face(photo, face.landmarks).astype(int))
    assert np.abs(crops[0] - crops[1]).mean() < 1


@pytest.mark.parametrize("degrees", [60, -60, 120, 135, 150])
def test_any_angle_will_do(finder, collins_pixels, degrees):
    (upright,) = finder.search(collins_pixels)
    (face,) = finder.search(turned_by(collins_pixels, degrees))
    eyes, turned_eyes = (np.subtract(each.landmarks[1], each.landmarks[0]) @ (1, 1j) for each in (upright, face))
    off = np.degrees(np.angle(turned_eyes / eyes * np.exp(1j * np.radians(degrees))))
    assert abs(off) < 12


def test_a_large_photo_that_is_turned_keeps_its_own_pixels(finder, hopper_pixels):
    large = cv2.resize(hopper_pixels, (2560, 3000), interpolation=cv2.INTER_CUBIC)
    (upright,) = finder.search(hopper_pixels)
    (face,) = finder.search(np.ascontiguousarray(large[::-1, ::-1]))
    expected = (2560, 3000) - np.array(upright.landmarks) * 5
    assert np.abs(np.array(face.landmarks) - expected).max() < 25


def test_an_upright_photo_is_looked_at_once(hopper_pixels):
    seen_wh = []

    class Noting(Network):
        def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
            seen_wh.append(images.shape[2:0:-1])
            return super().__call__(images)

    found = Detector(load=lambda name: (Noting if name == "pnet" else Network)(name)).search(hopper_pixels)
    assert found.turned == 0
    assert all(width < height for width, height in seen_wh)
    assert len(seen_wh) == len(set(seen_wh))


def test_nobody_is_found_whichever_way_round(finder):
    found = finder.search(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    assert (found.faces, found.turned) == ((), 0)


def networks_that_see_one_face(in_wide: float, in_high: float) -> Callable[[str], Callable]:
    """Return what loads three networks that see a face in every photo, and how sure the last one is of it."""
    score = {}

    def pnet(images: np.ndarray) -> dict[str, np.ndarray]:
        _, height, width, _ = images.shape
        score["of this photo"] = in_wide if width > height else in_high
        cells = np.zeros((1, (height - 10) // 2, (width - 10) // 2), np.float32)
        cells[0, 0, 0] = 1
        return {"offsets": np.zeros((*cells.shape, 4), np.float32), "scores": cells}

    def rnet(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"offsets": np.zeros((len(images), 4), np.float32), "scores": np.ones(len(images), np.float32)}

    def onet(images: np.ndarray) -> dict[str, np.ndarray]:
        landmarks = np.tile(np.transpose(UPRIGHT).reshape(10) / 100, (len(images), 1))
        return rnet(images) | {"scores": np.full(len(images), score["of this photo"]), "landmarks": landmarks}

    rnet.input_size, onet.input_size = 24, 48
    return {"pnet": pnet, "rnet": rnet, "onet": onet}.__getitem__


@pytest.mark.parametrize(
    ("upright", "turned", "degrees"),
    [(0.0, 0.96, 270), (0.0, 0.94, 0), (0.92, 0.98, 0), (0.92, 0.995, 270)],
    ids=["some against none", "too little", "doubtful against doubtful", "sure against doubtful"],
)
def test_a_doubtful_face_gives_way_to_a_sure_one_only(upright, turned, degrees):
    finder = Detector(load=networks_that_see_one_face(in_wide=upright, in_high=turned))
    found = finder.search(np.zeros((100, 200, 3), np.uint8))
    assert found.turned == degrees
    assert len(found) == int(degrees > 0 or upright > 0)


@pytest.mark.parametrize(("turned", "everywhere"), [(0.98, False), (0.995, True)], ids=["in vain", "found"])
def test_a_photo_is_turned_for_faces_about_as_large_as_the_doubtful_one_and_if_there_is_one_for_all(turned, everywhere):
    load, longest = networks_that_see_one_face(in_wide=0.92, in_high=turned), {"wide": 0, "high": 0}

    def noting(images: np.ndarray) -> dict[str, np.ndarray]:
        _, height, width, _ = images.shape
        way = "wide" if width > height else "high"
        longest[way] = max(longest[way], width, height)
        answer = load("pnet")(images)
        return answer | {"scores": answer["scores"] * (max(width, height) < 50)}  # a large face

    Detector(load=lambda name: noting if name == "pnet" else load(name)).search(np.zeros((400, 800, 3), np.uint8))
    assert longest["wide"] == 240
    assert (longest["high"] == 240) == everywhere
    assert everywhere or longest["high"] < 120


@pytest.mark.parametrize(
    ("degrees", "kept"), [(0, True), (55, True), (-55, True), (65, False), (-90, False), (180, False)]
)
def test_landmarks_that_make_no_upright_face_are_dropped(degrees, kept):
    places = (np.array(UPRIGHT) @ (1, 1j)) * np.exp(1j * np.radians(degrees))
    landmarks = np.stack([places.real, places.imag], axis=-1)[None]
    candidates = Candidates(np.array([(0.0, 0, 100, 100)]), np.ones(1), landmarks)
    assert (len(candidates.upright().scores) == 1) == kept


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_that_a_photo_was_turned_is_told(turned):
    (note,) = Detection((), (9, 9), 40, turned=turned).notes
    assert "turned" in note


def test_a_photo_is_turned_by_right_angles_only():
    with pytest.raises(ValueError, match="Received: 45"):
        Detection((), (9, 9), 40, turned=45)
