"""Error rates at every threshold: the curves, and the single figures read off them.

A comparison is decided ``match`` if its score ≥ the threshold. So, of a list of pairs,

    FMR(t)  = impostor pairs with score ≥ t / impostor pairs
    FNMR(t) = genuine pairs with score < t / genuine pairs

as in ISO/IEC 19795-1, with failures to acquire counted as non-matches in both. The curves change
at scores only, so the thresholds are the scores themselves. Each figure is a function of the
errors at all thresholds, float or int (..., T), of a list or of many replicates of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import UnreachableRateError
from flaskapp.evaluation.inputs import FloatArray, IntArray, check_both_kinds, check_pairs

# PROMISES P16: below these an error rate would rest on a handful of accidents.
FEWEST_ERRORS = 10
FEWEST_PEOPLE = 500


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Both kinds of errors at every threshold that makes a difference.

    Attributes:
        thresholds: float64 (T,), the distinct scores, ascending, then +inf (nothing matches).
        false_matches: int64 (T,), impostor pairs with score ≥ threshold; never rises.
        false_non_matches: int64 (T,), genuine pairs with score < threshold; never falls.
        genuine: how many genuine pairs there are, failures to acquire included.
        impostor: how many impostor pairs, likewise.
    """

    thresholds: FloatArray
    false_matches: IntArray
    false_non_matches: IntArray
    genuine: int
    impostor: int

    def __post_init__(self) -> None:
        if not self.thresholds.shape == self.false_matches.shape == self.false_non_matches.shape:
            raise ValueError("Expected thresholds, false_matches and false_non_matches of one shape")
        if np.any(np.diff(self.thresholds) <= 0) or not np.isposinf(self.thresholds[-1]):
            raise ValueError("Expected ascending thresholds that end in infinity")
        if self.false_matches[-1] != 0 or self.false_non_matches[-1] != self.genuine:
            raise ValueError("Expected that nothing matches at an infinite threshold")

    @property
    def fmr(self) -> FloatArray:
        """False match rate, float64 (T,) in [0, 1], never rising."""
        return self.false_matches / self.impostor

    @property
    def fnmr(self) -> FloatArray:
        """False non-match rate, float64 (T,) in [0, 1], never falling."""
        return self.false_non_matches / self.genuine


def error_curve(scores: npt.ArrayLike, same: npt.ArrayLike) -> ErrorCurve:
    """Count both kinds of errors at every threshold; ``match`` means score ≥ threshold.

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire.
        same: bool (N,), True = genuine.

    Raises:
        DataError: the pairs are of one kind only, or there are none.

    Example:
        >>> curve = error_curve([0.2, 0.6, 0.4, 0.9], [False, False, True, True])
        >>> curve.thresholds.tolist(), curve.fmr.tolist(), curve.fnmr.tolist()
        ([0.2, 0.4, 0.6, 0.9, inf], [1.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    values, truths = check_pairs(scores, same)
    check_both_kinds(truths, "An error curve")
    thresholds = np.unique(values[np.isfinite(values)])
    genuine, impostor = np.sort(values[truths]), np.sort(values[~truths])
    return ErrorCurve(
        thresholds=np.append(thresholds, np.inf),
        false_matches=np.append(impostor.size - np.searchsorted(impostor, thresholds), 0),
        false_non_matches=np.append(np.searchsorted(genuine, thresholds), genuine.size),
        genuine=genuine.size,
        impostor=impostor.size,
    )


def eer(curve: ErrorCurve) -> float:
    """Return the equal error rate: where FMR and FNMR cross, on straight lines between points.

    If too many photos failed for that, the line goes on to the point where everything matches.

    >>> eer(error_curve([0.2, 0.6, 0.4, 0.9], [False, False, True, True]))
    0.5
    """
    return float(crossing(curve.fmr, curve.fnmr))


def crossing(fmr: FloatArray, fnmr: FloatArray) -> FloatArray:
    """Return the equal error rates of curves.

    Args:
        fmr: float64 (..., T), falling to 0 along the last axis.
        fnmr: float64 (..., T), rising to 1.

    Returns:
        float64 (...,); NaN where a curve holds NaN.
    """
    fmr, fnmr = _with_start(fmr, 1.0), _with_start(fnmr, 0.0)
    excess = fmr - fnmr
    after = np.argmax(excess <= 0, axis=-1)[..., None]
    above, below = (np.take_along_axis(excess, where, -1)[..., 0] for where in (after - 1, after))
    start, end = (np.take_along_axis(fmr, where, -1)[..., 0] for where in (after - 1, after))
    crossed = start + above / (above - below) * (end - start)
    return np.where(np.isnan(excess).any(axis=-1), np.nan, crossed)


def auc(curve: ErrorCurve) -> float:
    """Return the area under the ROC: Mann and Whitney's U over the number of (genuine, impostor) combinations.

    Ties count half; two failures to acquire are a tie.

    >>> auc(error_curve([0.2, 0.6, 0.4, 0.9], [False, False, True, True]))
    0.75
    """
    return float(area(curve.false_matches, curve.false_non_matches, curve.genuine, curve.impostor))


def area(false_matches: npt.ArrayLike, false_non_matches: npt.ArrayLike, genuine: int, impostor: int) -> FloatArray:
    """Return the areas under the ROCs, float64 (...,), of errors (..., T) at ascending thresholds."""
    false_matches = _with_start(np.asarray(false_matches, np.float64), impostor)
    matches = _with_start(genuine - np.asarray(false_non_matches, np.float64), genuine)
    # Whole numbers until the last division, where the errors are.
    twice = np.sum(-np.diff(false_matches) * (matches[..., :-1] + matches[..., 1:]), axis=-1)
    return np.asarray(twice / (2 * genuine * impostor))


def _with_start(values: FloatArray, start: float) -> FloatArray:
    """Put before each curve the point at which everything matches."""
    return np.concatenate((np.full((*values.shape[:-1], 1), start), values), axis=-1)


def fnmr_at_fmr(curve: ErrorCurve, fmr: float, people: int | None = None, *, named: bool = True) -> float:
    """Return the lowest FNMR among thresholds whose FMR is at most ``fmr``.

    Args:
        curve: the errors at every threshold.
        fmr: the false match rate asked for, in (0, 1).
        people: how many people the impostor pairs show, where that was looked at.
        named: False where these are photos: they may all show the same few people.

    Raises:
        UnreachableRateError: the pairs are too few to show this rate: fewer than 10/fmr
            impostor pairs, fewer than 10 of them matching, or fewer than 500 people.
    """
    fewest = pairs_needed(fmr)
    if curve.impostor < fewest:
        raise _unreachable(fmr, f"at least {fewest} impostor pairs", curve.impostor)
    if people is not None and (people < FEWEST_PEOPLE or not named):
        received = people if named else f"{people} photos, and no word of who is on them"
        raise _unreachable(fmr, f"impostor pairs of at least {FEWEST_PEOPLE} people", received)
    index = index_at_fmr(curve, fmr)
    if curve.false_matches[index] < FEWEST_ERRORS:
        raise _unreachable(
            fmr, f"at least {FEWEST_ERRORS} false matches", f"{curve.false_matches[index]} (tied scores)"
        )
    return float(curve.fnmr[index])


def pairs_needed(rate: float) -> int:
    """Return how many pairs it takes to see ten errors at a rate.

    >>> pairs_needed(0.001)
    10000
    """
    if not 0 < rate < 1:
        raise ValueError(f"Expected a rate between 0 and 1. Received: {rate}")
    return math.ceil(round(FEWEST_ERRORS / rate, 6))


def reachable_rate(pairs: int) -> float:
    """Return the lowest error rate that so many pairs can show; the inverse of pairs_needed.

    >>> reachable_rate(500)
    0.02
    """
    return FEWEST_ERRORS / pairs


def index_at_fmr(curve: ErrorCurve, fmr: float) -> int:
    """Return the index of the lowest threshold with an FMR of at most ``fmr``."""
    return int(first_allowed(curve.false_matches, fmr, curve.impostor))


def first_allowed(false_matches: npt.NDArray[Any], fmr: float, impostor: int) -> IntArray:
    """Return where false matches (..., T) first are few enough for an FMR, int64 (...,)."""
    return np.argmax(false_matches <= allowed(fmr, impostor), axis=-1)


def allowed(rate: float, pairs: int) -> float:
    """Return how many errors a rate allows, forgiving what floating point takes away.

    >>> int(0.29 * 100), int(allowed(0.29, 100))
    (28, 29)
    """
    return rate * pairs * (1 + 1e-12)


def _unreachable(fmr: float, expected: str, received: object) -> UnreachableRateError:
    return UnreachableRateError(
        f"FNMR at FMR {fmr:g} expects {expected}. Received: {received}.",
        "Evaluate more pairs, of more people, or ask for a higher FMR.",
    )
