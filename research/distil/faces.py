"""Faces on their way into the network: whose they are, how often each is drawn, and how it is changed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flaskapp import preprocess
from flaskapp.errors import DataError
from research.distil.centring import centred_teacher
from research.distil.spoiling import another_camera, spoil
from research.sets.table import TRAINING, FaceTable

__all__ = ["Batches", "Changes", "read_times", "training_faces"]

SHIFT, TURN, ZOOM, LIGHT = 2.0, 4.0, 0.04, 0.2


@dataclass(frozen=True)
class Changes:
    """How training faces differ from their photos; all are mirrored every other time and moved a little.

    Attributes:
        spoiled: share of faces that are strongly spoiled in one to three ways: half of them before they are moved, as a
            photo is poor before its face is cut out, with squares and noise that then lie askew.
        another_camera: share of faces in another camera's colours.
    """

    spoiled: float = 0.35
    another_camera: float = 0.5

    def apply(self, face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a changed copy of a face uint8 (100, 100, 3) RGB."""
        chance = rng.random()
        if chance < self.spoiled / 2:
            face = spoil(face, rng)
        face = _moved(face, rng)
        if rng.random() < self.another_camera:
            face = another_camera(face, rng)
        return spoil(face, rng) if self.spoiled / 2 <= chance < self.spoiled else face


def _moved(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror, shift, turn, zoom and light a face a little otherwise."""
    turn, zoom, x, y, light, contrast = rng.uniform(-1, 1, 6)
    size = len(face)
    warp = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, turn * TURN, 1 + zoom * ZOOM)
    warp[:, 2] += x * SHIFT, y * SHIFT
    if rng.random() < 0.5:
        warp = warp @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1.0]])
    face = cv2.warpAffine(face, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gain, contrast = 1 + light * LIGHT, 1 + contrast * LIGHT
    levels = gain * (face.mean() + contrast * (np.arange(256) - face.mean()))
    return cv2.LUT(face, np.clip(np.rint(levels), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Batches:
    """A seeded, endless stream of training batches that can start anywhere.

    Attributes:
        crops: uint8 (N, 100, 100, 3), memory-mapped or not.
        targets: float32 (N, 128) of unit length.
        rows: int (M,), the rows of one pass; who stands in it twice is drawn twice as often.
        size: faces in a batch.
        changes: what is done to the faces.
        seed: of order and changes.
    """

    crops: np.ndarray
    targets: np.ndarray
    rows: np.ndarray
    size: int
    changes: Changes
    seed: int

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return batch number ``step``: float32 (size, 100, 100, 3) in [0, 1] and its targets."""
        a_pass, place = divmod(step, len(self.rows) // self.size)
        order = np.random.default_rng((self.seed, a_pass)).permutation(self.rows)
        rows = np.sort(order[place * self.size : (place + 1) * self.size])
        rng = np.random.default_rng((self.seed, a_pass, place))
        faces = np.stack([self.changes.apply(face, rng) for face in self.crops[rows]])
        return preprocess.to_model_input(faces), self.targets[rows]

    def ahead(self, step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batch number ``step`` and all that follow, each made while the one before is learned from."""
        with ThreadPoolExecutor(1, "batches") as thread:
            coming = thread.submit(self.batch, step)
            while True:
                batch, step = coming.result(), step + 1
                coming = thread.submit(self.batch, step)
                yield batch


def training_faces(table: FaceTable, times: dict[str, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of one pass over the training photos, int (M,), and all targets, float32 (N, 128).

    Args:
        table: the photos.
        times: how often in a pass, by ``set/file name``; once where nothing is said.

    Raises:
        DataError: no training photo has a teacher's embedding.
    """
    rows = np.flatnonzero((table.role == TRAINING) & ~np.isnan(table.targets).any(axis=1))
    if not len(rows):
        raise DataError("No training photo has a teacher's embedding.", "Name a teacher file in the sets file.")
    if times:
        rows = np.repeat(rows, [times.get(_name(table, int(row)), 1) for row in rows])
    return rows, np.nan_to_num(centred_teacher(table))


def _name(table: FaceTable, row: int) -> str:
    return f"{table.set_names[table.set_index[row]]}/{table.paths[row].name}"


def read_times(path: Path) -> dict[str, int]:
    """Read a CSV of ``photo,times``, the photo as ``set/file name``.

    Raises:
        DataError: it cannot be read so.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["photo"]: int(row["times"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path.name} expects the columns photo and times ({type(error).__name__}).", "Write set/file name, 2."
        ) from None
