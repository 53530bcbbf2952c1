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
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError
from flaskapp.evaluation.inputs import FloatArray, check_both_kinds, check_pairs
from flaskapp.evaluation.weighing import BINS, Ladder, bin_of

FIGURES = ("brier", "ece", "cllr", "min_cllr", "calibration_loss")


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs whose scores lie in [low, high), in the last bin also at its end.

    Attributes:
        low: lower end.
        high: upper end.
        genuine: genuine pairs in it.
        impostor: impostor pairs in it.
        mean_score: their mean score, both kinds weighing one half of all; None if it is empty.
        observed: share of them that is genuine, weighed likewise; None if it is empty.
    """

    low: float
    high: float
    genuine: int
    impostor: int
    mean_score: float | None
    observed: float | None


@dataclass(frozen=True)
class Quality:
    """What the scores are worth as probabilities.

    Attributes:
        brier: Brier score, 0 to 1.
        ece: expected calibration error, 0 to 1.
        cllr: in bits, from 0; None where it is infinite, as after one wrong score of exactly 0 or 1.
        min_cllr: the same after the best non-decreasing map, 0 to 1.
        calibration_loss: Cllr − minCllr, in bits; None where Cllr is.
        genuine: genuine pairs that have a score.
        impostor: impostor pairs that have a score.
        bins: the reliability curve.
    """

    brier: float
    ece: float
    cllr: float | None
    min_cllr: float
    calibration_loss: float | None
    genuine: int
    impostor: int
    bins: tuple[ReliabilityBin, ...]


def score_quality(scores: npt.ArrayLike, same: npt.ArrayLike) -> Quality:
    """Measure scores as probabilities.

    Args:
        scores: float (N,) in [0, 1], NaN = failure to acquire: it takes no part.
        same: bool (N,), True = genuine.

    Raises:
        DataError: a score lies outside [0, 1], or only one kind of pairs has scores.

    Example:
        >>> found = score_quality([0.2, 0.6, 0.4, 0.8], [False, False, True, True])
        >>> round(found.brier, 3), round(found.cllr, 3), found.min_cllr
        (0.2, 0.834, 0.5)
    """
    values, truths = check_pairs(scores, same)
    acquired = np.isfinite(values)
    values, truths = values[acquired], truths[acquired]
    if values.size and (values.min() < 0 or values.max() > 1):
        raise DataError(
            f"Calibration expects scores from 0 to 1. Received: {values.min():g} to {values.max():g}.",
            "Map the scores to chances first; all other figures need no scale.",
        )
    check_both_kinds(truths, "Calibration of scores")
    found = Ladder(values, truths, 0.0, chances=True).figures(np.ones((1, values.size)))
    brier, ece, cllr, min_cllr, calibration_loss = (float(found[name][0]) for name in FIGURES)
    return Quality(
        brier=brier,
        ece=ece,
        cllr=cllr if math.isfinite(cllr) else None,
        min_cllr=min_cllr,
        calibration_loss=calibration_loss if math.isfinite(cllr) else None,
        genuine=int(truths.sum()),
        impostor=int((~truths).sum()),
        bins=_bins(values[truths], values[~truths]),
    )


def _bins(genuine: FloatArray, impostor: FloatArray) -> tuple[ReliabilityBin, ...]:
    kinds = (genuine, impostor)
    counts = [np.bincount(bin_of(values), minlength=BINS) for values in kinds]
    sums = [np.bincount(bin_of(values), values, minlength=BINS) for values in kinds]
    share, of_impostors = (count / values.size for count, values in zip(counts, kinds, strict=True))
    total, score = share + of_impostors, sums[0] / genuine.size + sums[1] / impostor.size
    return tuple(
        ReliabilityBin(
            low=number / BINS,
            high=(number + 1) / BINS,
            genuine=int(counts[0][number]),
            impostor=int(counts[1][number]),
            mean_score=float(score[number] / total[number]) if total[number] else None,
            observed=float(share[number] / total[number]) if total[number] else None,
        )
        for number in range(BINS)
    )
