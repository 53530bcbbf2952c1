"""LFW's view 2: as many measurements as folds, each with a threshold that the other folds chose.

G. B. Huang, M. Ramesh, T. Berg and E. Learned-Miller, "Labeled Faces in the Wild", University
of Massachusetts, Technical Report 07-49, 2007, section IV: the estimated mean accuracy is
μ = Σ pᵢ / n, its standard error S = σ / √n with σ² = Σ (pᵢ − μ)² / (n − 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError
from flaskapp.evaluation.choices import choose_threshold
from flaskapp.evaluation.decisions import confusion_at


@dataclass(frozen=True)
class Folds:
    """Accuracy of each fold at the threshold of the others.

    Attributes:
        accuracies: one a fold, 0 to 1.
        thresholds: likewise, what the other folds chose.
        pairs: likewise, how many pairs it was counted on.
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
        return {
            "mean_accuracy": self.mean,
            "standard_error": self.standard_error,
            "accuracies": list(self.accuracies),
            "thresholds": list(self.thresholds),
            "pairs": list(self.pairs),
        }


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
    numbers = np.unique(folds)
    if numbers.size < 2:
        raise DataError("View 2 expects two folds or more. Received: one.", "Evaluate the list without its folds.")
    thresholds = [choose_threshold(values[folds != number], truths[folds != number]) for number in numbers]
    confusions = [
        confusion_at(values[folds == number], truths[folds == number], threshold)
        for number, threshold in zip(numbers, thresholds, strict=True)
    ]
    return Folds(
        accuracies=tuple(confusion.accuracy for confusion in confusions),
        thresholds=tuple(thresholds),
        pairs=tuple(confusion.pairs for confusion in confusions),
    )
