"""What came of a training on one's own face, beside the weights that it started from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from flaskapp.evaluation.decisions import decide_all, sigmoid
from flaskapp.evaluation.intervals import REPLICATES, Sources, resampled_weights, sources_by
from flaskapp.evaluation.result import Evaluation, evaluate
from flaskapp.personal.data import Embed, OwnData
from flaskapp.personal.loop import Epoch, best_of
from flaskapp.personal.scoring import Choice, Head, PairList, scored_pairs

VERDICTS = ("match", "inconclusive", "non_match", "out_of_scope")
HARDEST = 5
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

    def to_json(self) -> dict[str, int]:
        """Return the counts."""
        return dict(vars(self))


@dataclass(frozen=True)
class HardPair:
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
    hardest: tuple[HardPair, ...]
    log: list[Epoch]
    doubts: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """The epoch whose weights the model has; 0 = those that it started from."""
        return best_of(self.log)

    def error_counts(self) -> dict[str, dict[str, int]]:
        """Return the verdicts as weights carry them."""
        return self.verdicts

    def gain_in_words(self) -> str:
        """Say whether training helped, by how much, how surely; and what makes that worth little."""
        return " But ".join((self._gain(), *self.doubts))

    def _gain(self) -> str:
        if self.f1_gain_interval is None:
            told = f"{self.f1_gain:+.2%} F1, and too few photos for an interval"
            return f"No gain over the shipped weights can be shown: {told}."
        low, high = self.f1_gain_interval
        interval = f"{self.f1_gain:+.2%} F1, 95 % interval {low:+.2%} to {high:+.2%}"
        if low > 0:
            return f"Training on your face helps: {interval}."
        if high < 0:
            return f"Training on your face made it worse: {interval}. Use the shipped weights."
        return f"No gain over the shipped weights can be shown: {interval}."

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        return {
            "personal": self.personal.to_json(),
            "shipped": self.shipped.to_json(),
            "f1_gain": self.f1_gain,
            "f1_gain_interval": self.f1_gain_interval and list(self.f1_gain_interval),
            "scope": self.scope.to_json(),
        }


def measure(
    data: OwnData,
    model: tuple[Head, Embed],
    choice: Choice,
    shipped: tuple[Head, Embed],
    shipped_choice: Choice,
    log: list[Epoch],
) -> OwnResult:
    """Score the test photos once, by both networks on the same pairs.

    Args:
        data: the photos.
        model: the trained head, and the trunk before it.
        choice: threshold, band and scope that validation chose for it.
        shipped: head and trunk of the weights that it started from.
        shipped_choice: what validation chose for those.
        log: the training's epochs, passed on.
    """
    embeddings, shipped_embeddings = _embeddings(data, *model), _embeddings(data, *shipped)
    sizes = [len(part) for part in embeddings]
    pairs = scored_pairs(sizes[0], sizes[1], sizes[2], np.random.default_rng((data.seed, 1)))
    names = _names(data)
    sources = sources_by("photo", [names[row] for row in pairs.first], [names[row] for row in pairs.second])
    scores = sigmoid(model[0].log_odds(np.concatenate(embeddings), pairs.first, pairs.second))
    before = sigmoid(shipped[0].log_odds(np.concatenate(shipped_embeddings), pairs.first, pairs.second))
    personal = evaluate(scores, pairs.same, threshold=choice.threshold, band=choice.band, sources=sources)
    base = evaluate(before, pairs.same, threshold=shipped_choice.threshold, band=shipped_choice.band, sources=sources)
    near = sigmoid(model[0].nearness(embeddings[0], np.concatenate(embeddings))) >= choice.scope
    people = data.others.people("test")
    decisions = (scores >= choice.threshold, before >= shipped_choice.threshold)
    return OwnResult(
        personal,
        base,
        (personal.figures()["f1"] or 0.0) - (base.figures()["f1"] or 0.0),
        _gain_interval(*decisions, pairs.same, sources, data.seed),
        scores,
        before,
        pairs.same,
        _scope(near, sizes, people, data.seed),
        _verdicts(scores, pairs, near, choice),
        _hardest(scores, before, pairs, names, choice.threshold),
        log,
        data.doubts,
    )


def _embeddings(data: OwnData, head: Head, trunk: Embed) -> list[np.ndarray]:
    """Return embeddings of my training photos, my test photos, and the others' test photos."""
    mine = [head.embed(trunk(data.my_faces(part))) for part in ("training", "test")]
    return [*mine, head.embed(data.others.features("test", trunk))]


def _names(data: OwnData) -> list[str]:
    return [*data.my_names("training"), *data.my_names("test"), *data.others.names("test")]


def _gain_interval(
    personal: np.ndarray, shipped: np.ndarray, same: np.ndarray, sources: Sources, seed: int
) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference of both F1, from the same draws of photos; None if all agree."""
    gains = np.concatenate(
        [
            _f1(weights, personal, same) - _f1(weights, shipped, same)
            for weights in resampled_weights(sources, REPLICATES, seed)
        ]
    )
    low, high = np.nanquantile(gains, [0.025, 0.975])
    return (float(low), float(high)) if low < high else None


def _f1(weights: np.ndarray, matched: np.ndarray, same: np.ndarray) -> np.ndarray:
    hits, errors = weights @ (matched & same), weights @ (matched != same)
    with np.errstate(invalid="ignore"):
        return 2 * hits / (2 * hits + errors)


def _scope(near: np.ndarray, sizes: list[int], people: np.ndarray, seed: int) -> Scope:
    owner, others = near[sizes[0] : sizes[0] + sizes[1]], near[sizes[0] + sizes[1] :]
    first, second = np.triu_indices(len(others), 1)
    strangers = np.flatnonzero(people[first] != people[second])
    strangers = np.random.default_rng(seed).permutation(strangers)[:STRANGER_PAIRS_AT_MOST]
    out = ~(others[first[strangers]] | others[second[strangers]])
    owner_out = [not (one or other) for one, other in combinations(owner.tolist(), 2)]
    return Scope(len(strangers), int(out.sum()), len(owner_out), sum(owner_out))


def _verdicts(scores: np.ndarray, pairs: PairList, near: np.ndarray, choice: Choice) -> dict[str, dict[str, int]]:
    decisions = np.array(decide_all(scores, choice.band), object)
    decisions[~(near[pairs.first] | near[pairs.second])] = "out_of_scope"
    counts = {"genuine": Counter(decisions[pairs.same]), "impostor": Counter(decisions[~pairs.same])}
    return {kind: {verdict: count[verdict] for verdict in VERDICTS} for kind, count in counts.items()}


def _hardest(
    scores: np.ndarray, before: np.ndarray, pairs: PairList, names: list[str], threshold: float
) -> tuple[HardPair, ...]:
    wrongness = np.where(pairs.same, threshold - scores, scores - threshold)
    return tuple(
        HardPair(
            names[pairs.first[row]],
            names[pairs.second[row]],
            bool(pairs.same[row]),
            float(scores[row]),
            float(before[row]),
        )
        for row in np.argsort(-wrongness, kind="stable")[: 2 * HARDEST]
    )
