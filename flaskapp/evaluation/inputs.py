"""What every measurement is made of: a score and a truth for each pair."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def check_pairs(scores: npt.ArrayLike, same: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Return scores and truths as arrays, failures to acquire turned into −inf.

    A photo without a usable face has no score (NaN). It can never be decided ``match``, at
    whatever threshold, which is what the score −inf says; so the pair stays in every count.

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire.
        same: bool (N,), True = genuine.

    Returns:
        float64 (N,) and bool (N,), copies.

    Raises:
        DataError: there is no pair at all.
        ValueError: the shapes differ, a score is infinite, or a truth is neither 0 nor 1.
    """
    values = np.array(scores, dtype=np.float64)
    truths = np.asarray(same)
    if values.ndim != 1 or truths.shape != values.shape:
        raise ValueError(f"Expected scores and same of one shape (N,). Received: {values.shape} and {truths.shape}")
    if values.size == 0:
        raise DataError("There is no pair to evaluate.", "Give a list with at least one pair.")
    if np.isinf(values).any():
        raise ValueError("Expected finite scores, or NaN for a failure to acquire. Received: infinity")
    if not np.isin(truths, (0, 1)).all():
        raise ValueError(f"Expected same to hold 0 and 1. Received: {np.unique(truths)[:5]}")
    values[np.isnan(values)] = -np.inf
    return values, truths.astype(np.bool_)


def check_both_kinds(same: BoolArray, purpose: str) -> None:
    """Refuse pairs of one kind only, for a measurement that weighs one kind against the other.

    Raises:
        DataError: there are no genuine pairs, or no impostor pairs.
    """
    genuine = int(same.sum())
    if genuine in (0, same.size):
        raise DataError(
            f"{purpose} expects genuine and impostor pairs. "
            f"Received: {genuine} genuine, {same.size - genuine} impostor.",
            "Add pairs of the other kind.",
        )
