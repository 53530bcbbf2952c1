"""One evaluation: scores and truths in, every figure out, none of them without its counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation.choices import Folds, evaluate_folds
from flaskapp.evaluation.curves import auc, eer, error_curve, fnmr_at_fmr
from flaskapp.evaluation.decisions import (
    Band,
    Confusion,
    Verdicts,
    check_band,
    confusion_at,
    count_verdicts,
)
from flaskapp.evaluation.inputs import BoolArray, check_pairs
from flaskapp.evaluation.intervals import REPLICATES, Interval, Sources, bootstrap_intervals
from flaskapp.evaluation.quality import FIGURES as QUALITY_FIGURES
from flaskapp.evaluation.quality import Quality, quality_or_reason

STATED_FMRS = (0.1, 0.01, 0.001, 0.0001)


@dataclass(frozen=True)
class Population:
    """Whom the pairs show, and how the intervals drew them again.

    Attributes:
        unit: "person", or "photo" where the people are not known.
        count: how many people (or photos) all pairs show.
        count_impostor: how many the impostor pairs show.
        replicates: how many times they were drawn.
        seed: what the draws started from.
    """

    unit: str
    count: int
    count_impostor: int
    replicates: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return the method of the intervals."""
        return {
            "drawn": self.unit,
            "count": self.count,
            "count_in_impostor_pairs": self.count_impostor,
            "replicates": self.replicates,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Evaluation:
    """What a list of scored pairs says about a system.

    A figure that these pairs cannot give is None, and ``reasons`` says why under its key.

    Attributes:
        threshold: two-way decisions are ``match`` if score ≥ threshold.
        band: (low, high), the inconclusive band.
        confusion: the four outcomes at the threshold; accuracy and the rest follow from it.
        decisions: "genuine" and "impostor" → verdicts by the band.
        failures: "genuine" and "impostor" → pairs without a score, counted as non-match
            everywhere.
        eer: equal error rate.
        auc: area under the ROC.
        fnmr_at_fmr: stated FMR ("0.01") → lowest FNMR.
        quality: Brier, ECE, Cllr and the reliability curve, where the scores are chances.
        folds: the figures of LFW's view 2, where the list has folds.
        intervals: name of a figure → 95 % interval.
        population: whom the pairs show; None where the caller did not say.
        reasons: key of a figure that is None → why.
        weights: id of the weights that gave the scores.
        threshold_chosen_here: whether the threshold was chosen on these very pairs, which
            flatters every figure that rests on it.
    """

    threshold: float
    band: Band
    confusion: Confusion
    decisions: Mapping[str, Verdicts]
    failures: Mapping[str, int]
    eer: float | None
    auc: float | None
    fnmr_at_fmr: Mapping[str, float | None]
    quality: Quality | None = None
    folds: Folds | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    population: Population | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None
    threshold_chosen_here: bool = False

    def __post_init__(self) -> None:
        for kind, pairs in (("genuine", self.confusion.genuine), ("impostor", self.confusion.impostor)):
            if self.decisions[kind].pairs != pairs:
                raise ValueError(f"Expected {pairs} {kind} verdicts. Received: {self.decisions[kind]}")
            if not 0 <= self.failures[kind] <= self.decisions[kind].non_match:
                raise ValueError(f"Expected failures among the non-matches. Received: {self.failures}")
        silent = {key for key, value in self.figures().items() if value is None} - self.reasons.keys()
        if silent:
            raise ValueError(f"Expected a reason for every missing figure. Missing: {sorted(silent)}")

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
            "decisions": {kind: verdicts.to_json() for kind, verdicts in self.decisions.items()},
            "reliability": [asdict(part) for part in self.quality.bins] if self.quality else None,
            "view_2": self.folds.to_json() if self.folds else None,
            "intervals": {name: interval.to_json() for name, interval in self.intervals.items()},
            "interval_method": self.population.to_json() if self.population else None,
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

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire: a non-match at any
            threshold, in genuine and impostor pairs alike.
        same: bool (N,), True = genuine.
        threshold: forces the two-way decision; chosen on other people.
        band: (low, high) with low ≤ threshold ≤ high; likewise.
        sources: the people of both photos of each pair; without them no interval is given.
        folds: int (N,), number of the fold of each pair, for the figures of LFW's view 2; one fold gives none.
        weights: id of the weights, passed on.
        threshold_chosen_here: passed on.
        replicates: how many times the bootstrap draws people.
        seed: what its draws start from.

    Raises:
        DataError: there is no pair.
        ValueError: threshold and band do not fit together, or an array is of the wrong kind.
    """
    low, high = check_band(band)
    if not low <= threshold <= high:
        raise ValueError(f"Expected low ≤ threshold ≤ high. Received: {threshold} and {band}")
    values, truths = check_pairs(scores, same)
    reasons: dict[str, str] = {}
    confusion = confusion_at(scores, truths, threshold)
    reasons |= _reasons_of(confusion)
    curve_figures = _curve_figures(scores, truths, sources, reasons)
    quality, reason = quality_or_reason(np.where(np.isneginf(values), np.nan, values), truths)
    reasons |= _quality_reasons(quality, reason)
    intervals, population = {}, None
    if sources is not None:
        stated = [key for key, value in curve_figures["fnmr_at_fmr"].items() if value is not None]
        intervals = bootstrap_intervals(
            scores,
            truths,
            threshold,
            sources,
            stated_fmrs=stated,
            chances=quality is not None,
            replicates=replicates,
            seed=seed,
        )
        intervals = {name: interval for name, interval in intervals.items() if name not in reasons}
        everyone = sources.among(np.ones_like(truths))
        population = Population(sources.unit, everyone, sources.among(~truths), replicates, seed)
    return Evaluation(
        threshold=float(threshold),
        band=(low, high),
        confusion=confusion,
        decisions=count_verdicts(scores, truths, band),
        failures=_failures(np.isneginf(values), truths),
        **curve_figures,
        quality=quality,
        folds=None if folds is None or np.unique(folds).size < 2 else evaluate_folds(scores, truths, folds),
        intervals=intervals,
        population=population,
        reasons=reasons,
        weights=weights,
        threshold_chosen_here=threshold_chosen_here,
    )


def _curve_figures(
    scores: npt.ArrayLike, truths: BoolArray, sources: Sources | None, reasons: dict[str, str]
) -> dict[str, Any]:
    """Return what is read off the curves; add to ``reasons`` why something is missing."""
    keys = [f"{fmr:g}" for fmr in STATED_FMRS]
    try:
        curve = error_curve(scores, truths)
    except DataError as error:
        missing = ["eer", "auc", *(f"fnmr_at_fmr.{key}" for key in keys)]
        reasons |= dict.fromkeys(missing, error.message)
        return {"eer": None, "auc": None, "fnmr_at_fmr": dict.fromkeys(keys)}
    people = None if sources is None else sources.among(~truths)
    named = sources is None or sources.unit == "person"
    rates: dict[str, float | None] = {}
    for key, fmr in zip(keys, STATED_FMRS, strict=True):
        try:
            rates[key] = fnmr_at_fmr(curve, fmr, people, named=named)
        except UnreachableRateError as error:
            rates[key] = None
            reasons[f"fnmr_at_fmr.{key}"] = error.message
    return {"eer": eer(curve), "auc": auc(curve), "fnmr_at_fmr": rates}


def _reasons_of(confusion: Confusion) -> dict[str, str]:
    """Say why a rate of the confusion is undefined."""
    reasons: dict[str, str] = {}
    if confusion.genuine == 0:
        reasons |= dict.fromkeys(("recall", "fnmr"), "There are no genuine pairs.")
    if confusion.impostor == 0:
        reasons["fmr"] = "There are no impostor pairs."
    if confusion.precision is None:
        reasons["precision"] = "No pair was decided match."
    if confusion.f1 is None:
        reasons["f1"] = "There are no genuine pairs and none was decided match."
    return reasons


def _quality_reasons(quality: Quality | None, reason: str) -> dict[str, str]:
    if quality is None:
        return dict.fromkeys(QUALITY_FIGURES, reason)
    if quality.cllr is None:
        return dict.fromkeys(("cllr", "calibration_loss"), "A score of exactly 0 or 1 was wrong: Cllr is infinite.")
    return {}


def _failures(failed: BoolArray, truths: BoolArray) -> dict[str, int]:
    return {"genuine": int(np.sum(failed & truths)), "impostor": int(np.sum(failed & ~truths))}
