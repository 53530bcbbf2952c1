"""What came of a training on one's own face, beside the weights that it started from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from flaskapp.evaluation.decisions import decide_all, sigmoid
from flaskapp.evaluation.intervals import REPLICATES, Sources, resampled_weights, sources_by
from flaskapp.evaluation.result import Evaluation, evaluate
from flaskapp.personal.data import OwnData
from flaskapp.personal.loop import Epoch, best_of
from flaskapp.personal.scoring import Seen

VERDICTS = ("match", "inconclusive", "non_match", "out_of_scope")
HARDEST = 10
STRANGER_PAIRS_AT_MOST = 20_000


@dataclass(frozen=True)
class Scope:
    """How often ``out_of_scope`` was the answer.

    Attributes:
        stranger_pairs: pairs of two different people, none of them the owner.
        strangers_out: how many of them read ``out_of_scope``.
        owner_pairs: pairs of two of the owner's test photos.
        owner_out: how many of them read ``out_of_scope``.
    """

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
        told = f"{self.f1_gain:+.2%} F1, and too few photos for an interval"
        low = high = 0.0
        if self.f1_gain_interval:
            low, high = self.f1_gain_interval
            told = f"{self.f1_gain:+.2%} F1, 95 % interval {low:+.2%} to {high:+.2%}"
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
    seen = trained[1]
    others = data.others["test"]
    names = [*data.mine["training"].names, *data.mine["test"].names, *(f"others/{name}" for name in others.names)]
    sources = sources_by("photo", [names[row] for row in seen.first], [names[row] for row in seen.second])
    evaluations, decided = [], []
    for validation, test in (trained, shipped):
        choice, scores = validation.choose(), sigmoid(test.odds)
        figures = evaluate(scores, seen.same, threshold=choice.threshold, band=choice.band, sources=sources)
        evaluations.append(figures)
        decided.append(scores >= choice.threshold)
    personal, base = evaluations
    scores, before, choice = sigmoid(seen.odds), sigmoid(shipped[1].odds), trained[0].choose()
    near = sigmoid(seen.near) >= choice.scope
    decisions = np.array(decide_all(scores, choice.band), object)
    decisions[~(near[seen.first] | near[seen.second])] = "out_of_scope"
    counts = {"genuine": Counter(decisions[seen.same]), "impostor": Counter(decisions[~seen.same])}
    wrongness = np.where(seen.same, choice.threshold - scores, scores - choice.threshold)
    return OwnResult(
        personal,
        base,
        (personal.figures()["f1"] or 0.0) - (base.figures()["f1"] or 0.0),
        gain_interval(decided[0], decided[1], seen.same, sources, data.seed),
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

    Args:
        personal: bool (M,), whether one system says match.
        shipped: bool (M,), whether the other does.
        same: bool (M,).
        sources: the photos of the pairs.
        seed: of the draws.
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
