"""Choosing the inconclusive band, and the threshold within it, on people set aside for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import UnreachableRateError
from flaskapp.evaluation.curves import (
    FEWEST_ERRORS,
    ErrorCurve,
    allowed,
    curve_of_acquired,
    cuts_of,
    first_allowed,
    most_accurate,
    pairs_needed,
)
from flaskapp.evaluation.decisions import Band, check_band
from research.distil.calibration import check_share, platt

# What a band lets through of either kind.
MAX_FMR = 1 / 1000
MAX_FNMR = 1 / 100
MAX_INCONCLUSIVE = 0.05
# Where nothing is seen of a face, scores are near one half.
UNSURE = (0.4, 0.6)
# Of strangers in photos as they come: what earlier weights let through in testing.
MOST_MATCH = 0.003
# Of strangers, and of people themselves, in any condition of spoiled photos. Of strangers 2 % is asked, of other people
# than those who choose the band.
WORST_MATCH = 0.01
WORST_NON_MATCH = 0.04


@dataclass(frozen=True)
class BandChoice:
    """An inconclusive band, what was asked of it and what it reaches on the choosing pairs.

    Attributes:
        low: below it a pair is decided ``non_match``.
        high: from it on a pair is decided ``match``.
        max_fmr: at most this share of impostor pairs was to read ``match``.
        max_fnmr: at most this share of genuine pairs was to read ``non_match``.
        max_inconclusive: at most this share of either kind was to lie inside the band.
        relaxed_by: how many times its limit the further of both error rates is; 1 = they hold.
        false_matches: impostor pairs that read ``match``.
        false_non_matches: genuine pairs that read ``non_match``.
        inconclusive_genuine: genuine pairs inside the band.
        inconclusive_impostor: impostor pairs inside the band.
        genuine: genuine pairs that had a score.
        impostor: impostor pairs that had a score.
    """

    low: float
    high: float
    max_fmr: float
    max_fnmr: float
    max_inconclusive: float
    relaxed_by: float
    false_matches: int
    false_non_matches: int
    inconclusive_genuine: int
    inconclusive_impostor: int
    genuine: int
    impostor: int

    def __post_init__(self) -> None:
        check_band(self.band)
        if self.relaxed_by < 1:
            raise ValueError(f"Expected relaxed_by of at least 1. Received: {self.relaxed_by}")
        if self.false_matches + self.inconclusive_impostor > self.impostor:
            raise ValueError("Expected no more verdicts on impostor pairs than there are pairs")
        if self.false_non_matches + self.inconclusive_genuine > self.genuine:
            raise ValueError("Expected no more verdicts on genuine pairs than there are pairs")

    @property
    def band(self) -> Band:
        """(low, high)."""
        return self.low, self.high

    @property
    def relaxed(self) -> bool:
        """Whether the error limits asked for could not be kept."""
        return self.relaxed_by > 1

    @property
    def fmr(self) -> float:
        """Share of impostor pairs that read ``match``."""
        return self.false_matches / self.impostor

    @property
    def fnmr(self) -> float:
        """Share of genuine pairs that read ``non_match``."""
        return self.false_non_matches / self.genuine

    def to_json(self) -> dict[str, Any]:
        """Return what is stored beside the weights."""
        return {**asdict(self), "relaxed": self.relaxed, "fmr": self.fmr, "fnmr": self.fnmr}


def choose_band(
    scores: npt.ArrayLike,
    same: npt.ArrayLike,
    max_fmr: float = MAX_FMR,
    max_fnmr: float = MAX_FNMR,
    max_inconclusive: float = MAX_INCONCLUSIVE,
    around: Band | None = None,
) -> BandChoice:
    """Choose the inconclusive band.

    ``high`` is the lowest cut that lets at most ``max_fmr`` of the impostor pairs read
    ``match``; ``low`` the highest that lets at most ``max_fnmr`` of the genuine pairs read
    ``non_match``. Where more than ``max_inconclusive`` of either kind would lie between them,
    the limits give way: of the bands that hold the most accurate cut and leave no more than
    that inside, it takes the one with the least FMR + FNMR. (Growing both limits by one
    factor keeps their ratio of one to ten, which lies far from where a weaker network errs
    least.) Where the two ends cross, no band is needed: low and high are then one cut, the
    most accurate of those that keep both limits.

    Args:
        scores: float (N,), higher = more alike; NaN takes no part.
        same: bool (N,), True = genuine.
        max_fmr: share of impostor pairs that may read ``match``.
        max_fnmr: share of genuine pairs that may read ``non_match``.
        max_inconclusive: share of either kind that may read ``inconclusive``.
        around: scores between these ends are to read ``inconclusive`` in any case.

    Raises:
        DataError: the pairs are of one kind only, or there are none.
        UnreachableRateError: the pairs are too few to see ten errors at the limits;
            ``reachable_rate`` says which limits they could show.
    """
    curve = curve_of_acquired(scores, same)
    _check_reachable("FMR", max_fmr, "impostor", curve.impostor)
    _check_reachable("FNMR", max_fnmr, "genuine", curve.genuine)
    low, high = _ends(curve, max_fmr, max_fnmr)
    if high < low:
        low = high = most_accurate(curve, np.arange(high, low + 1), genuine_share=0.5)
    elif _most_inside(curve, low, high) > max_inconclusive + 1e-12:
        low, high = _narrowed(curve, low, high, max_inconclusive)
    cuts = cuts_of(curve)
    if around:
        low = min(low, max(int(np.searchsorted(cuts, around[0], side="right")) - 1, 0))
        high = max(high, min(int(np.searchsorted(cuts, around[1])), len(cuts) - 1))
    fmr, fnmr = float(curve.fmr[high]), float(curve.fnmr[low])
    return BandChoice(
        low=float(cuts[low]),
        high=float(cuts[high]),
        max_fmr=max_fmr,
        max_fnmr=max_fnmr,
        max_inconclusive=max_inconclusive,
        relaxed_by=max(1.0, fmr / max_fmr, fnmr / max_fnmr),
        false_matches=int(curve.false_matches[high]),
        false_non_matches=int(curve.false_non_matches[low]),
        inconclusive_genuine=int(curve.false_non_matches[high] - curve.false_non_matches[low]),
        inconclusive_impostor=int(curve.false_matches[low] - curve.false_matches[high]),
        genuine=curve.genuine,
        impostor=curve.impostor,
    )


def choose_threshold_within(
    scores: npt.ArrayLike, same: npt.ArrayLike, band: Band, genuine_share: float, counts_for: npt.ArrayLike = 1.0
) -> float:
    """Choose the threshold of highest accuracy among those with ``low ≤ threshold ≤ high``; of equal ones the highest.

    Args:
        scores: float (N,), higher = more alike; NaN takes no part.
        same: bool (N,), True = genuine.
        band: (low, high).
        genuine_share: share of genuine pairs where the threshold will be used.
        counts_for: float (N,), how much each pair weighs among those of its kind.

    Raises:
        DataError: the pairs are of one kind only, or there are none.
    """
    low, high = check_band(band)
    check_share(genuine_share)
    cuts = cuts_of(curve_of_acquired(scores, same))
    # The ends are themselves cuts: with them there is always something to choose from.
    cuts = np.unique(np.append(cuts[(cuts >= low) & (cuts <= high)], [low, high]))
    values, truths = np.asarray(scores, np.float64), np.asarray(same, bool)
    acquired = np.flatnonzero(~np.isnan(values))
    order = acquired[np.argsort(values[acquired])]
    _, weights = platt(truths[order], genuine_share, np.broadcast_to(counts_for, values.shape)[order])
    # What a cut loses against one below all scores: genuine pairs below it, less the impostors it keeps out.
    lost = np.concatenate(([0.0], np.cumsum(np.where(truths[order], weights, -weights))))
    lost = lost[np.searchsorted(values[order], cuts)]
    return float(cuts[np.flatnonzero(np.isclose(lost, lost.min(), rtol=0, atol=1e-12))[-1]])


def _ends(curve: ErrorCurve, max_fmr: float, max_fnmr: float) -> tuple[int, int]:
    """Return the indices of low and high that keep the limits; low may be above high."""
    kept = np.flatnonzero(curve.false_non_matches <= allowed(max_fnmr, curve.genuine))
    return int(kept[-1]), int(first_allowed(curve.false_matches, max_fmr, curve.impostor))


def _most_inside(curve: ErrorCurve, low: int, high: int) -> float:
    """Return the larger share of both kinds that lies inside a band."""
    return float(max(curve.fnmr[high] - curve.fnmr[low], curve.fmr[low] - curve.fmr[high]))


def _narrowed(curve: ErrorCurve, low: int, high: int, max_inconclusive: float) -> tuple[int, int]:
    """Return the ends of the band of least error that leaves few pairs without an answer.

    It lies within [low, high] and holds the most accurate cut, both kinds weighing the same.
    For each lower end the highest upper end is looked up; of those bands the one with the
    least FMR + FNMR is taken.
    """
    best = most_accurate(curve, np.arange(low, high + 1), genuine_share=0.5)
    room = max_inconclusive + 1e-12
    lows = np.arange(low, best + 1)
    # FNMR rises along the curve and FMR falls, so both can be searched in.
    by_genuine = np.searchsorted(curve.fnmr, curve.fnmr[lows] + room, side="right") - 1
    by_impostor = np.searchsorted(-curve.fmr, -(curve.fmr[lows] - room), side="right") - 1
    highs = np.minimum(np.minimum(by_genuine, by_impostor), high)
    errors = np.where(highs >= best, curve.fnmr[lows] + curve.fmr[highs], np.inf)
    chosen = int(np.flatnonzero(np.isclose(errors, errors.min(), rtol=0, atol=1e-12))[-1])
    return int(lows[chosen]), int(highs[chosen])


def reachable_rate(pairs: int) -> float:
    """Return the lowest error rate that so many pairs can show; the inverse of ``pairs_needed``.

    >>> reachable_rate(500)
    0.02
    """
    return FEWEST_ERRORS / pairs


def limits(same: npt.ArrayLike) -> tuple[float, float]:
    """Return the highest FMR and FNMR outside the band: those wanted, or what so few pairs, bool (N,), can show."""
    truths = np.asarray(same, bool)
    return max(MAX_FMR, reachable_rate(int((~truths).sum()))), max(MAX_FNMR, reachable_rate(int(truths.sum())))


def _check_reachable(name: str, rate: float, kind: str, pairs: int) -> None:
    fewest = pairs_needed(rate)
    if pairs < fewest:
        raise UnreachableRateError(
            f"A band with {name} ≤ {rate:g} expects at least {fewest} {kind} pairs. Received: {pairs}.",
            "Use more pairs, or a higher limit.",
        )
