"""All figures of many bootstrap replicates at once: the list itself, each pair counted so many times.

Pairs are sorted by score once and summed up in *cells*: runs of neighbouring scores of one kind,
and scores of both kinds, cut further at the threshold and at the bins of the reliability curve.
Error curves turn at the ends of such runs only, so summing loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flaskapp.evaluation.curves import area, crossing, first_allowed
from flaskapp.evaluation.decisions import rates
from flaskapp.evaluation.inputs import BoolArray, FloatArray, IntArray

BINS = 15


class Ladder:
    """Pairs in the order of their scores, ready to be weighed again and again.

    Args:
        values: float64 (N,), −inf = failure to acquire.
        truths: bool (N,), True = genuine.
        threshold: ``match`` if score ≥ threshold.
        stated_fmrs: false match rates at which FNMR is read off.
        chances: whether the scores are chances, so that Brier and the like mean something.

    Attributes:
        order: int (N,), what sorts the pairs; ``figures`` takes weights in this order.
    """

    def __init__(
        self, values: FloatArray, truths: BoolArray, threshold: float, stated_fmrs: Sequence[str] = (), *, chances: bool
    ) -> None:
        self.order = np.argsort(values, kind="stable")
        self._values, self._is_genuine = values[self.order], truths[self.order]
        self._genuine, self._impostor = int(truths.sum()), int((~truths).sum())
        both = bool(self._genuine and self._impostor)
        self._stated = stated_fmrs if both else None
        self._chances = chances and both
        self._failed, at_threshold = np.searchsorted(self._values, (-np.finfo(np.float64).max, threshold)).tolist()
        self._starts = self._cell_starts(at_threshold)
        self._first_cell, self._threshold_cell = np.searchsorted(self._starts, (self._failed, at_threshold)).tolist()
        if self._chances:
            self._terms = self._proper_scores()

    def _cell_starts(self, at_threshold: int) -> IntArray:
        """Return where cells begin, as positions in the sorted pairs."""
        values, size = self._values, self._values.size
        new = _turns(values)
        genuine = np.add.reduceat(self._is_genuine.astype(np.int64), new)
        kind = np.where(genuine == 0, 0, np.where(genuine == np.diff(np.append(new, size)), 1, 2))
        turns = np.append(True, (kind[1:] != kind[:-1]) | (kind[1:] == 2))
        cuts = [new[turns], [at_threshold, self._failed]]
        if self._chances:
            cuts.append(self._failed + _turns(bin_of(values[self._failed :])))
        starts = np.unique(np.concatenate(cuts).astype(np.int64))
        return starts[starts < size]

    def _proper_scores(self) -> FloatArray:
        """Return (N, 4): each pair's part in Brier score and Cllr, for both kinds apart."""
        terms = np.zeros((self._values.size, 4))
        acquired = np.arange(self._values.size) >= self._failed
        for column, kind in ((0, self._is_genuine), (2, ~self._is_genuine)):
            chosen = kind & acquired
            chance = self._values[chosen] if column == 0 else 1 - self._values[chosen]
            with np.errstate(divide="ignore"):
                # log₂(1 + 1/LR) of a score s is −log₂ s.
                terms[chosen, column], terms[chosen, column + 1] = (1 - chance) ** 2, -np.log2(chance)
        return terms

    def figures(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return the figures of each row of weights, float64 (b,) each; NaN where nobody counts.

        The list's share of genuine pairs is kept.

        Args:
            weights: float64 (b, N), how often each pair counts, pairs in the order of ``order``.
        """
        genuine = np.add.reduceat(weights * self._is_genuine, self._starts, axis=1)
        impostor = np.add.reduceat(weights, self._starts, axis=1) - genuine
        with np.errstate(invalid="ignore", divide="ignore"):
            missed = _below(genuine, self._genuine)
            let_in = self._impostor - _below(impostor, self._impostor)
            at = self._threshold_cell
            found = rates(self._genuine - missed[:, at], let_in[:, at], self._genuine, self._impostor)
            if self._stated is not None:
                found |= self._curves(missed[:, self._first_cell :], let_in[:, self._first_cell :])
            if self._chances:
                found |= self._quality(weights, genuine, impostor)
        return found

    def _curves(self, missed: FloatArray, let_in: FloatArray) -> dict[str, FloatArray]:
        fnmr = missed / self._genuine
        found = {
            "eer": crossing(let_in / self._impostor, fnmr),
            "auc": area(let_in, missed, self._genuine, self._impostor),
        }
        for key in self._stated or ():
            index = first_allowed(let_in, float(key), self._impostor)
            found[f"fnmr_at_fmr.{key}"] = np.take_along_axis(fnmr, index[:, None], 1)[:, 0]
        return found

    def _quality(self, weights: FloatArray, genuine: FloatArray, impostor: FloatArray) -> dict[str, FloatArray]:
        genuine, impostor = genuine[:, self._first_cell :], impostor[:, self._first_cell :]
        totals = np.stack((genuine.sum(axis=1), impostor.sum(axis=1)), axis=1)
        brier, cllr = ((weights @ self._terms).reshape(-1, 2, 2) / totals[:, :, None]).mean(axis=1).T
        genuine, impostor = genuine / totals[:, :1], impostor / totals[:, 1:]
        pooled = [pooled_cllr(*masses) for masses in zip(genuine, impostor, strict=True)]
        lowest = np.where(totals.min(axis=1) > 0, pooled, np.nan)
        return {
            "brier": brier,
            "ece": self._ece(weights, genuine, totals),
            "cllr": cllr,
            "min_cllr": lowest,
            "calibration_loss": cllr - lowest,
        }

    def _ece(self, weights: FloatArray, genuine: FloatArray, totals: FloatArray) -> FloatArray:
        """Return half the sum over bins of |genuine − genuine scores − impostor scores|, as shares of their kinds."""
        starts = self._starts[self._first_cell :]
        first = _turns(bin_of(self._values[starts]))
        scored = np.where(np.isfinite(self._values), self._values, 0.0)
        of_genuine, of_impostor = (
            np.add.reduceat(weights * (scored * kind), starts[first], axis=1)
            for kind in (self._is_genuine, ~self._is_genuine)
        )
        observed = np.add.reduceat(genuine, first, axis=1)
        gaps = observed - of_genuine / totals[:, :1] - of_impostor / totals[:, 1:]
        return np.abs(gaps).sum(axis=1) / 2


def _below(counts: FloatArray, pairs: int) -> FloatArray:
    """Sum up counts (b, cells) below each cell, and all of them last, taken of so many pairs: (b, cells + 1)."""
    sums = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    return sums * pairs / sums[:, -1:] if pairs else sums


def _turns(values: np.ndarray) -> IntArray:
    """Return where runs of equal values begin."""
    return np.flatnonzero(np.append(values.size > 0, values[1:] != values[:-1]))


def bin_of(scores: FloatArray) -> IntArray:
    """Return the number of the reliability bin of each score in [0, 1]."""
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


def pooled_cllr(genuine: FloatArray, impostor: FloatArray) -> float:
    """Return the Cllr of the best non-decreasing map of scores.

    Args:
        genuine: float64 (C,), share of all genuine pairs at each score, scores ascending.
        impostor: float64 (C,), likewise.
    """
    genuine, impostor = _pooled(genuine, impostor)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where a pool holds one kind only, its own term is 0 · log₂ 1 and the other's 0 · ∞: both are 0.
        of_genuine = np.where(genuine > 0, genuine * np.log2(1 + impostor / genuine), 0)
        of_impostor = np.where(impostor > 0, impostor * np.log2(1 + genuine / impostor), 0)
    return float(of_genuine.sum() + of_impostor.sum()) / 2


def _pooled(genuine: FloatArray, impostor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pool adjacent violators, whole runs at once, until the share of genuine pairs rises from pool to pool."""
    present = genuine + impostor > 0
    genuine, impostor = genuine[present], impostor[present]
    while genuine.size:
        share = genuine / (genuine + impostor)
        starts = np.flatnonzero(np.append(True, share[1:] > share[:-1]))
        if starts.size == share.size:
            break
        genuine, impostor = np.add.reduceat(genuine, starts), np.add.reduceat(impostor, starts)
    return genuine, impostor
