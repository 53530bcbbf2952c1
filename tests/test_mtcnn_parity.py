"""Our detector against the mtcnn package's own, which runs on TensorFlow.

The networks and the arithmetic around them are the package's to the last digits. Three
things differ on purpose, each for speed or steadiness: how photos are resized, which boxes
suppress which, and that each face is looked at again. The cascade magnifies the smallest of
differences (rounding a photo's levels to whole greys moves a box by several pixels), so the
whole detector is compared twice: with the package's resizing and suppression put in, where
it must agree closely, and as it ships, where it must find the same faces.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from flaskapp.detection import Detector, Face, boxes, detector, networks, pyramid
from flaskapp.preprocess import decode_photo

pytestmark = [
    pytest.mark.needs_tensorflow,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's and the package's own, not ours to mend
]

PACKAGE_SMALLEST_FACE = 20
NAMES = ("pnet", "rnet", "onet")
SHARED_PHOTOS = (
    "obama_small.jpg",
    "ivan.jpg",
    "alex-lacamoire.png",
    "multiface.jpg",
    "obama2.jpg",
    "formats/einstein.jpeg",
)


@pytest.fixture(scope="module")
def package():
    return importlib.import_module("mtcnn").MTCNN()


@pytest.fixture(scope="module")
def real_photos(hopper_pixels, collins_pixels) -> dict[str, np.ndarray]:
    return {"hopper": hopper_pixels, "collins": collins_pixels}


class PackagePyramid(pyramid.Pyramid):
    """Resizes as the package does: always from the photo itself, without rounding to whole greys."""

    def level(self, scale: float) -> pyramid.Level:
        photo = self._halves[0].pixels.astype(np.float32)
        width, height = (int(side * scale) for side in self.size_wh)
        resized = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        return pyramid.Level(resized, np.array([scale, scale]))

    def samples(self, squares_xyxy: np.ndarray, side: int) -> np.ndarray:
        return np.stack([self._bilinear(square, side) for square in squares_xyxy])

    def _bilinear(self, square_xyxy: np.ndarray, side: int) -> np.ndarray:
        photo = np.pad(self._halves[0].pixels.astype(np.float64), ((0, 1), (0, 1), (0, 0)), mode="edge")
        # TensorFlow divides by a length and multiplies by one less.
        columns, rows = (
            np.linspace(*square_xyxy[axis::2], side) * (self.size_wh[axis] - 1) / self.size_wh[axis] for axis in (0, 1)
        )
        rows, columns = np.meshgrid(rows, columns, indexing="ij")
        inside = (rows >= 0) & (rows <= self.size_wh[1] - 1) & (columns >= 0) & (columns <= self.size_wh[0] - 1)
        top, left = (np.where(inside, np.floor(place), 0).astype(int) for place in (rows, columns))
        down, right = (np.where(inside, place - np.floor(place), 0)[..., None] for place in (rows, columns))
        upper = photo[top, left] * (1 - right) + photo[top, left + 1] * right
        lower = photo[top + 1, left] * (1 - right) + photo[top + 1, left + 1] * right
        return np.where(inside[..., None], upper * (1 - down) + lower * down, 127.5).astype(np.float32)


def package_suppress(
    boxes_xyxy: np.ndarray, scores: np.ndarray, largest_overlap: float, *, of_smaller: bool = False
) -> np.ndarray:
    """Drop each box that overlaps any better one, even one that was itself dropped."""
    order = np.argsort(-scores, kind="stable")
    ranked = boxes_xyxy[order]
    kept = [
        rank
        for rank in range(len(order))
        if not (boxes.overlaps(ranked[rank], ranked[:rank], of_smaller=of_smaller) > largest_overlap).any()
    ]
    return order[kept]


def package_answer(package, photo: np.ndarray) -> list[Face]:
    """Return the package's faces, those that are certain enough for us, left to right."""
    found = np.atleast_2d(package.detect_faces(photo, output_type="numpy", box_format="xyxy", fit_to_image=False))
    faces = [
        Face(tuple(row[1:5].tolist()), tuple(zip(row[6:11].tolist(), row[11:16].tolist(), strict=True)), float(row[5]))
        for row in found
    ]
    faces.sort(key=lambda face: -face.detection_score)
    certain = detector._certain(np.array([face.detection_score for face in faces]))
    return sorted((faces[index] for index in certain), key=lambda face: face.box_xyxy)


@pytest.fixture(scope="module")
def package_faces(package) -> Callable[[str, np.ndarray], list[Face]]:
    """Return a function that asks the package about a photo, once for each name."""
    answers: dict[str, list[Face]] = {}

    def ask(name: str, photo: np.ndarray) -> list[Face]:
        if name not in answers:
            answers[name] = package_answer(package, photo)
        return answers[name]

    return ask


def clipped(face: Face, photo: np.ndarray) -> np.ndarray:
    return boxes.clip_boxes(np.array([face.box_xyxy]), (photo.shape[1], photo.shape[0]))[0]


def load_shared(photos, name: str) -> np.ndarray:
    return decode_photo((photos / name).read_bytes()).pixels


@pytest.fixture
def package_ways(monkeypatch) -> Detector:
    monkeypatch.setattr(detector, "Pyramid", PackagePyramid)
    monkeypatch.setattr(detector, "suppress", package_suppress)
    return Detector(PACKAGE_SMALLEST_FACE, 10**9, settle=False)


@pytest.mark.parametrize("index", range(3), ids=NAMES)
def test_the_weights_are_the_packages_to_the_last_bit(package, index):
    ours = networks.read_weights(NAMES[index])
    theirs = package.stages[index].model.get_weights()
    assert all(np.array_equal(*pair) for pair in itertools.zip_longest(ours, theirs))


@pytest.mark.parametrize("index", range(3), ids=NAMES)
def test_each_network_answers_as_the_packages(package, index):
    network = networks.load_network(NAMES[index])
    sides = (61, 84) if index == 0 else (network.input_size, network.input_size)
    pixels = np.random.default_rng(index).uniform(0, 255, (8, *sides, 3)).astype(np.float32)
    ours = network(pixels)
    theirs = dict(zip(ours, package.stages[index].model((pixels - 127.5) / 128), strict=True))
    for name, answer in ours.items():
        expected = theirs[name].numpy()[..., 1] if name == "scores" else theirs[name].numpy()
        assert np.abs(answer - expected).max() < 1e-4


def agree_within_two_pixels(ours: tuple[Face, ...], theirs: list[Face], photo: np.ndarray) -> None:
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert np.abs(np.subtract(our.landmarks, their.landmarks)).max() < 2
        assert np.abs(clipped(our, photo) - clipped(their, photo)).max() < 2


@pytest.mark.parametrize("name", ["hopper", "collins"])
def test_with_the_packages_resizing_portraits_agree_within_two_pixels(package_faces, package_ways, real_photos, name):
    photo = real_photos[name]
    agree_within_two_pixels(package_ways.detect_faces(photo), package_faces(name, photo), photo)


@pytest.mark.needs_shared
@pytest.mark.parametrize("name", SHARED_PHOTOS)
def test_with_the_packages_resizing_real_photos_agree_within_two_pixels(package_faces, package_ways, photos, name):
    photo = load_shared(photos, name)
    agree_within_two_pixels(package_ways.detect_faces(photo), package_faces(name, photo), photo)


def agree_as_far_as_the_cascade_is_steady(ours: tuple[Face, ...], theirs: list[Face]) -> None:
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert boxes.overlaps(np.array(our.box_xyxy), np.array([their.box_xyxy]))[0] > 0.7
        eyes = np.linalg.norm(np.subtract(their.landmarks[0], their.landmarks[1]))
        distances = np.linalg.norm(np.subtract(our.landmarks, their.landmarks), axis=1)
        assert distances.mean() < max(2, 0.2 * eyes)


@pytest.mark.parametrize("name", ["hopper", "collins"])
def test_as_shipped_it_finds_the_same_faces_in_portraits(package_faces, real_photos, name):
    ours = Detector(PACKAGE_SMALLEST_FACE).detect_faces(real_photos[name])
    agree_as_far_as_the_cascade_is_steady(ours, package_faces(name, real_photos[name]))


@pytest.mark.needs_shared
@pytest.mark.parametrize("name", SHARED_PHOTOS)
def test_as_shipped_it_finds_the_same_faces_in_real_photos(package_faces, photos, name):
    photo = load_shared(photos, name)
    agree_as_far_as_the_cascade_is_steady(
        Detector(PACKAGE_SMALLEST_FACE).detect_faces(photo), package_faces(name, photo)
    )
