"""Error rates at every threshold: the curves, what is read off them, and the threshold chosen from them.

A comparison is decided ``match`` if its score ≥ the threshold. So, of a list of pairs,

    FMR(t)  = impostor pairs with score ≥ t / impostor pairs
    FNMR(t) = genuine pairs with score < t / genuine pairs

as in ISO/IEC 19795-1, with failures to acquire counted as non-matches in both. The curves change
at scores only, so the thresholds are the scores themselves. Some functions take errors at all
thresholds, float or int (..., T): of a list, or of many replicates of it at once.

A threshold reported on the pairs that chose it flatters itself: it is chosen on people set aside
for it, or for each fold on the other folds. Failures to acquire take no part in the choice; where
figures are reported they count. A cut between two neighbouring scores lies halfway: every cut
between them decides these pairs alike, and the middle errs least on others.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation.decisions import FloatArray, IntArray, check_both_kinds, check_pairs, confusion_at

# Below these an error rate would rest on a handful of accidents.
FEWEST_ERRORS = 10
FEWEST_PEOPLE = 500


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Both kinds of errors at every threshold that makes a difference."""

    thresholds: FloatArray  # float64 (T,), the distinct scores, ascending, then +inf (nothing matches)
    false_matches: IntArray  # int64 (T,), impostor pairs with score ≥ threshold; never rises
    false_non_matches: IntArray  # int64 (T,), genuine pairs with score < threshold; never falls
    genuine: int  # how many genuine pairs there are, failures to acquire included
    impostor: int  # how many impostor pairs, likewise

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

    Raises:
        DataError: the pairs are of one kind only, or there are none.

    Example:
        >>> curve = error_curve([0.2, 0.6, 0.4, 0.9], [False, False, True, True])
        >>> curve.thresholds.tolist(), curve.fmr.tolist(), curve.fnmr.tolist()
        ([0.2, 0.4, 0.6, 0.9, inf], [1.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    values, truths = check_pairs(scores, same)
    check_both_kinds(truths, "An error curve")
    thresholds = np.append(np.unique(values[np.isfinite(values)]), np.inf)
    genuine, impostor = np.sort(values[truths]), np.sort(values[~truths])
    let_in, missed = impostor.size - np.searchsorted(impostor, thresholds), np.searchsorted(genuine, thresholds)
    return ErrorCurve(thresholds, let_in, missed, genuine.size, impostor.size)


def eer(curve: ErrorCurve) -> float:
    """Return the equal error rate: where FMR and FNMR cross, on straight lines between points.

    If too many photos failed for that, the line goes on to the point where everything matches.

    >>> eer(error_curve([0.2, 0.6, 0.4, 0.9], [False, False, True, True]))
    0.5
    """
    return float(crossing(curve.fmr, curve.fnmr))


def crossing(fmr: FloatArray, fnmr: FloatArray) -> FloatArray:
    """Return the equal error rates, float64 (...,), of curves (..., T); NaN where a curve holds NaN."""
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
    """Return the lowest FNMR among thresholds whose FMR is at most ``fmr``, in (0, 1).

    ``people`` is how many the impostor pairs show, where that was looked at. They are not ``named`` where these are
    photos: those may all show the same few people.

    Raises:
        UnreachableRateError: the pairs are too few to show this rate: fewer than 10/fmr
            impostor pairs, fewer than 10 of them matching, or fewer than 500 people.
    """
    fewest, index = pairs_needed(fmr), int(first_allowed(curve.false_matches, fmr, curve.impostor))
    if curve.impostor < fewest:
        wanted, received = f"at least {fewest} impostor pairs", str(curve.impostor)
    elif people is not None and (people < FEWEST_PEOPLE or not named):
        wanted = f"impostor pairs of at least {FEWEST_PEOPLE} people"
        received = str(people) if named else f"{people} photos, and no word of who is on them"
    elif curve.false_matches[index] < FEWEST_ERRORS:
        wanted, received = f"at least {FEWEST_ERRORS} false matches", f"{curve.false_matches[index]} (tied scores)"
    else:
        return float(curve.fnmr[index])
    raise UnreachableRateError(
        f"FNMR at FMR {fmr:g} expects {wanted}. Received: {received}.",
        "Evaluate more pairs, of more people, or ask for a higher FMR.",
    )


def pairs_needed(rate: float) -> int:
    """Return how many pairs it takes to see ten errors at a rate.

    >>> pairs_needed(0.001)
    10000
    """
    if not 0 < rate < 1:
        raise ValueError(f"Expected a rate between 0 and 1. Received: {rate}")
    return math.ceil(round(FEWEST_ERRORS / rate, 6))


def first_allowed(false_matches: npt.NDArray[Any], fmr: float, impostor: int) -> IntArray:
    """Return the index of the lowest threshold with so low an FMR, int64 (...,), given false matches (..., T)."""
    return np.argmax(false_matches <= allowed(fmr, impostor), axis=-1)


def allowed(rate: float, pairs: int) -> float:
    """Return how many errors a rate allows, forgiving what floating point takes away.

    >>> int(0.29 * 100), int(allowed(0.29, 100))
    (28, 29)
    """
    return rate * pairs * (1 + 1e-12)


def choose_threshold(scores: npt.ArrayLike, same: npt.ArrayLike) -> float:
    """Choose the threshold of highest accuracy.

    Of several equally accurate ones it takes the one whose FMR and FNMR are nearest to each
    other, and of those the highest: always the same one for the same scores.

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
    """Return the errors of the pairs that have a score.

    Raises:
        DataError: they are of one kind only, or there are none.
    """
    values = np.asarray(scores, dtype=np.float64)
    acquired = ~np.isnan(values)
    if values.size and not acquired.any():
        raise DataError(
            f"None of {values.size:,} pairs has a score: all are failures to acquire.",
            "Give scores of genuine and of impostor pairs.",
        )
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
    """

    accuracies: tuple[float, ...]  # one a fold, 0 to 1
    thresholds: tuple[float, ...]  # what the other folds chose, one a fold
    pairs: tuple[int, ...]  # how many pairs each fold has

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
    """Measure each fold, int (N,) a number for each pair, with the most accurate threshold of all others.

    Raises:
        DataError: there is one fold only, or all other folds together lack a kind of pairs that have a score.
    """
    values, truths, folds = np.asarray(scores, np.float64), np.asarray(same, bool), np.asarray(fold)
    if np.unique(folds).size < 2:
        raise DataError("View 2 expects two folds or more. Received: one.", "Evaluate the list without its folds.")
    acquired = ~np.isnan(values)
    check_folds(truths[acquired], folds[acquired])
    told = []
    for here in (folds == number for number in np.unique(folds)):
        threshold = choose_threshold(values[~here], truths[~here])
        told.append((confusion_at(values[here], truths[here], threshold).accuracy, threshold, int(here.sum())))
    return Folds(*zip(*told, strict=True))


def check_folds(same: npt.ArrayLike, fold: npt.ArrayLike) -> None:
    """Refuse two folds or more of which one leaves the others without a kind of pairs.

    Raises:
        DataError: it names the fold.
    """
    truths, folds = np.asarray(same, bool), np.asarray(fold)
    numbers = np.unique(folds)
    for number in numbers if numbers.size > 1 else ():
        check_both_kinds(truths[folds != number], f"The threshold of fold {number}, which the other folds choose,")
