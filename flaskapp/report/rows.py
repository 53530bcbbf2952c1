"""Figures as rows of words: a name, a value, its interval, its counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flaskapp.evaluation import Evaluation, Interval
from flaskapp.evaluation.decisions import DECISIONS

NAMES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "fmr": "FMR at the threshold",
    "fnmr": "FNMR at the threshold",
    "eer": "EER",
    "auc": "AUC",
    "brier": "Brier score",
    "ece": "ECE",
    "cllr": "Cllr (bits)",
    "min_cllr": "minCllr (bits)",
    "calibration_loss": "Cllr − minCllr (bits)",
}
PLAIN = ("auc", "brier", "ece", "cllr", "min_cllr", "calibration_loss")
"""Figures that are customarily not written as percent."""


class Row(NamedTuple):
    """One figure, ready to be shown."""

    name: str  # of the figure
    value: str  # in words; a dash where there is none
    interval: str = ""  # 95 %, or a bound; may be empty
    counts: str = ""  # what it was counted on, or why there is no value; may be empty


def percent(share: float | None) -> str:
    """Write a share with two decimals, or two digits where it is smaller than those show; a dash where there is none.

    >>> [percent(share) for share in (0.961, 0.0, 0.000234, None)]
    ['96.10 %', '0.00 %', '0.023 %', '—']
    """
    if share is None:
        return "—"
    return f"{100 * share:.2g} %" if 0 < share < 0.001 else f"{100 * share:.2f} %"


def setting_rows(result: Evaluation) -> list[Row]:
    """Return what was measured: weights, pairs, people, threshold and band."""
    confusion, (low, high) = result.confusion, result.band
    flatters = ", chosen on these very pairs as the most accurate: its figures flatter" * result.threshold_chosen_here
    rows = [
        Row("weights", result.weights or "not named"),
        Row("pairs", f"{confusion.pairs:,}: {confusion.genuine:,} genuine, {confusion.impostor:,} impostor"),
        Row("failures to acquire", f"{result.failures_to_acquire:,} pairs, counted as non-match"),
        Row("threshold", f"{result.threshold:.4f}{flatters}"),
        Row("inconclusive band", f"{low:.4f} to {high:.4f}" if low < high else "none"),
    ]
    population = result.population
    if population:
        drawn = {"person": "people", "photo": "photos, because the list does not say who is who"}[population.drawn]
        rows.append(Row("intervals", f"95 %, {population.replicates:,} draws of {population.count:,} {drawn}"))
    return rows


def figure_rows(result: Evaluation) -> list[Row]:
    """Return every figure with its interval and counts; where there is none, the reason."""
    rows = []
    for key, value in result.figures().items():
        if value is None:
            rows.append(Row(name_of(key), "—", "", f"not claimed: {result.reasons[key]}"))
        else:
            interval = interval_text(result.intervals.get(key), plain=key in PLAIN)
            rows.append(Row(name_of(key), value_text(key, value), interval, _counts(result, key)))
    return rows


def name_of(key: str) -> str:
    """Return what a figure is called.

    >>> name_of("fnmr_at_fmr.0.001")
    'FNMR at FMR 0.1 %'
    """
    return NAMES.get(key) or f"FNMR at FMR {100 * float(key.removeprefix('fnmr_at_fmr.')):g} %"


def value_text(key: str, value: float) -> str:
    """Write a figure's value.

    >>> value_text("auc", 0.5), value_text("fnmr", 0.5)
    ('0.50000', '50.00 %')
    """
    if key == "auc":
        return f"{value:.5f}"
    return f"{value:.4f}" if key in PLAIN else percent(value)


def interval_text(interval: Interval | None, *, plain: bool = False) -> str:
    """Write an interval; where no error was seen, as a bound.

    >>> interval_text(Interval(0.0, 0.0123, method="no errors seen"))
    'no error seen: at most 1.23 %'
    """
    if interval is None:
        return ""
    low, high = (f"{end:.4f}" if plain else percent(end) for end in (interval.low, interval.high))
    if "seen" in interval.method:
        seen = interval.method.replace("no errors", "no error")
        return f"{seen}: at most {high}" if interval.low == 0 else f"{seen}: at least {low}"
    return f"{low.removesuffix(' %')} to {high}"


def _counts(result: Evaluation, key: str) -> str:
    of, quality = result.confusion, result.quality
    if key == "brier" and quality:
        return f"{quality.genuine:,} genuine and {quality.impostor:,} impostor pairs with a score"
    counts = {
        "fmr": (of.false_matches, of.impostor),
        "fnmr": (of.false_non_matches, of.genuine),
        "precision": (of.true_matches, of.true_matches + of.false_matches),
        "recall": (of.true_matches, of.genuine),
        "accuracy": (of.true_matches + of.true_non_matches, of.pairs),
    }
    told = "{:,} of {:,}".format(*counts[key]) if key in counts else ""
    return told + " called match" * (key == "precision")


def fold_rows(result: Evaluation) -> list[Row]:
    """Return the figures of LFW's view 2; none without folds."""
    folds = result.folds
    if folds is None:
        return []
    value = f"{percent(folds.mean).removesuffix(' %')} ± {percent(folds.standard_error)}"
    spread = f"folds {percent(min(folds.accuracies)).removesuffix(' %')} to {percent(max(folds.accuracies))}"
    how = "the other folds choose each threshold; ± one standard error of the mean"
    counts = f"{len(folds.accuracies)} folds, {sum(folds.pairs):,} pairs; {how}"
    return [Row("view 2: mean accuracy", value, spread, counts)]


VERDICT_HEAD = ("pairs of", "pairs", "match", "inconclusive", "non-match")


def verdict_rows(result: Evaluation) -> list[tuple[str, ...]]:
    """Say how many pairs of each kind there are, and how many got which verdict, never how likely one is wrong."""
    rows = []
    for name, kind in (("one person", "genuine"), ("two people", "impostor")):
        verdicts = result.decisions[kind]
        if verdicts.pairs:
            cells = []
            for verdict in reversed(DECISIONS):
                count = getattr(verdicts, verdict)
                share = percent(count / verdicts.pairs)
                if interval := interval_text(result.intervals.get(f"{kind}.{verdict}")):
                    share = f"{share.removesuffix(' %')}; {interval.rpartition(': ')[2]}"
                cells.append(f"{count:,} ({share})")
            rows.append((name, f"{verdicts.pairs:,}", *cells))
    return rows


def grade_rows(by_grades: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """Return ``verdict_rows`` of the pairs of each two grades, named."""
    return [(name, *row) for name, result in by_grades.items() for row in verdict_rows(result)]


def calibration_rows(by_worse: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """Return the ECE of pairs by the grade of their worse photo, with interval and counts."""
    found = {name: {row.name: row for row in figure_rows(result)} for name, result in by_worse.items()}
    return [(name, *of["ECE"][1:3], of["Brier score"].counts) for name, of in found.items()]


GROUP_HEAD = ("pairs within", "FNMR", "95 % interval", "of", "FMR", "95 % interval", "of", "failed")


def group_rows(groups: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """Return a row for each group, under ``GROUP_HEAD``."""
    return [
        (name, *_rate(result, "fnmr"), *_rate(result, "fmr"), f"{result.failures_to_acquire:,}")
        for name, result in groups.items()
    ]


def _rate(result: Evaluation, key: str) -> tuple[str, str, str]:
    return percent(result.figures()[key]), interval_text(result.intervals.get(key)), _counts(result, key)
