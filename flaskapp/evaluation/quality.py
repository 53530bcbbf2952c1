"""How far scores can be taken at their word: Brier, ECE, Cllr, and what calibration costs.

A similarity score s says: s is the chance of "same person" where genuine and impostor pairs
are equally common. So both kinds weigh one half here, however many pairs a list has of each,
and the likelihood ratio that a score states is LR = s / (1 − s). Failures to acquire have no
score and take no part; they count where decisions are counted.

* Brier score: G. W. Brier, "Verification of forecasts expressed in terms of probability",
  Monthly Weather Review 78, 1950: the mean squared distance of the scores to 1 and 0.
* ECE, expected calibration error, in 15 bins of equal width: M. P. Naeini, G. F. Cooper and
  M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015;
  C. Guo et al., "On calibration of modern neural networks", ICML 2017.
* Cllr = ½ mean over genuine pairs of log₂(1 + 1/LR) + ½ mean over impostor pairs of
  log₂(1 + LR), in bits: N. Brümmer and J. du Preez, "Application-independent evaluation of
  speaker detection", Computer Speech and Language 20, 2006. 0 is perfect, 1 says nothing.
* minCllr: the Cllr after the best non-decreasing map of the scores, which pooling adjacent
  violators finds (M. Ayer et al., Annals of Mathematical Statistics 26, 1955; N. Brümmer and
  J. du Preez, "The PAV algorithm optimizes binary proper scoring rules", 2013). It is what a
  ranking could be worth; Cllr − minCllr is what calibration loses of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError
from flaskapp.evaluation.curves import area, crossing, first_allowed
from flaskapp.evaluation.decisions import BoolArray, FloatArray, IntArray, check_both_kinds, check_pairs, rates

FIGURES = ("brier", "ece", "cllr", "min_cllr", "calibration_loss")
BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs whose scores lie in [low, high), in the last bin also at its end.

    ``mean_score`` is that of its pairs, both kinds weighing one half of all, and ``observed`` the share of
    them that is genuine, weighed likewise; both are None if it is empty.
    """

    low: float
    high: float
    genuine: int
    impostor: int
    mean_score: float | None
    observed: float | None


@dataclass(frozen=True)
class Quality:
    """What the scores are worth as probabilities."""

    brier: float  # Brier score, 0 to 1
    ece: float  # expected calibration error, 0 to 1
    cllr: float | None  # in bits, from 0; None where it is infinite, as after one wrong score of exactly 0 or 1
    min_cllr: float  # the same after the best non-decreasing map, 0 to 1
    calibration_loss: float | None  # Cllr − minCllr, in bits; None where Cllr is
    genuine: int  # genuine pairs that have a score
    impostor: int  # impostor pairs that have a score
    bins: tuple[ReliabilityBin, ...]  # the reliability curve


def score_quality(scores: npt.ArrayLike, same: npt.ArrayLike, counts_for: npt.ArrayLike = 1.0) -> Quality:
    """Measure scores in [0, 1] as probabilities; ``counts_for``, float (N,), is what each pair weighs among its kind.

    Raises:
        DataError: a score lies outside [0, 1], or only one kind of pairs has scores.

    Example:
        >>> found = score_quality([0.2, 0.6, 0.4, 0.8], [False, False, True, True])
        >>> round(found.brier, 3), round(found.cllr, 3), found.min_cllr
        (0.2, 0.834, 0.5)
    """
    values, truths = check_pairs(scores, same)
    acquired = np.isfinite(values)
    counts = np.broadcast_to(counts_for, values.shape)[acquired]
    values, truths = values[acquired], truths[acquired]
    if values.size and (values.min() < 0 or values.max() > 1):
        raise DataError(
            f"Calibration expects scores from 0 to 1. Received: {values.min():g} to {values.max():g}.",
            "Map the scores to chances first; all other figures need no scale.",
        )
    check_both_kinds(truths, "Calibration of scores")
    ladder = Ladder(values, truths, 0.0, chances=True)
    figures = ladder.figures(counts[None, ladder.order])
    found = {name: float(figures[name][0]) for name in FIGURES}
    finite = {name: value if math.isfinite(value) else None for name, value in found.items()}
    bins = _bins(values, truths, counts)
    return Quality(**finite, genuine=int(truths.sum()), impostor=int((~truths).sum()), bins=bins)  # type: ignore[arg-type]


def _bins(scores: FloatArray, truths: BoolArray, counts: FloatArray) -> tuple[ReliabilityBin, ...]:
    weights = counts / np.where(truths, counts[truths].sum(), counts[~truths].sum())
    columns = (truths, ~truths, weights * scores, weights * truths, weights)
    sums = [np.bincount(_bin_of(scores), column, minlength=BINS).tolist() for column in columns]
    return tuple(
        ReliabilityBin(
            low=number / BINS,
            high=(number + 1) / BINS,
            genuine=int(genuine),
            impostor=int(impostor),
            mean_score=score / weight if weight else None,
            observed=share / weight if weight else None,
        )
        for number, (genuine, impostor, score, share, weight) in enumerate(zip(*sums, strict=True))
    )


def _bin_of(scores: FloatArray) -> IntArray:
    """Return the number of the reliability bin of each score in [0, 1]."""
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


class Ladder:
    """All figures of many bootstrap replicates at once: the list itself, each pair counted so many times.

    It is made of values, float64 (N,), −inf = failure to acquire, and truths, bool (N,); of a threshold, of false
    match rates at which FNMR is read off, and of whether the scores are chances, so that Brier and the like mean
    something. ``order``, int (N,), is what sorts the pairs; ``figures`` takes weights in this order.
    """

    def __init__(
        self, values: FloatArray, truths: BoolArray, threshold: float, stated_fmrs: Sequence[str] = (), *, chances: bool
    ) -> None:
        self.order = np.argsort(values, kind="stable")
        values, is_genuine = values[self.order], truths[self.order]
        self._is_genuine, self._genuine, self._impostor = is_genuine, int(truths.sum()), int((~truths).sum())
        self._failed, at_threshold = np.searchsorted(values, (-np.finfo(np.float64).max, threshold)).tolist()
        self._starts = _cells(values, is_genuine, (self._failed, at_threshold))
        self._first_cell, self._threshold_cell = np.searchsorted(self._starts, (self._failed, at_threshold)).tolist()
        self._stated, self._chances = stated_fmrs, chances
        if chances:
            scores, kinds = values[self._failed :], np.stack((is_genuine, ~is_genuine), axis=1)[self._failed :]
            chance = np.where(kinds[:, 0], scores, 1 - scores)
            with np.errstate(divide="ignore"):
                # log₂(1 + 1/LR) of a score s is −log₂ s.
                parts = (1 - chance) ** 2, -np.log2(chance), kinds[:, 0] - scores
            # (3, acquired, 2): each pair's part in Brier score, Cllr and the gap of its bin, in the column of its kind.
            self._parts = np.where(kinds, np.stack(parts)[:, :, None], 0)
            self._bins = _turns(_bin_of(scores))

    def figures(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return the figures of each row of weights, float64 (b,) each; NaN where nobody counts.

        Weights, float64 (b, N), say how often each pair counts, pairs in the order of ``order``; the list's share of
        genuine pairs is kept. Figures that need both kinds of pairs are there if both are.
        """
        genuine = np.add.reduceat(weights * self._is_genuine, self._starts, axis=1)
        impostor = np.add.reduceat(weights, self._starts, axis=1) - genuine
        with np.errstate(invalid="ignore", divide="ignore"):
            missed = _below(genuine, self._genuine)
            let_in = self._impostor - _below(impostor, self._impostor)
            at, scored = self._threshold_cell, slice(self._first_cell, None)
            found = rates(self._genuine - missed[:, at], let_in[:, at], self._genuine, self._impostor)
            if self._genuine and self._impostor:
                found |= self._curves(missed[:, scored], let_in[:, scored])
                if self._chances:
                    found |= self._quality(weights[:, self._failed :], genuine[:, scored], impostor[:, scored])
        return found

    def _curves(self, missed: FloatArray, let_in: FloatArray) -> dict[str, FloatArray]:
        fnmr = missed / self._genuine
        found = {
            "eer": crossing(let_in / self._impostor, fnmr),
            "auc": area(let_in, missed, self._genuine, self._impostor),
        }
        for key in self._stated:
            index = first_allowed(let_in, float(key), self._impostor)
            found[f"fnmr_at_fmr.{key}"] = np.take_along_axis(fnmr, index[:, None], 1)[:, 0]
        return found

    def _quality(self, weights: FloatArray, genuine: FloatArray, impostor: FloatArray) -> dict[str, FloatArray]:
        totals = np.stack((genuine.sum(axis=1), impostor.sum(axis=1)), axis=1)
        brier, cllr = ((weights @ part / totals).mean(axis=1) for part in self._parts[:2])
        gaps = [np.add.reduceat(weights * part, self._bins, axis=1) for part in self._parts[2].T]
        shares = zip(genuine / totals[:, :1], impostor / totals[:, 1:], strict=True)
        lowest = np.array([_pooled_cllr(*masses) for masses in shares])
        return {
            "brier": brier,
            "ece": np.abs(gaps[0] / totals[:, :1] + gaps[1] / totals[:, 1:]).sum(axis=1) / 2,
            "cllr": cllr,
            "min_cllr": lowest,
            "calibration_loss": cllr - lowest,
        }


def _cells(values: FloatArray, is_genuine: BoolArray, cuts: tuple[int, int]) -> IntArray:
    """Return where the sorted pairs are parted: runs of neighbouring scores of one kind, and each score of both kinds.

    Error curves turn at the ends of such runs only, so summing up within them loses nothing.
    """
    new = _turns(values)
    share = np.add.reduceat(is_genuine, new, dtype=np.float64) / np.diff(np.append(new, values.size))
    turns = np.append(True, (share[1:] != share[:-1]) | ((share[1:] > 0) & (share[1:] < 1)))
    starts = np.union1d(new[turns], cuts)
    return starts[starts < values.size]


def _turns(values: np.ndarray) -> IntArray:
    """Return where runs of equal values begin."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1]))


def _below(counts: FloatArray, pairs: int) -> FloatArray:
    """Sum up counts (b, cells) below each cell, and all of them last, taken of so many pairs: (b, cells + 1)."""
    sums = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    return sums * pairs / sums[:, -1:] if pairs else sums


def _pooled_cllr(genuine: FloatArray, impostor: FloatArray) -> float:
    """Return the Cllr of the best non-decreasing map of scores; NaN of NaN.

    It pools adjacent violators, whole runs at once, until the share of genuine pairs rises from pool to pool. The
    arguments are the share of all pairs of a kind at each score, float64 (C,), scores ascending.
    """
    present = genuine + impostor != 0
    genuine, impostor = genuine[present], impostor[present]
    while True:
        share = genuine / (genuine + impostor)
        starts = np.flatnonzero(np.append(True, share[1:] > share[:-1]))
        if starts.size == share.size:
            break
        genuine, impostor = np.add.reduceat(genuine, starts), np.add.reduceat(impostor, starts)
    # Where a pool holds one kind only, its own term is 0 · log₂ 1 and the other's 0 · ∞: both are 0.
    of_genuine = np.where(genuine == 0, 0, genuine * np.log2(1 + impostor / genuine))
    of_impostor = np.where(impostor == 0, 0, impostor * np.log2(1 + genuine / impostor))
    return float(of_genuine.sum() + of_impostor.sum()) / 2
