"""All figures of many bootstrap replicates at once.

A replicate is the list itself with each pair counted so many times. Pairs are sorted by score
once and summed up in *cells*: runs of neighbouring scores of one kind, scores that pairs of
both kinds share, cut further at the threshold and at the bins of the reliability curve. Error
curves turn at the ends of such runs only, so nothing is lost by summing: whatever a curve of
all pairs says, the cells' sums say too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flaskapp.evaluation.curves import crossing
from flaskapp.evaluation.inputs import BoolArray, FloatArray, IntArray
from flaskapp.evaluation.quality import bin_of, pooled_cllr, surprise


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
        self, values: FloatArray, truths: BoolArray, threshold: float, stated_fmrs: Sequence[str], *, chances: bool
    ) -> None:
        self.order = np.argsort(values, kind="stable")
        self._values, self._genuine = values[self.order], truths[self.order]
        self._share = float(truths.mean())
        self._both = 0 < self._share < 1
        self._stated = stated_fmrs
        self._chances = chances and self._both
        self._failed = int(np.isneginf(values).sum())
        at_threshold = int(np.searchsorted(self._values, threshold))
        self._starts = self._cell_starts(at_threshold)
        self._threshold_cell = int(np.searchsorted(self._starts, at_threshold))
        self._first_cell = int(np.searchsorted(self._starts, self._failed))
        if self._chances:
            self._terms = self._proper_scores()

    def _cell_starts(self, at_threshold: int) -> IntArray:
        """Return where cells begin, as positions in the sorted pairs."""
        values, size = self._values, self._values.size
        new = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
        counts = np.diff(np.append(new, size))
        genuine = np.add.reduceat(self._genuine.astype(np.int64), new)
        kind = np.where(genuine == 0, 0, np.where(genuine == counts, 1, 2))
        turns = np.append(True, (kind[1:] != kind[:-1]) | (kind[1:] == 2))
        cuts = [new[turns], [at_threshold, self._failed]]
        if self._chances:
            acquired = self._failed + np.arange(size - self._failed)
            bins = bin_of(values[self._failed :])
            cuts.append(acquired[np.append(True, bins[1:] != bins[:-1])] if bins.size else [])
        starts = np.unique(np.concatenate(cuts).astype(np.int64))
        return starts[starts < size]

    def _proper_scores(self) -> FloatArray:
        """Return (N, 4): each pair's part in Brier score and Cllr, for both kinds apart."""
        acquired = np.isfinite(self._values)
        score = np.where(acquired, self._values, 0.5)
        terms = np.zeros((score.size, 4))
        for column, kind, chance in ((0, self._genuine, score), (2, ~self._genuine, 1 - score)):
            chosen = kind & acquired
            terms[chosen, column] = (1 - chance[chosen]) ** 2
            terms[chosen, column + 1] = surprise(chance[chosen])
        return terms

    def figures(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return each replicate's figures, float64 (b,) each; NaN where it drew nobody who counts.

        Args:
            weights: float64 (b, N), how often each pair counts, pairs in the order of ``order``.
        """
        genuine = np.add.reduceat(weights * self._genuine, self._starts, axis=1)
        impostor = np.add.reduceat(weights, self._starts, axis=1) - genuine
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self._decisions(genuine, impostor)
            if self._both:
                found |= self._curves(genuine, impostor)
            if self._chances:
                found |= self._quality(weights, genuine, impostor)
        return found

    def _decisions(self, genuine: FloatArray, impostor: FloatArray) -> dict[str, FloatArray]:
        """Return the figures at the threshold; the list's share of genuine pairs is kept."""
        below = slice(0, self._threshold_cell)
        fnmr = genuine[:, below].sum(axis=1) / genuine.sum(axis=1)
        fmr = 1 - impostor[:, below].sum(axis=1) / impostor.sum(axis=1)
        if self._share == 1:
            return {"fnmr": fnmr, "recall": 1 - fnmr, "accuracy": 1 - fnmr}
        if self._share == 0:
            return {"fmr": fmr, "accuracy": 1 - fmr}
        missed, let_in = self._share * fnmr, (1 - self._share) * fmr
        matched = self._share - missed
        return {
            "fmr": fmr,
            "fnmr": fnmr,
            "recall": 1 - fnmr,
            "accuracy": 1 - missed - let_in,
            "precision": matched / (matched + let_in),
            "f1": 2 * matched / (2 * matched + missed + let_in),
        }

    def _curves(self, genuine: FloatArray, impostor: FloatArray) -> dict[str, FloatArray]:
        genuine_below, impostor_below = (
            np.pad(np.cumsum(kind, axis=1), ((0, 0), (1, 0))) for kind in (genuine, impostor)
        )
        of_genuine, of_impostor = genuine_below[:, -1:], impostor_below[:, -1:]
        area = np.sum(genuine * (impostor_below[:, :-1] + impostor / 2), axis=1) / (of_genuine * of_impostor)[:, 0]
        fnmr = genuine_below[:, self._first_cell :] / of_genuine
        fmr = 1 - impostor_below[:, self._first_cell :] / of_impostor
        found = {"eer": crossing(fmr, fnmr), "auc": area}
        for key in self._stated:
            first = np.argmax(fmr <= float(key) * (1 + 1e-12), axis=1)
            found[f"fnmr_at_fmr.{key}"] = fnmr[np.arange(len(fnmr)), first]
        return found

    def _quality(self, weights: FloatArray, genuine: FloatArray, impostor: FloatArray) -> dict[str, FloatArray]:
        acquired = slice(self._first_cell, None)
        genuine, impostor = genuine[:, acquired], impostor[:, acquired]
        totals = np.stack((genuine.sum(axis=1), impostor.sum(axis=1)), axis=1)
        terms = (weights @ self._terms).reshape(-1, 2, 2) / totals[:, :, None]
        brier, cllr = terms.mean(axis=1).T
        genuine, impostor = genuine / totals[:, :1], impostor / totals[:, 1:]
        pooled = [pooled_cllr(*masses) for masses in zip(genuine, impostor, strict=True)]
        lowest = np.where(totals.min(axis=1) > 0, pooled, np.nan)
        return {
            "brier": brier,
            "ece": self._ece(weights, genuine, totals),
            "cllr": cllr,
            "min_cllr": lowest,
            "calibration_loss": np.maximum(cllr - lowest, 0),
        }

    def _ece(self, weights: FloatArray, genuine: FloatArray, totals: FloatArray) -> FloatArray:
        """Return half the sum over bins of |genuine − genuine scores − impostor scores|, as shares of their kinds."""
        bins = bin_of(self._values[self._starts[self._first_cell :]])
        first = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
        starts = self._starts[self._first_cell :][first]
        scored = np.where(np.isfinite(self._values), self._values, 0.0)
        of_genuine, of_impostor = (
            np.add.reduceat(weights * (scored * kind), starts, axis=1) for kind in (self._genuine, ~self._genuine)
        )
        observed = np.add.reduceat(genuine, first, axis=1)
        gaps = observed - of_genuine / totals[:, :1] - of_impostor / totals[:, 1:]
        return np.abs(gaps).sum(axis=1) / 2
