"""From log-odds to scores, from scores to verdicts, and what the verdicts got right.

The decision rule of the whole program stands here, once; and what every measurement is made of, a
score and a truth for each pair. Throughout this package ``scores`` are float (N,), higher = more alike,
NaN = failure to acquire, and ``same`` is bool (N,), True = genuine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

Decision = Literal["match", "inconclusive", "non_match"]
Band = tuple[float, float]

# In the order of rising scores.
DECISIONS: tuple[Decision, ...] = ("non_match", "inconclusive", "match")


def sigmoid(log_odds: npt.ArrayLike) -> FloatArray:
    """Return the similarity scores 1 / (1 + exp(−log_odds)), without overflow at either end.

    >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    values = np.asarray(log_odds, dtype=np.float64)
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0, small) / (1.0 + small)


# Log-odds of the drawn scale's ends, about 0.001 and 0.999.
SCALE_ENDS = 7.0


def place_on_scale(score: float) -> float:
    """Return where a score is drawn, 0 = the scale's left end, 1 = its right end: by its log-odds.

    Evenly drawn, nearly all of it would be the band, whose ends are near 0 and 1. ``static/js/scale.js`` does the same.

    >>> [place_on_scale(score) for score in (0.0, 0.5, 1.0)]
    [0.0, 0.5, 1.0]
    """
    odds = math.log(score / (1 - score)) if 0 < score < 1 else math.copysign(math.inf, score - 0.5)
    return min(max(0.5 + odds / (2 * SCALE_ENDS), 0.0), 1.0)


def decide(score: float, band: Band) -> Decision:
    """Decide one comparison by its band (low, high).

    It is ``match`` from high on, ``non_match`` below low, else ``inconclusive``.

    Raises:
        ValueError: the score is no number, or the band is upside down.

    Example:
        >>> [decide(score, (0.4, 0.7)) for score in (0.39, 0.4, 0.69, 0.7)]
        ['non_match', 'inconclusive', 'inconclusive', 'match']
    """
    if math.isnan(score):
        raise ValueError("Expected a score. Received: NaN")
    return decide_all([score], band)[0]


def decide_all(scores: npt.ArrayLike, band: Band) -> list[Decision]:
    """Decide every comparison of float (N,); a failure to acquire (NaN) is a ``non_match``."""
    low, high = check_band(band)
    values = np.asarray(scores, dtype=np.float64)
    # NaN is neither ≥ low nor ≥ high.
    steps = (values >= low).astype(int) + (values >= high)
    return [DECISIONS[step] for step in steps]


def check_band(band: Band) -> Band:
    """Return the band as two floats.

    Raises:
        ValueError: it is not two finite numbers, the lower first.
    """
    low, high = (float(end) for end in band)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"Expected an inconclusive band (low, high) with low ≤ high. Received: {band}")
    return low, high


def check_pairs(scores: npt.ArrayLike, same: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Return copies of scores and truths, float64 and bool (N,), failures to acquire turned into −inf.

    A photo without a usable face has no score (NaN). It can never be decided ``match``, at
    whatever threshold, which is what the score −inf says; so the pair stays in every count.

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


@dataclass(frozen=True)
class Verdicts:
    """How many pairs of one kind got which verdict."""

    match: int
    inconclusive: int
    non_match: int

    @property
    def pairs(self) -> int:
        """All pairs of this kind."""
        return self.match + self.inconclusive + self.non_match


def count_verdicts(scores: npt.ArrayLike, same: npt.ArrayLike, band: Band) -> dict[str, Verdicts]:
    """Count the verdicts on "genuine" and "impostor" pairs; failures to acquire (NaN) are non-matches of their kind."""
    values, truths = check_pairs(scores, same)
    decisions = np.array(decide_all(values, band))
    return {
        kind: Verdicts(**{name: int(np.sum(decisions[chosen] == name)) for name in DECISIONS})
        for kind, chosen in (("genuine", truths), ("impostor", ~truths))
    }


def rates(matches: npt.ArrayLike, false_matches: npt.ArrayLike, genuine: int, impostor: int) -> dict[str, FloatArray]:
    """Return the figures of a two-way decision; NaN where a denominator is 0.

    ``matches`` are genuine pairs decided match, float of any shape, of so many ``genuine`` ones; impostor pairs
    likewise. Precision and F1 depend on the list's share of genuine pairs; FNMR is 1 − recall.
    """
    right, wrong = np.asarray(matches, np.float64), np.asarray(false_matches, np.float64)
    missed = genuine - right
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (right + (impostor - wrong)) / (genuine + impostor),
            "precision": right / (right + wrong),
            "recall": right / genuine,
            "f1": 2 * right / (2 * right + wrong + missed),
            "fmr": wrong / impostor,
            "fnmr": missed / genuine,
        }


@dataclass(frozen=True)
class Confusion:
    """The four counts of a two-way decision, as ``confusion_at`` lists them; ``rates`` says what follows from them."""

    true_matches: int
    false_matches: int
    true_non_matches: int
    false_non_matches: int

    @property
    def genuine(self) -> int:
        """All genuine pairs."""
        return self.true_matches + self.false_non_matches

    @property
    def impostor(self) -> int:
        """All impostor pairs."""
        return self.true_non_matches + self.false_matches

    @property
    def pairs(self) -> int:
        """All pairs."""
        return self.genuine + self.impostor

    @property
    def accuracy(self) -> float:
        """Right decisions / pairs."""
        return (self.true_matches + self.true_non_matches) / self.pairs

    def figures(self) -> dict[str, float | None]:
        """Return all rates by name; None where the denominator is zero."""
        found = rates(self.true_matches, self.false_matches, self.genuine, self.impostor)
        return {name: None if np.isnan(value) else float(value) for name, value in found.items()}


def confusion_at(scores: npt.ArrayLike, same: npt.ArrayLike, threshold: float) -> Confusion:
    """Count the four outcomes of a two-way decision: ``match`` if score ≥ threshold, a finite number."""
    if not math.isfinite(threshold):
        raise ValueError(f"Expected a finite threshold. Received: threshold={threshold}")
    values, truths = check_pairs(scores, same)
    matched = values >= threshold
    outcomes = (matched & truths, matched & ~truths, ~matched & ~truths, ~matched & truths)
    return Confusion(*(int(outcome.sum()) for outcome in outcomes))
