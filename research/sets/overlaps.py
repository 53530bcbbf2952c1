"""Whom the training sets share with people who must not be learned from, by the teacher's embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from research.sets.roles import HELD_OUT, LEFT_OUT, TRAINING

if TYPE_CHECKING:
    from research.sets.table import FaceTable

__all__ = [
    "SAME_PERSON_COSINE",
    "SAME_PHOTO_COSINE",
    "SURELY_SAME_PERSON_COSINE",
    "leave_out_overlaps",
    "nearest_cosine",
    "of_excluded_people",
    "of_whole_people",
]

# The teacher's cosine from which two photos count as one photo seen twice, and from which
# they count as one person: on LFW 2 of 1,000,000 impostor pairs lie above 0.5.
SAME_PHOTO_COSINE = 0.9
SAME_PERSON_COSINE = 0.5
# Hundreds of photos of one person meet thousands of strangers' photos: some pair of them is above 0.5 by
# chance alone. So one pair of photos speaks for its whole person from here on only.
SURELY_SAME_PERSON_COSINE = 0.6


def leave_out_overlaps(table: FaceTable, excluded: list[np.ndarray]) -> dict[str, int]:
    """Take out of training whoever must not be learned from; changes ``table.role``.

    Whoever an excluded photo shows leaves (``of_excluded_people``), and so do photos nearer than
    ``SAME_PHOTO_COSINE`` to one of a person held out.

    Returns:
        How many photos left for which reason.
    """
    before = table.role == TRAINING
    for embeddings in excluded:
        table.role[of_excluded_people(table, embeddings, nearest_cosine(table.teacher, embeddings))] = LEFT_OUT
    overlapping = int(np.sum(before & (table.role == LEFT_OUT)))
    held_out = np.isin(table.role, HELD_OUT)
    repeated = (table.role == TRAINING) & (nearest_cosine(table.teacher, table.teacher[held_out]) > SAME_PHOTO_COSINE)
    table.role[repeated] = LEFT_OUT
    return {"people of the excluded sets": overlapping, "photos of people held out": int(np.sum(repeated))}


def of_excluded_people(table: FaceTable, excluded: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Say which training photos show people who must not be learned from.

    A photo does that is nearer than ``SAME_PERSON_COSINE`` to an excluded one. All photos of a known
    person do when the mean of them is that near, or one of them is nearer than ``SURELY_SAME_PERSON_COSINE``.

    Args:
        table: all photos.
        excluded: float32 (M, 128) of unit length, NaN rows are passed over.
        nearest: float32 (N,), each photo's largest cosine to any of them, as of ``nearest_cosine``.

    Returns:
        bool (N,).
    """
    training = table.role == TRAINING
    nearest = np.where(training, nearest, -1)
    known = training & (table.person >= 0) & ~np.isnan(table.teacher).any(axis=1)
    people, number = np.unique(table.person[known], return_inverse=True)
    sums = np.zeros((len(people), table.teacher.shape[1]), np.float32)
    np.add.at(sums, number, table.teacher[known])
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    by_mean = people[nearest_cosine(means, excluded) > SAME_PERSON_COSINE]
    whole = of_whole_people(table.person, nearest > SURELY_SAME_PERSON_COSINE) | np.isin(table.person, by_mean)
    return training & ((nearest > SAME_PERSON_COSINE) | whole)


def of_whole_people(person: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Widen a choice of photos to all photos of the people it shows.

    Args:
        person: int (N,), negative = unknown: such a photo stands for itself.
        chosen: bool (N,).

    Returns:
        bool (N,).
    """
    people = person[chosen]
    return chosen | np.isin(person, people[people >= 0])


def nearest_cosine(embeddings: np.ndarray, others: np.ndarray, rows: int = 4096) -> np.ndarray:
    """Return each embedding's largest cosine to any of ``others``.

    Args:
        embeddings: float32 (N, d) of unit length; NaN rows give −1.
        others: float32 (M, d) of unit length; NaN rows are passed over.
        rows: how many embeddings are compared at a time.

    Returns:
        float32 (N,) in [−1, 1].
    """
    others = others[~np.isnan(others).any(axis=1)]
    nearest = np.full(len(embeddings), -1.0, np.float32)
    if len(others) == 0:
        return nearest
    for start in range(0, len(embeddings), rows):
        cosines = embeddings[start : start + rows] @ others.T
        nearest[start : start + rows] = np.nan_to_num(cosines.max(axis=1), nan=-1.0)
    return nearest
