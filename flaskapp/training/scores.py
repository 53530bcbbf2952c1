"""Scores of all pairs of many photos, for choosing and for measuring."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.dataset import sets
from flaskapp.dataset.sets import FaceTable
from flaskapp.runtime import weighted_l1


@dataclass(frozen=True)
class Labelled:
    """Photos of known people, each with at least one other photo of the same set.

    Attributes:
        rows: int (N,), into the table.
        person: int (N,).
        set_index: int (N,).
    """

    rows: np.ndarray
    person: np.ndarray
    set_index: np.ndarray

    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return every pair within a set: first and second position, and ``same``.

        The sets hold some photos twice, in different sizes: across sets, a genuine pair may
        be one photo.
        """
        first, second = np.triu_indices(len(self.rows), 1)
        within = self.set_index[first] == self.set_index[second]
        first, second = first[within], second[within]
        return first, second, self.person[first] == self.person[second]


def labelled(table: FaceTable, role: int) -> Labelled:
    """Return the photos of one role whose person is known and has two of them in a set.

    Who calibrates or is reported on comes only from the sets that may measure.
    """
    rows = np.flatnonzero((table.role == role) & (table.person != sets.UNKNOWN_PERSON))
    if role in (sets.CALIBRATION, sets.REPORTING) and table.set_measures:
        rows = rows[np.array(table.set_measures)[table.set_index[rows]]]
    keys = np.stack([table.person[rows], table.set_index[rows]], axis=1)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    rows = rows[counts[inverse.reshape(-1)] > 1]
    return Labelled(rows, table.person[rows], table.set_index[rows])


def log_odds(embeddings: np.ndarray, kernel: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the weighted L1 distance ``|a − b| · kernel`` of many pairs of embeddings.

    Args:
        embeddings: float32 (N, 4096).
        kernel: float32 (4096,), the score's weights.
        first: int (M,), rows.
        second: int (M,), rows, sorted or not.

    Returns:
        float64 (M,); the score's log-odds without its offset.
    """
    answer = np.empty(len(first), np.float64)
    kernel = kernel.astype(np.float32)
    for start in range(0, len(first), 4096):
        part = slice(start, start + 4096)
        answer[part] = weighted_l1(embeddings[first[part]], embeddings[second[part]], kernel)
    return answer


def embed_crops(twin: keras.Model, crops: np.ndarray) -> np.ndarray:
    """Return embeddings float32 (N, 4096) of crops uint8 (N, 100, 100, 3), memory-mapped or not."""
    parts = [crops[start : start + 512] for start in range(0, len(crops), 512)]
    return np.concatenate([twin.predict(preprocess.to_model_input(part), batch_size=64, verbose=0) for part in parts])
