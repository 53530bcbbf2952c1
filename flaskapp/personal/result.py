"""What came of a training on one's own face, beside the weights that it started from; and the page that tells it.

The page holds no picture of anybody, and photos by their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from flaskapp import plots
from flaskapp.evaluation.curves import error_curve
from flaskapp.evaluation.decisions import decide_all, sigmoid
from flaskapp.evaluation.intervals import REPLICATES, Sources, resampled_weights, sources_by
from flaskapp.evaluation.result import Evaluation, evaluate
from flaskapp.personal.data import OwnData
from flaskapp.personal.loop import Epoch, best_of
from flaskapp.personal.scoring import Seen
from flaskapp.report.page import Section, Table, page, picture
from flaskapp.report.rows import NAMES, interval_text, percent

VERDICTS = ("match", "inconclusive", "non_match", "out_of_scope")
HARDEST = 10
STRANGER_PAIRS_AT_MOST = 20_000
FIGURES = ("accuracy", "precision", "recall", "f1", "fmr", "fnmr", "eer")
METHOD = (
    "In brackets 95 % intervals by bootstrap over the photos, and where no error was seen how often there may be one. "
    "Both thresholds were chosen on the same validation photos, by normal tails: they are too few to count errors."
)


@dataclass(frozen=True)
class Scope:
    """How often ``out_of_scope`` was the answer: to pairs of two strangers, and of two of the owner's test photos."""

    stranger_pairs: int
    strangers_out: int
    owner_pairs: int
    owner_out: int


class HardPair(NamedTuple):
    """A scored pair on which the model was least right; names of photos, no pictures."""

    reference: str
    probe: str
    same: bool
    score: float
    shipped_score: float


@dataclass(frozen=True, eq=False)
class OwnResult:
    """Everything measured on the test photos, which neither training nor a choice saw.

    Attributes:
        personal: the trained model, by the threshold that validation chose.
        shipped: the weights that it started from, on the same pairs, by their threshold chosen the same way.
        f1_gain: personal F1 − shipped F1.
        f1_gain_interval: its 95 % interval, by bootstrap over the photos of both sides; None where all
            draws say the same, which is no certainty.
        scores: float (M,), the model's scores.
        shipped_scores: float (M,).
        same: bool (M,).
        scope: how often it said that it knows neither.
        verdicts: kind of pair → verdict → count.
        hardest: the pairs furthest on the wrong side.
        log: the training's epochs.
        doubts: whether the photos show whom they should, in words.
    """

    personal: Evaluation
    shipped: Evaluation
    f1_gain: float
    f1_gain_interval: tuple[float, float] | None
    scores: np.ndarray
    shipped_scores: np.ndarray
    same: np.ndarray
    scope: Scope
    verdicts: dict[str, dict[str, int]]
    hardest: Sequence[HardPair]
    log: list[Epoch]
    doubts: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """The epoch whose weights the model has; 0 = those that it started from."""
        return best_of(self.log)

    def gain_in_words(self) -> str:
        """Say whether training helped, by how much, how surely; and what makes that worth little."""
        low, high = self.f1_gain_interval or (0.0, 0.0)
        interval = f"95 % interval {low:+.2%} to {high:+.2%}" if low < high else "and too few photos for an interval"
        told = f"{self.f1_gain:+.2%} F1, {interval}"
        if low > 0:
            gain = f"Training on your face helps: {told}."
        elif high < 0:
            gain = f"Training on your face made it worse: {told}. Use the shipped weights."
        else:
            gain = f"No gain over the shipped weights can be shown: {told}."
        return " But ".join((gain, *self.doubts))

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        return {
            "personal": self.personal.to_json(),
            "shipped": self.shipped.to_json(),
            "f1_gain": self.f1_gain,
            "f1_gain_interval": self.f1_gain_interval and list(self.f1_gain_interval),
            "scope": asdict(self.scope),
        }


def measure(data: OwnData, trained: Sequence[Seen], shipped: Sequence[Seen], log: list[Epoch]) -> OwnResult:
    """Hold the test photos, scored once by both networks on the same pairs, against what validation chose.

    Args:
        data: the photos.
        trained: what the trained network says of validation and test.
        shipped: what the weights that it started from say of them.
        log: the training's epochs, passed on.
    """
    seen, others = trained[1], data.others["test"]
    names = [*data.mine["training"].names, *data.mine["test"].names, *(f"others/{name}" for name in others.names)]
    sources = sources_by("photo", [names[row] for row in seen.first], [names[row] for row in seen.second])
    choice, before_choice = trained[0].choose(), shipped[0].choose()
    scores, before = sigmoid(seen.odds), sigmoid(shipped[1].odds)
    personal, base = (
        evaluate(values, seen.same, threshold=chosen.threshold, band=chosen.band, sources=sources)
        for values, chosen in ((scores, choice), (before, before_choice))
    )
    decided = scores >= choice.threshold, before >= before_choice.threshold
    near = sigmoid(seen.near) >= choice.scope
    decisions = np.array(decide_all(scores, choice.band), object)
    decisions[~(near[seen.first] | near[seen.second])] = "out_of_scope"
    counts = {"genuine": Counter(decisions[seen.same]), "impostor": Counter(decisions[~seen.same])}
    wrongness = np.where(seen.same, choice.threshold - scores, scores - choice.threshold)
    return OwnResult(
        personal,
        base,
        (personal.figures()["f1"] or 0.0) - (base.figures()["f1"] or 0.0),
        gain_interval(*decided, seen.same, sources, data.seed),
        scores,
        before,
        seen.same,
        _scope(near[len(seen.templates) : seen.own], near[seen.own :], np.array(others.people), data.seed),
        {kind: {verdict: count[verdict] for verdict in VERDICTS} for kind, count in counts.items()},
        [
            HardPair(
                names[seen.first[n]], names[seen.second[n]], bool(seen.same[n]), float(scores[n]), float(before[n])
            )
            for n in np.argsort(-wrongness, kind="stable")[:HARDEST]
        ],
        log,
        data.doubts,
    )


def gain_interval(
    personal: np.ndarray, shipped: np.ndarray, same: np.ndarray, sources: Sources, seed: int
) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference of both F1, from the same draws of photos; None if all agree.

    ``personal`` and ``shipped`` are bool (M,), whether either says match; ``same`` is the truth.
    """

    def f1(weights: np.ndarray, matched: np.ndarray) -> np.ndarray:
        hits, errors = weights @ (matched & same), weights @ (matched != same)
        with np.errstate(invalid="ignore"):
            return 2 * hits / (2 * hits + errors)

    drawn = resampled_weights(sources, REPLICATES, seed)
    gains = np.concatenate([f1(weights, personal) - f1(weights, shipped) for weights in drawn])
    low, high = np.nanquantile(gains, [0.025, 0.975])
    return (float(low), float(high)) if low < high else None


def _scope(owner: np.ndarray, others: np.ndarray, people: np.ndarray, seed: int) -> Scope:
    first, second = np.triu_indices(len(others), 1)
    strangers = np.flatnonzero(people[first] != people[second])
    strangers = np.random.default_rng(seed).permutation(strangers)[:STRANGER_PAIRS_AT_MOST]
    out = ~(others[first[strangers]] | others[second[strangers]])
    owner_out = [not (one or other) for one, other in combinations(owner.tolist(), 2)]
    return Scope(len(strangers), int(out.sum()), len(owner_out), sum(owner_out))


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
