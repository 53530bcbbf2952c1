"""One evaluation: scores and truths in, every figure out, none of them without its counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation.curves import Folds, auc, eer, error_curve, evaluate_folds, fnmr_at_fmr
from flaskapp.evaluation.decisions import (
    Band,
    Confusion,
    Verdicts,
    check_band,
    check_pairs,
    confusion_at,
    count_verdicts,
    decide_all,
)
from flaskapp.evaluation.intervals import REPLICATES, Interval, Sources, bootstrap_intervals, verdict_intervals
from flaskapp.evaluation.quality import FIGURES as QUALITY_FIGURES
from flaskapp.evaluation.quality import Quality, score_quality

STATED_FMRS = {f"{fmr:g}": fmr for fmr in (0.1, 0.01, 0.001, 0.0001)}


@dataclass(frozen=True)
class Population:
    """Whom the pairs show, and how the intervals drew them again."""

    drawn: str  # "person", or "photo" where the people are not known
    count: int  # how many people (or photos) all pairs show
    count_in_impostor_pairs: int  # how many the impostor pairs show
    replicates: int  # how many times they were drawn
    seed: int  # what the draws started from


@dataclass(frozen=True)
class Evaluation:
    """What a list of scored pairs says about a system.

    A figure that these pairs cannot give is None, and ``reasons`` says why.
    """

    threshold: float  # two-way decisions are ``match`` if score ≥ threshold
    band: Band  # (low, high), the inconclusive band
    confusion: Confusion  # the four outcomes at the threshold
    decisions: Mapping[str, Verdicts]  # "genuine" and "impostor" → verdicts by the band
    failures: Mapping[str, int]  # "genuine" and "impostor" → pairs without a score, a non-match everywhere
    eer: float | None  # equal error rate, in [0, 1]
    auc: float | None  # area under the ROC, in [0, 1]
    fnmr_at_fmr: Mapping[str, float | None]  # stated FMR ("0.01") → lowest FNMR
    quality: Quality | None = None  # what the scores are worth as chances, where they are chances
    folds: Folds | None = None  # LFW's view 2, where the list has folds
    intervals: Mapping[str, Interval] = field(default_factory=dict)  # of a figure, or share ("impostor.match") → 95 %
    population: Population | None = None  # whom the pairs show, where that is known
    reasons: Mapping[str, str] = field(default_factory=dict)  # name of a figure that is None → why
    weights: str | None = None  # id of the weights that gave the scores
    threshold_chosen_here: bool = False  # whether these very pairs chose the threshold, which flatters

    @property
    def failures_to_acquire(self) -> int:
        """All pairs without a score."""
        return self.failures["genuine"] + self.failures["impostor"]

    def figures(self) -> dict[str, float | None]:
        """Return every single figure by its name, as ``intervals`` and ``reasons`` name it too."""
        return {
            **self.confusion.figures(),
            "eer": self.eer,
            "auc": self.auc,
            **{f"fnmr_at_fmr.{key}": value for key, value in self.fnmr_at_fmr.items()},
            **{name: getattr(self.quality, name, None) for name in QUALITY_FIGURES},
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain numbers, strings, lists and dicts; no NaN among them."""
        confusion = self.confusion
        return {
            "weights": self.weights,
            "pairs": confusion.pairs,
            "genuine": confusion.genuine,
            "impostor": confusion.impostor,
            "failures_to_acquire": self.failures_to_acquire,
            "failures": dict(self.failures),
            "threshold": self.threshold,
            "threshold_chosen_here": self.threshold_chosen_here,
            "inconclusive_band": list(self.band),
            **{name: value for name, value in self.figures().items() if "." not in name},
            "false_matches": confusion.false_matches,
            "false_non_matches": confusion.false_non_matches,
            "fnmr_at_fmr": dict(self.fnmr_at_fmr),
            "decisions": {kind: asdict(verdicts) for kind, verdicts in self.decisions.items()},
            "reliability": [asdict(part) for part in self.quality.bins] if self.quality else None,
            "view_2": self.folds.to_json() if self.folds else None,
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
            "interval_method": asdict(self.population) if self.population else None,
            "reasons": dict(self.reasons),
        }


def evaluate(
    scores: npt.ArrayLike,
    same: npt.ArrayLike,
    *,
    threshold: float,
    band: Band,
    sources: Sources | None = None,
    folds: npt.ArrayLike | None = None,
    weights: str | None = None,
    threshold_chosen_here: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Evaluation:
    """Measure everything that the pairs can show.

    Threshold and band, low ≤ threshold ≤ high, were chosen on other people. ``sources`` are the people of both photos
    of each pair, drawn so many times from a seed; without them no interval is given. ``folds``, int (N,), number the
    fold of each pair, for the figures of LFW's view 2; one fold gives none. The rest is passed on.

    Raises:
        DataError: there is no pair.
        ValueError: threshold and band do not fit together, or an array is of the wrong kind.
    """
    low, high = check_band(band)
    if not low <= threshold <= high:
        raise ValueError(f"Expected low ≤ threshold ≤ high. Received: {threshold} and {band}")
    values, truths = check_pairs(scores, same)
    failed = np.isneginf(values)
    confusion = confusion_at(scores, truths, threshold)
    reasons = {name: NO_RATE[name] for name, value in confusion.figures().items() if value is None}
    curve_figures = _curve_figures(scores, truths, sources, reasons)
    quality = _quality(scores, truths, reasons)
    intervals, population = {}, None
    if sources is not None:
        stated = [key for key, value in curve_figures["fnmr_at_fmr"].items() if value is not None]
        chances = quality is not None
        intervals = bootstrap_intervals(
            scores, truths, threshold, sources, stated_fmrs=stated, chances=chances, replicates=replicates, seed=seed
        )
        intervals |= verdict_intervals(decide_all(values, band), truths, sources, replicates, seed)
        everyone, strangers = sources.among(np.ones_like(truths)), sources.among(~truths)
        population = Population(sources.unit, everyone, strangers, replicates, seed)
    return Evaluation(
        threshold=float(threshold),
        band=(low, high),
        confusion=confusion,
        decisions=count_verdicts(scores, truths, band),
        failures={"genuine": int(np.sum(failed & truths)), "impostor": int(np.sum(failed & ~truths))},
        **curve_figures,
        quality=quality,
        folds=_folds(scores, truths, folds, reasons),
        intervals={name: interval for name, interval in intervals.items() if name not in reasons},
        population=population,
        reasons=reasons,
        weights=weights,
        threshold_chosen_here=threshold_chosen_here,
    )


# Why a rate of the confusion is undefined.
NO_RATE = {
    "recall": "There are no genuine pairs.",
    "fnmr": "There are no genuine pairs.",
    "fmr": "There are no impostor pairs.",
    "precision": "No pair was decided match.",
    "f1": "There are no genuine pairs and none was decided match.",
}


def _curve_figures(
    scores: npt.ArrayLike, truths: np.ndarray, sources: Sources | None, reasons: dict[str, str]
) -> dict[str, Any]:
    """Return what is read off the curves; add to ``reasons`` why something is missing."""
    rates: dict[str, float | None] = dict.fromkeys(STATED_FMRS)
    try:
        curve = error_curve(scores, truths)
    except DataError as error:
        reasons |= dict.fromkeys(["eer", "auc", *(f"fnmr_at_fmr.{key}" for key in rates)], error.message)
        return {"eer": None, "auc": None, "fnmr_at_fmr": rates}
    people = None if sources is None else sources.among(~truths)
    named = sources is None or sources.unit == "person"
    for key, fmr in STATED_FMRS.items():
        try:
            rates[key] = fnmr_at_fmr(curve, fmr, people, named=named)
        except UnreachableRateError as error:
            reasons[f"fnmr_at_fmr.{key}"] = error.message
    return {"eer": eer(curve), "auc": auc(curve), "fnmr_at_fmr": rates}


def _folds(
    scores: npt.ArrayLike, truths: np.ndarray, folds: npt.ArrayLike | None, reasons: dict[str, str]
) -> Folds | None:
    """Return the figures of view 2; add to ``reasons`` why they are missing where there are folds."""
    if folds is None or np.unique(folds).size < 2:
        return None
    try:
        return evaluate_folds(scores, truths, folds)
    except DataError as error:
        reasons["view_2"] = error.message
        return None


def _quality(scores: npt.ArrayLike, truths: np.ndarray, reasons: dict[str, str]) -> Quality | None:
    """Return what the scores are worth as chances; add to ``reasons`` why something is missing."""
    try:
        quality = score_quality(scores, truths)
    except DataError as error:
        reasons |= dict.fromkeys(QUALITY_FIGURES, error.message)
        return None
    if quality.cllr is None:
        infinite = "A score of exactly 0 or 1 was wrong: Cllr is infinite."
        reasons |= dict.fromkeys(("cllr", "calibration_loss"), infinite)
    return quality
