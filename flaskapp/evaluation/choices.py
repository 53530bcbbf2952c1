"""Choosing the threshold, on people set aside for it, or for each fold on the other folds.

A threshold reported on the pairs that chose it flatters itself. Failures to acquire take no part
here; where figures are reported they count. A cut between two neighbouring scores lies halfway:
every cut between them decides these pairs alike, and the middle errs least on others.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError
from flaskapp.evaluation.curves import ErrorCurve, error_curve
from flaskapp.evaluation.decisions import confusion_at
from flaskapp.evaluation.inputs import FloatArray

# DESIGN, "Score, band, threshold".
MAX_FMR = 1 / 1000
MAX_FNMR = 1 / 100


def choose_threshold(scores: npt.ArrayLike, same: npt.ArrayLike) -> float:
    """Choose the threshold of highest accuracy.

    Of several equally accurate ones it takes the one whose FMR and FNMR are nearest to each
    other, and of those the highest: always the same one for the same scores.

    Args:
        scores: float (N,), higher = more alike; NaN takes no part.
        same: bool (N,), True = genuine.

    Raises:
        DataError: the pairs are of one kind only, or there are none.

    Example:
        >>> choose_threshold([0.1, 0.3, 0.7, 0.9], [False, False, True, True])
        0.5
    """
    curve = curve_of_acquired(scores, same)
    cuts = cuts_of(curve)
    share = curve.genuine / (curve.genuine + curve.impostor)
    return float(cuts[most_accurate(curve, np.arange(cuts.size), share)])


def curve_of_acquired(scores: npt.ArrayLike, same: npt.ArrayLike) -> ErrorCurve:
    """Return the errors of the pairs that have a score."""
    values = np.asarray(scores, dtype=np.float64)
    acquired = ~np.isnan(values)
    return error_curve(values[acquired], np.asarray(same)[acquired])


def cuts_of(curve: ErrorCurve) -> FloatArray:
    """Return, for each threshold, the value halfway down to the next lower score; it decides these pairs alike."""
    scores = curve.thresholds[:-1]
    halfway = scores[:-1] + np.diff(scores) / 2
    # Between two neighbouring floating-point numbers the middle rounds to one of them.
    halfway = np.where(halfway > scores[:-1], halfway, scores[1:])
    return np.concatenate((scores[:1], halfway, [np.nextafter(scores[-1], np.inf)]))


def most_accurate(curve: ErrorCurve, indices: npt.NDArray[np.intp], genuine_share: float) -> int:
    """Return which of some cuts is the most accurate where this share of pairs is genuine; see ``choose_threshold``."""
    fmr, fnmr = curve.fmr[indices], curve.fnmr[indices]
    wrong = genuine_share * fnmr + (1 - genuine_share) * fmr
    best = np.isclose(wrong, wrong.min(), rtol=0, atol=1e-12)
    imbalance = np.where(best, np.abs(fmr - fnmr), np.inf)
    nearest = np.isclose(imbalance, imbalance.min(), rtol=0, atol=1e-12)
    return int(indices[np.flatnonzero(nearest)[-1]])


@dataclass(frozen=True)
class Folds:
    """Accuracy of each fold at the threshold of the others: LFW's view 2.

    The mean is μ = Σ pᵢ / n, its standard error σ / √n with σ² = Σ (pᵢ − μ)² / (n − 1): G. B. Huang
    et al., "Labeled Faces in the Wild", University of Massachusetts, Technical Report 07-49, 2007.

    Attributes:
        accuracies: one a fold, 0 to 1.
        thresholds: what the other folds chose, one a fold.
        pairs: how many pairs each fold has.
    """

    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    pairs: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.accuracies) == len(self.thresholds) == len(self.pairs):
            raise ValueError("Expected two folds or more, each with an accuracy, a threshold and its pairs")

    @property
    def mean(self) -> float:
        """Mean accuracy over folds."""
        return math.fsum(self.accuracies) / len(self.accuracies)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return float(np.std(self.accuracies, ddof=1)) / math.sqrt(len(self.accuracies))

    def to_json(self) -> dict[str, Any]:
        """Return mean, standard error and the folds they come from."""
        folds = {name: list(values) for name, values in asdict(self).items()}
        return {"mean_accuracy": self.mean, "standard_error": self.standard_error, **folds}


def evaluate_folds(scores: npt.ArrayLike, same: npt.ArrayLike, fold: npt.ArrayLike) -> Folds:
    """Measure each fold with the most accurate threshold of all others.

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire: a non-match.
        same: bool (N,), True = genuine.
        fold: int (N,), number of the fold of each pair.

    Raises:
        DataError: there is one fold only, or all other folds together lack a kind of pairs.
    """
    values, truths, folds = np.asarray(scores, np.float64), np.asarray(same, bool), np.asarray(fold)
    if np.unique(folds).size < 2:
        raise DataError("View 2 expects two folds or more. Received: one.", "Evaluate the list without its folds.")
    told = []
    for here in (folds == number for number in np.unique(folds)):
        threshold = choose_threshold(values[~here], truths[~here])
        told.append((confusion_at(values[here], truths[here], threshold).accuracy, threshold, int(here.sum())))
    return Folds(*zip(*told, strict=True))
