"""Taking off what all faces have in common.

A teacher that learned from celebrities finds ordinary people's photos alike: their vectors
lie together, away from zero, so that any two strangers among them have a high cosine. What
every face of a balanced set has in common tells nobody from anybody. Its mean is taken off
what the network learns, as the mean face is for Eigenfaces (Turk and Pentland, "Eigenfaces
for Recognition", 1991), and once more, exactly, off what the network says in the end.
research/notes/training.md has the figures.

The centres from which ``layers.WithDistinctness`` tells how far a face lies are found here too.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from flaskapp.errors import DataError
from flaskapp.weights.shape import CENTRES, VECTOR_SIZE
from research.sets.table import TRAINING, UNKNOWN_PERSON, FaceTable

PEOPLE_A_CENTRE = 20  # on average, at least
FEWEST_PEOPLE = 10  # of a centre: fewer would say something of single people


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


def centres_of_people(table: FaceTable, seed: int = 0) -> np.ndarray:
    """Return the centres of ``layers.WithDistinctness``: k-means of what the network learns of many people.

    One photo counts of each training person who is named, and every training photo of the sets named as centre, which
    show another person each. A set's many photos of few people would draw the centres to single faces.

    Returns:
        float32 (256, 128), each the mean of at least ten people's vectors of unit length, or else zeros; all zeros
        where there are fewer than 20 people a centre.
    """
    targets = centred_teacher(table)
    named = np.flatnonzero((table.role == TRAINING) & (table.person != UNKNOWN_PERSON) & ~np.isnan(targets).any(axis=1))
    _, first = np.unique(table.person[named], return_index=True)
    rows = np.union1d(centre_rows(table), named[first])
    if len(rows) < CENTRES * PEOPLE_A_CENTRE:
        return np.zeros((CENTRES, VECTOR_SIZE), np.float32)
    found = KMeans(CENTRES, n_init=1, random_state=seed).fit(targets[rows])
    people = np.bincount(found.labels_, minlength=CENTRES)
    return np.where(people[:, None] < FEWEST_PEOPLE, 0, found.cluster_centers_).astype(np.float32)
