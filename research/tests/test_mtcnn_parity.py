"""Our detector against the mtcnn package's own, which runs on TensorFlow in a process of its own.

The networks and the arithmetic around them are the package's to the last digits. Three
things differ on purpose, each for speed or steadiness: how photos are resized, which boxes
suppress which, and that each face is looked at again. The cascade magnifies the smallest of
differences (rounding a photo's levels to whole greys moves a box by several pixels), so the
whole detector is compared twice: with the package's resizing and suppression put in, where
it must agree closely, and as it ships, where it must find the same faces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from flaskapp.detection import Detector, Face, boxes, candidates, detector, networks, pyramid
from flaskapp.preprocess import decode_photo
from research import mtcnn_weights

ROOT = Path(__file__).resolve().parents[2]
PORTRAITS = ROOT / "tests" / "portraits"
SHARED = Path(os.environ.get("FR_SHARED", ROOT.parent / "shared")) / "photos"
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


OUR_PHOTOS = [PORTRAITS / "grace_hopper.jpg", PORTRAITS / "eileen_collins.jpg"]
PHOTOS = OUR_PHOTOS + [
    pytest.param(SHARED / name, marks=pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos are absent"))
    for name in SHARED_PHOTOS
]

# Research has Keras run on PyTorch, and the package knows TensorFlow only.
ASK_THE_PACKAGE = """
import sys
import mtcnn, numpy as np
package, asked, answers = mtcnn.MTCNN(), np.load(sys.argv[1]), {}
for index, name in enumerate(["pnet", "rnet", "onet"]):
    for head, answer in enumerate(package.stages[index].model((asked[name] - 127.5) / 128)):
        answers[f"{name} {head}"] = answer.numpy()
for name in set(asked) - {"pnet", "rnet", "onet"}:
    found = package.detect_faces(asked[name], output_type="numpy", box_format="xyxy", fit_to_image=False)
    answers[name] = np.atleast_2d(found)
np.savez(sys.argv[2], **answers)
"""


def load(path: Path) -> np.ndarray:
    return decode_photo(path.read_bytes()).pixels


def noise(name: str) -> np.ndarray:
    sides = (61, 84) if name == "pnet" else (networks.FILES[name][0],) * 2
    return np.random.default_rng(NAMES.index(name)).uniform(0, 255, (8, *sides, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> dict[str, np.ndarray]:
    """Return what the package says of each photo, by its name, and what its networks say of noise."""
    folder = tmp_path_factory.mktemp("package")
    paths = OUR_PHOTOS + [SHARED / name for name in SHARED_PHOTOS if SHARED.is_dir()]
    np.savez(folder / "asked.npz", **{name: noise(name) for name in NAMES}, **{path.name: load(path) for path in paths})
    command = [sys.executable, "-c", ASK_THE_PACKAGE, folder / "asked.npz", folder / "answers.npz"]
    subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": "tensorflow"}, cwd=folder)
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


class PackagePyramid(pyramid.Pyramid):
    """Resizes as the package does: always from the photo itself, without rounding to whole greys."""

    def level(self, scale: float) -> pyramid.Level:
        photo = self.halves[0].pixels.astype(np.float32)
        width, height = (int(side * scale) for side in self.size_wh)
        resized = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        return pyramid.Level(resized, np.array([scale, scale]))

    def samples(self, squares_xyxy: np.ndarray, side: int) -> np.ndarray:
        pieces = [self._bilinear(square, side) for square in squares_xyxy]
        return np.stack(pieces) if pieces else np.empty((0, side, side, 3), np.float32)

    def _bilinear(self, square_xyxy: np.ndarray, side: int) -> np.ndarray:
        photo = np.pad(self.halves[0].pixels.astype(np.float64), ((0, 1), (0, 1), (0, 0)), mode="edge")
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


def certain_faces(found: np.ndarray) -> list[Face]:
    """Return the package's faces (N, 16), those that are certain enough for us, left to right."""
    landmarks = found[:, 6:].reshape(-1, 2, 5).transpose(0, 2, 1)
    best_first = np.argsort(-found[:, 5], kind="stable")
    faces = candidates.Candidates(found[:, 1:5], found[:, 5], landmarks).taken(best_first)
    return list(faces.certain().to_faces((10**9, 10**9)))


def clipped(face: Face, photo: np.ndarray) -> np.ndarray:
    return np.clip(face.box_xyxy, 0, np.tile((photo.shape[1], photo.shape[0]), 2))


@pytest.fixture
def package_ways(monkeypatch) -> Detector:
    monkeypatch.setattr(detector, "Pyramid", PackagePyramid)
    monkeypatch.setattr(detector, "suppress", package_suppress)
    monkeypatch.setattr(candidates, "suppress", package_suppress)
    monkeypatch.setattr(Detector, "_settle", lambda _, __, found, ___: found)
    return Detector(PACKAGE_SMALLEST_FACE, 10**9)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_what_the_packages_weights_make(name, tmp_path):
    mtcnn_weights.write_models(tmp_path)
    assert (tmp_path / f"{name}.onnx").read_bytes() == (networks.FOLDER / f"{name}.onnx").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_each_network_answers_as_the_packages(package, name):
    for head, (kind, answer) in enumerate(networks.Network(name)(noise(name)).items()):
        expected = package[f"{name} {head}"]
        assert np.abs(answer - (expected[..., 1] if kind == "scores" else expected)).max() < 1e-4


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_with_the_packages_resizing_faces_agree_within_two_pixels(package, package_ways, path):
    photo = load(path)
    ours, theirs = package_ways.search(photo), certain_faces(package[path.name])
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert np.abs(np.subtract(our.landmarks, their.landmarks)).max() < 2
        assert np.abs(clipped(our, photo) - clipped(their, photo)).max() < 2


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_as_shipped_it_finds_the_same_faces_as_far_as_the_cascade_is_steady(package, path):
    ours = Detector(PACKAGE_SMALLEST_FACE).search(load(path))
    theirs = certain_faces(package[path.name])
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert boxes.overlaps(np.array(our.box_xyxy), np.array([their.box_xyxy]))[0] > 0.7
        eyes = np.linalg.norm(np.subtract(their.landmarks[0], their.landmarks[1]))
        distances = np.linalg.norm(np.subtract(our.landmarks, their.landmarks), axis=1)
        assert distances.mean() < max(2, 0.2 * eyes)
