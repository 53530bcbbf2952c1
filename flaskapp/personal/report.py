"""The report of a personal model: no picture of anybody, and photos by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaskapp import plots
from flaskapp.evaluation import Evaluation, error_curve
from flaskapp.personal.result import OwnResult
from flaskapp.report.page import Section, Table, page, picture
from flaskapp.report.rows import NAMES, interval_text, percent

FIGURES = ("accuracy", "precision", "recall", "f1", "fmr", "fnmr", "eer")
METHOD = (
    "In brackets 95 % intervals by bootstrap over the photos, and where no error was seen how often there may be one. "
    "Both thresholds were chosen on the same validation photos, by normal tails: they are too few to count errors."
)


def own_face_page(result: OwnResult, note: Mapping[str, Any]) -> str:
    """Return the whole HTML file; ``note`` is the JSON beside the weights."""
    scope, counts, confusion = result.scope, note["training"]["photos"], result.personal.confusion
    drawn = note["training"]["others"] == "stand-in"
    whom = "people drawn from the stand-in, who do not exist" if drawn else "people who were never learned from"
    scored = (
        f"Scored once on {counts['test']['mine']} photos of the owner that training never saw, against "
        f"{counts['training']['mine']} that it learned from: {confusion.genuine} genuine pairs, and as many impostor "
        f"pairs with {counts['test']['people']} {whom}."
    )
    out_of_scope = (
        f"Of {scope.stranger_pairs:,} pairs of two strangers {scope.strangers_out:,} read out_of_scope; "
        f"of {scope.owner_pairs:,} pairs of two test photos of the owner {scope.owner_out:,} did."
    )
    both = result.personal, result.shipped
    rows = [[NAMES[name], *(_figure(evaluation, name) for evaluation in both)] for name in FIGURES]
    rows.append(["threshold", *(f"{evaluation.threshold:.4f}" for evaluation in both)])
    rows.append(["inconclusive band", *("{:.4f} to {:.4f}".format(*evaluation.band) for evaluation in both)])
    outcomes = [
        ("genuine", str(confusion.true_matches), str(confusion.false_non_matches)),
        ("impostor", str(confusion.false_matches), str(confusion.true_non_matches)),
    ]
    hardest = [
        (f"{one} — {other}", "genuine" if same else "impostor", f"{score:.4f}", f"{before:.4f}")
        for one, other, same, score, before in result.hardest
    ]
    curve, threshold = error_curve(result.scores, result.same), result.personal.threshold
    losses = [epoch.loss for epoch in result.log], [epoch.validation_loss for epoch in result.log]
    pictures = {
        "Training curves: the loss of each epoch": plots.plot_training(*losses, result.kept),
        "Score histograms": plots.plot_scores(result.scores, result.same, result.personal.band, threshold),
        "ROC": plots.plot_roc(curve, threshold),
        "DET": plots.plot_det(curve, threshold),
    }
    sections = [
        Section("How well it works", (result.gain_in_words(), note["personal"]["warning"], "No liveness check.")),
        Section("Figures", (scored, METHOD), Table(("", "this model", "the weights it started from"), rows)),
        Section("Confusion matrix", (), Table(("", "decided match", "decided non-match"), outcomes)),
        Section("Out of scope", (out_of_scope,)),
        Section("Curves", pictures=[picture(figure, text) for text, figure in pictures.items()]),
        Section("Hardest pairs", (), Table(("photos", "truth", "this model", "before"), hardest)),
    ]
    return page(note["name"], "A model trained on its owner's face by facial-recognition train.", sections)


def _figure(evaluation: Evaluation, name: str) -> str:
    value = evaluation.figures()[name]
    if value is None:
        return "—"
    interval = interval_text(evaluation.intervals.get(name))
    return percent(value) + (f" ({interval})" if interval else "")
