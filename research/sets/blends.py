"""Faces of nobody: two people's faces put together, for a network to learn what a teacher says of them.

A network that learns a teacher's answers needs no name for a face, and none of a face that
exists: the more different faces it hears an answer for, the less it can learn them by heart.
Half of what is made here is the mean of two faces (Zhang et al., "mixup: Beyond empirical risk
minimization", 2018), half one face with a part of another in its place (Yun et al., "CutMix",
2019), both with eyes, nose and mouth in the same places, so that they look like people. That a
student gains by a teacher's answers to mixed pictures: Beyer et al., "Knowledge distillation: A
good teacher is patient and consistent", 2022.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from flaskapp.errors import DataError, PhotoError
from flaskapp.parallel import replacing
from flaskapp.preprocess import TEMPLATE, align_face, decode_photo
from flaskapp.preprocess.files import read_photo
from research.sets.crops import Progress, mapping
from research.sets.table import TEACHER_SIZE, TRAINING, UNKNOWN_PERSON, FaceTable

SIZE = 160
LANDMARKS = np.array(TEMPLATE) * 1.25 + (17.5, 30)
"""Side of a made photo, and where its landmarks lie: wide enough for the network's view of a
face and for the teacher's wider one, finer than both."""

QUALITY = 95
# A face's share in a mean of two.
SHARES = 0.3, 0.7
# A seam mostly divides above from below, else left from right: eyes of one, mouth of another.
ACROSS = 0.7
SLANT = 0.25  # radians, standard deviation
# Pixels of SIZE around the face's middle, standard deviations; and how gently it goes over.
SEAM_PLACE = 7.5, 10.0
SEAM_WIDTH = 4.0, 10.0
LEAST_CONTRAST = 4.0

PHOTOS_A_FOLDER = 1000
LANDMARKS_FILE = "landmarks.npz"

_Pair = tuple[tuple[Path, np.ndarray], tuple[Path, np.ndarray], tuple[int, int]]


def write_blends(
    table: FaceTable, folder: Path, pairs: int, seed: int = 2026, progress: Progress = iter, workers: int = 2
) -> int:
    """Write two faces of nobody for each of so many pairs of training photos, both of one set.

    Beside them lies ``landmarks.npz``, of the form of a teacher's file, without embeddings: they
    are for a teacher to add.

    Args:
        table: the photos; those of training with landmarks are drawn from.
        folder: where the photos go, JPEG, a thousand a folder.
        pairs: how many.
        seed: of the drawing and the blending.
        progress: wraps the iteration over pairs, a progress bar for example.
        workers: processes that decode and blend.

    Returns:
        How many photos were written. A pair with an unreadable photo gives none.

    Raises:
        DataError: no set has training photos of two people with landmarks, or no photo is readable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = list[str]()
    with mapping(workers) as mapped:
        drawn = draw_pairs(table, pairs, seed)
        for number, made in zip(progress(range(pairs)), mapped(_blend_pair, drawn), strict=True):
            for kind, photo in enumerate(made):
                # Crops and embeddings are kept by a photo's name, so another picture gets another one.
                digest = hashlib.sha256(photo).hexdigest()[:8]
                name = f"{number // PHOTOS_A_FOLDER:03}/{number:06}-{kind}-{digest}.jpg"
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(photo)
                names.append(name)
    if not names:
        raise DataError("None of the photos drawn can be read.", "Check the folders in the sets file.")
    # An earlier call's file stays until here: it names photos that are still there.
    with replacing(folder / LANDMARKS_FILE) as part, part.open("wb") as file:
        np.savez(
            file,
            paths=np.array(names),
            landmarks=np.tile(LANDMARKS.astype(np.float32), (len(names), 1, 1)),
            embedding=np.full((len(names), TEACHER_SIZE), np.nan, np.float32),
            ok=np.ones(len(names), bool),
        )
    return len(names)


def draw_pairs(table: FaceTable, pairs: int, seed: int) -> Iterator[_Pair]:
    """Yield pairs of two people's photos; a photo without a name is taken for somebody of its own."""
    usable = np.flatnonzero((table.role == TRAINING) & ~np.isnan(table.landmarks).any(axis=(1, 2)))
    person = np.where(table.person == UNKNOWN_PERSON, -1 - np.arange(len(table)), table.person)
    by_set = {index: usable[table.set_index[usable] == index] for index in np.unique(table.set_index[usable])}
    firsts = np.concatenate([usable[:0], *(rows for rows in by_set.values() if len(set(person[rows])) > 1)])
    if not len(firsts):
        raise DataError(
            "No set has training photos of two people with landmarks, so there is nothing to blend.",
            "Name a teacher file with landmarks in the sets file.",
        )
    rng = np.random.default_rng(seed)
    for number in range(pairs):
        first = rng.choice(firsts)
        rows = by_set[table.set_index[first]]
        second = rng.choice(rows[person[rows] != person[first]])
        yield (
            (table.paths[first], table.landmarks[first]),
            (table.paths[second], table.landmarks[second]),
            (seed, number),
        )


def _blend_pair(pair: _Pair) -> list[bytes]:
    cv2.setNumThreads(1)  # the processes are the threads
    *photos, seed = pair
    try:
        first, second = (
            align_face(decode_photo(read_photo(path)).at_full_scale().pixels, marks, LANDMARKS, SIZE)
            for path, marks in photos
        )
    except (PhotoError, ValueError):  # ValueError: landmarks that are no face
        return []
    rng = np.random.default_rng(seed)
    return [_jpeg(blend_faces(first, second, share, rng)) for share in (mean_share(rng), seam(rng))]


def blend_faces(first: np.ndarray, second: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return two aligned faces put together, in the first one's light.

    Args:
        first: uint8 (SIZE, SIZE, 3) RGB.
        second: the same; mirrored half of the time.
        share: float (SIZE, SIZE, 1) or broadcastable, the first face's at each place, 0 to 1.
        rng: draws whether it is mirrored.

    Returns:
        uint8 (SIZE, SIZE, 3) RGB.
    """
    if rng.random() < 0.5:
        second = second[:, ::-1]
    # Else the seam between two lights would be the plainest thing in the picture.
    mean, contrast = first.mean(axis=(0, 1)), first.std(axis=(0, 1)) + LEAST_CONTRAST
    second = (second - second.mean(axis=(0, 1))) / (second.std(axis=(0, 1)) + LEAST_CONTRAST) * contrast + mean
    return np.clip(first * share + second * (1 - share), 0, 255).round().astype(np.uint8)


def mean_share(rng: np.random.Generator) -> np.ndarray:
    """Return one share for the whole face, (1, 1, 1)."""
    return np.full((1, 1, 1), rng.uniform(*SHARES))


def seam(rng: np.random.Generator) -> np.ndarray:
    """Return shares that go from 1 to 0 across a line through the face, (SIZE, SIZE, 1)."""
    angle = (np.pi / 2 if rng.random() < ACROSS else 0) + rng.normal(0, SLANT) + np.pi * rng.integers(2)
    x0, y0 = LANDMARKS[2] + rng.normal(0, SEAM_PLACE)
    y, x = np.mgrid[:SIZE, :SIZE]
    along = ((x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)) / rng.uniform(*SEAM_WIDTH)
    return np.asarray(1 / (1 + np.exp(-along)))[..., None]


def _jpeg(photo: np.ndarray) -> bytes:
    _, file = cv2.imencode(".jpg", photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return file.tobytes()
