"""The report of a personal model: no picture of anybody, and photos by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flaskapp import plots
from flaskapp.evaluation import Evaluation, error_curve
from flaskapp.report.page import Picture, Section, Table, page, picture
from flaskapp.report.rows import NAMES, interval_text, percent

FIGURES = ("accuracy", "precision", "recall", "f1", "fmr", "fnmr", "eer")
METHOD = (
    "In brackets 95 % intervals by bootstrap over the photos, and where no error was seen how often there may be one. "
    "Both thresholds were chosen on the same validation photos, by normal tails: they are too few to count errors."
)


def own_face_page(result: Any, note: Mapping[str, Any]) -> str:
    """Return the whole HTML file.

    Args:
        result: an ``OwnResult``.
        note: the JSON beside the weights.
    """
    scope, counts = result.scope, note["training"]["photos"]
    confusion = result.personal.confusion
    scored = (
        f"Scored once on {counts['test']['mine']} photos of the owner that training never saw, against "
        f"{counts['training']['mine']} that it learned from: {confusion.genuine} genuine pairs, and as many impostor "
        f"pairs with {counts['test']['people']} {_whom(note)}."
    )
    out_of_scope = (
        f"Of {scope.stranger_pairs:,} pairs of two strangers {scope.strangers_out:,} read out_of_scope; "
        f"of {scope.owner_pairs:,} pairs of two test photos of the owner {scope.owner_out:,} did."
    )
    sections = [
        Section("How well it works", (result.gain_in_words(), note["personal"]["warning"], "No liveness check.")),
        Section("Figures", (scored, METHOD), _figures(result.personal, result.shipped)),
        Section("Confusion matrix", (), _confusion(result.personal)),
        Section("Out of scope", (out_of_scope,)),
        Section("Curves", (), None, _pictures(result)),
        Section("Hardest pairs", (), _hardest(result.hardest)),
    ]
    return page(note["name"], "A model trained on its owner's face by facial-recognition train.", sections)


def _whom(note: Mapping[str, Any]) -> str:
    drawn = note["training"]["others"] == "stand-in"
    return "people drawn from the stand-in, who do not exist" if drawn else "people who were never learned from"


def _figures(personal: Evaluation, shipped: Evaluation) -> Table:
    rows = [[NAMES[name], *(_figure(evaluation, name) for evaluation in (personal, shipped))] for name in FIGURES]
    rows.append(["threshold", *(f"{evaluation.threshold:.4f}" for evaluation in (personal, shipped))])
    bands = (f"{low:.4f} to {high:.4f}" for low, high in (personal.band, shipped.band))
    return Table(("", "this model", "the weights it started from"), [*rows, ["inconclusive band", *bands]])


def _figure(evaluation: Evaluation, name: str) -> str:
    value = evaluation.to_json()[name]
    if value is None:
        return "—"
    interval = interval_text(evaluation.intervals.get(name))
    return percent(value) + (f" ({interval})" if interval else "")


def _confusion(evaluation: Evaluation) -> Table:
    counts = evaluation.confusion
    return Table(
        ("", "decided match", "decided non-match"),
        [
            ("genuine", str(counts.true_matches), str(counts.false_non_matches)),
            ("impostor", str(counts.false_matches), str(counts.true_non_matches)),
        ],
    )


def _pictures(result: Any) -> list[Picture]:
    curve, evaluation = error_curve(result.scores, result.same), result.personal
    losses = [epoch.loss for epoch in result.log], [epoch.validation_loss for epoch in result.log]
    figures = {
        "Training curves: the loss of each epoch": plots.plot_training(*losses, result.kept),
        "Score histograms": plots.plot_scores(result.scores, result.same, evaluation.band, evaluation.threshold),
        "ROC": plots.plot_roc(curve, evaluation.threshold),
        "DET": plots.plot_det(curve, evaluation.threshold),
    }
    return [picture(figure, text) for text, figure in figures.items()]


def _hardest(pairs: Sequence[Any]) -> Table:
    rows = [
        (
            f"{pair.reference} — {pair.probe}",
            "genuine" if pair.same else "impostor",
            f"{pair.score:.4f}",
            f"{pair.shipped_score:.4f}",
        )
        for pair in pairs
    ]
    return Table(("photos", "truth", "this model", "before"), rows)
