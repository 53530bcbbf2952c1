"""Taking off what all faces have in common.

A teacher that learned from celebrities finds ordinary people's photos alike: their vectors
lie together, away from zero, so that any two strangers among them have a high cosine. What
every face of a balanced set has in common tells nobody from anybody. Its mean is taken off
what the network learns, as the mean face is for Eigenfaces (Turk and Pentland, "Eigenfaces
for Recognition", 1991), and once more, exactly, off what the network says in the end.
research/notes/training.md has the figures.
"""

from __future__ import annotations

import numpy as np

from flaskapp.errors import DataError
from research.sets.table import TRAINING, FaceTable


def centre_rows(table: FaceTable) -> np.ndarray:
    """Return the rows int (M,) whose mean is taken off: training photos of the sets named as centre.

    Raises:
        DataError: sets are named, but none of their photos can be learned from.
    """
    if not any(table.set_centres):
        return np.empty(0, np.int64)
    named = np.array(table.set_centres)[table.set_index] & (table.role == TRAINING)
    rows = np.flatnonzero(named & ~np.isnan(table.targets).any(axis=1))
    if not len(rows):
        raise DataError(
            "The sets that are to be the centre have no training photo with a teacher embedding.",
            "Name a teacher file for them, or leave centre out.",
        )
    return rows


def centred_teacher(table: FaceTable) -> np.ndarray:
    """Return what the network learns to say of each photo.

    Returns:
        float32 (N, 128) of unit length, NaN where there is no embedding: the table's targets
        less their mean over ``centre_rows``, or as they are where there are none of these.
    """
    rows = centre_rows(table)
    if not len(rows):
        return table.targets
    away = table.targets - table.targets[rows].mean(axis=0)
    return away / np.linalg.norm(away, axis=1, keepdims=True)
