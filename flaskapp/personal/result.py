"""What came of a training on one's own face, beside the weights that it started from; and the page that tells it.

The page holds no picture of anybody, and photos by their names.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from flaskapp import plots
from flaskapp.evaluation.decisions import decide_all, rates, sigmoid
from flaskapp.evaluation.intervals import Interval, exact_interval, sources_by
from flaskapp.evaluation.result import Evaluation, evaluate
from flaskapp.personal.data import OwnData
from flaskapp.personal.loop import Epoch, best_of
from flaskapp.personal.scoring import Network, ask, ask_by_one_photo, look
from flaskapp.personal.split import PARTS
from flaskapp.report.page import Section, Table, page, picture
from flaskapp.report.rows import NAMES, interval_text, percent
from flaskapp.weights.info import MOST_REFERENCES, WeightsInfo

VERDICTS = ("match", "inconclusive", "non_match", "out_of_scope")
HARDEST = 10
STRANGERS_PAIRED, STRANGER_PAIRS_AT_MOST = 300, 20_000
FIGURES = ("accuracy", "precision", "recall", "f1", "fmr", "fnmr", "eer")
SYSTEMS = {
    "personal": "this model",
    "shipped": "shipped weights, same photos as references",
    "alone": "shipped weights, one reference",
}
ANSWERS = ("", "knew you", "could not say", "missed you", "took strangers for you", "could not say", "told them apart")
PICTURES = {"scores": "Score histograms", "roc": "ROC", "det": "DET"}
EVEN = (
    "At the threshold, which allows no “cannot say”, and as if you and strangers came equally often. "
    "With one reference, each photo of yours was compared with each other one, and each stranger's with one."
)
METHOD = (
    "In brackets 95 % intervals by bootstrap over the photos, and where no error was seen how often there may be one."
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


class Answers(NamedTuple):
    """Scores float (M,) of single photos, whether each shows the owner, bool (M,), and what that is worth."""

    scores: np.ndarray
    same: np.ndarray
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class IsItMe:
    """What was answered to photos of the owner that training never saw, and to strangers.

    Attributes:
        photos: how many photos of the owner the model knows.
        learned: whether what training learned decides; else the shipped weights do, to which all photos are new.
        personal: of the model: each photo was held against the owner's others, a stranger's against all.
        shipped: of the weights that it started from, with the same photos as references.
        alone: of these weights with one reference.
    """

    photos: int
    learned: bool
    personal: Answers
    shipped: Answers
    alone: Answers

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """What the answers of each system are worth."""
        return {system: getattr(self, system).evaluation for system in SYSTEMS}

    def even_figures(self) -> dict[str, dict[str, float | None]]:
        """Return accuracy, precision, recall and F1, by system, as if owner and strangers came equally often."""
        told: dict[str, dict[str, float | None]] = {name: {} for name in FIGURES[:4]}
        for system, evaluation in self.evaluations.items():
            of = evaluation.confusion
            found = rates(of.true_matches / of.genuine, of.false_matches / of.impostor, 1, 1)
            for name, by_system in told.items():
                by_system[system] = None if np.isnan(found[name]) else float(found[name])
        return told

    def in_words(self) -> tuple[str, ...]:
        """Say how often it knew its owner and took strangers for the owner, how sure that is, and what decides."""
        mine, strangers = (self.personal.evaluation.decisions[kind] for kind in ("genuine", "impostor"))
        missed = _out_of(100, exact_interval(mine.pairs - mine.match, mine.pairs))
        taken = _out_of(10_000, exact_interval(strangers.match, strangers.pairs))
        before, impostors = (self.shipped.evaluation.decisions[kind].match for kind in ("genuine", "impostor"))
        decides = (
            f"What training learned decides, together with {self.photos} photos of you. The shipped weights with the "
            f"same photos would have known you in {before}, and taken {impostors:,} strangers for you."
            if self.learned
            else "Training found nothing surer than the shipped weights, so they decide, "
            f"together with {self.photos} photos of you."
        )
        return (
            f"It knew you in {mine.match:,} of {mine.pairs:,} photos it had not seen. "
            f"Of {strangers.pairs:,} faces of strangers it took {strangers.match:,} for you.",
            f"It could not say of {mine.inconclusive} of your photos and {strangers.inconclusive:,} of the strangers'. "
            f"Of 100 new photos of you it may fail to know {missed}; of 10,000 new strangers it may take {taken} for "
            "you (95 % intervals).",
            decides,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        told = {system: evaluation.to_json() for system, evaluation in self.evaluations.items()}
        return {"photos": self.photos, "learned": self.learned, "even": self.even_figures(), **told}


def _out_of(many: int, share: Interval) -> str:
    low, high = math.floor(many * share.low), math.ceil(many * share.high)
    return f"{low:,} to {high:,}" if low else f"up to {high:,}"


@dataclass(frozen=True, eq=False)
class OwnResult:
    """Everything measured on photos that neither training nor a choice saw.

    Attributes:
        me: what was answered to single photos.
        personal: what the model makes of two photos, by that which is less like the owner: the owner's test photos,
            and strangers', with those learned from.
        shipped: what the weights that it started from make of the same pairs, which they compare with each other.
        scores: float (M,), the model's scores of the pairs.
        shipped_scores: float (M,).
        same: bool (M,).
        scope: how often it said that it knows neither.
        verdicts: kind of pair → verdict → count.
        hardest: the pairs furthest on the wrong side.
        log: the training's epochs.
        doubts: whether the photos show whom they should, in words.
    """

    me: IsItMe
    personal: Evaluation
    shipped: Evaluation
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
        """The epoch whose weights were tried; 0 = those that it started from."""
        return best_of(self.log)

    def in_words(self) -> tuple[str, ...]:
        """Say how well it knows its owner, and what makes that worth little."""
        return *self.me.in_words(), *(f"But {doubt}" for doubt in self.doubts)

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        return {
            "me": self.me.to_json(),
            "personal": self.personal.to_json(),
            "shipped": self.shipped.to_json(),
            "scope": asdict(self.scope),
        }


def measure(data: OwnData, network: Network, shipped: Network, log: list[Epoch]) -> OwnResult:
    """Score the photos that were kept back, once.

    Args:
        data: the photos.
        network: what decides: what was trained, or the very ``shipped`` one.
        shipped: the weights that it started from.
        log: the training's epochs, passed on.
    """
    me, odds = _is_it_me(data, network, shipped)
    seen = look(shipped, data, "test")
    learned_from, kept_back, others = len(data.mine["training"]), len(data.mine["test"]), data.others["test"]
    names = [*data.mine["training"].names, *data.mine["test"].names, *(f"others/{name}" for name in others.names)]
    sources = sources_by("photo", [names[row] for row in seen.first], [names[row] for row in seen.second])
    own, strangers = odds[: len(data.moments)], odds[len(data.moments) :][: len(others)]
    of_pairs = sigmoid(np.concatenate([own[:learned_from], own[-kept_back:], strangers]))
    both = np.sort([of_pairs[seen.first], of_pairs[seen.second]], axis=0)
    scores, scores_before = both[0], sigmoid(seen.odds)
    info = shipped.info.for_references(me.photos)
    personal, base = (
        evaluate(values, seen.same, threshold=weights.threshold, band=weights.inconclusive_band, sources=sources)
        for values, weights in ((scores, info), (scores_before, shipped.info))
    )
    threshold = info.threshold
    decisions = np.array(decide_all(scores, info.inconclusive_band), object)
    decisions[both[1] < threshold] = "out_of_scope"
    counts = {"genuine": Counter(decisions[seen.same]), "impostor": Counter(decisions[~seen.same])}
    hardest = np.argsort(np.where(seen.same, scores - threshold, threshold - scores), kind="stable")[:HARDEST].tolist()
    columns = seen.first.tolist(), seen.second.tolist(), seen.same.tolist(), scores.tolist(), scores_before.tolist()
    rows = list(zip(*columns, strict=True))
    return OwnResult(
        me,
        personal,
        base,
        scores,
        scores_before,
        seen.same,
        _scope(sigmoid(own[-kept_back:]) >= threshold, sigmoid(strangers) >= threshold, others.people, data.seed),
        {kind: {verdict: count[verdict] for verdict in VERDICTS} for kind, count in counts.items()},
        [HardPair(names[first], names[second], *rest) for first, second, *rest in (rows[n] for n in hardest)],
        log,
        data.doubts,
    )


def _is_it_me(data: OwnData, network: Network, shipped: Network) -> tuple[IsItMe, np.ndarray]:
    """Return what is answered to single photos, and all photos' log-odds: mine, and strangers', the test's first."""
    learned = network is not shipped
    photos = min(len(data.moments), MOST_REFERENCES)
    info = shipped.info.for_references(photos)
    # What was trained has seen the photos before these; to the shipped weights all are new.
    new = slice(-len(data.mine["test"]), None) if learned else slice(None)

    def answers(own: np.ndarray, strangers: np.ndarray, weights: WeightsInfo) -> Answers:
        scores = sigmoid(np.append(own, strangers))
        same, band = np.arange(len(scores)) < len(own), weights.inconclusive_band
        return Answers(scores, same, evaluate(scores, same, threshold=weights.threshold, band=band))

    parts = PARTS[-1:] if learned else PARTS[::-1]
    own, strangers = ask(network, data, parts)
    own_before, strangers_before = ask(shipped, data, parts) if learned else (own, strangers)
    me = IsItMe(
        photos,
        learned,
        answers(own[new], strangers, info),
        answers(own_before[new], strangers_before, info),
        answers(*ask_by_one_photo(shipped, data, parts), shipped.info),
    )
    return me, np.append(own, strangers)


def _scope(owner: np.ndarray, others: np.ndarray, people: Sequence[object] | np.ndarray, seed: int) -> Scope:
    """Count pairs, given of photos of the owner and of others, bool, whether each counts as the owner's."""
    rng, person = np.random.default_rng(seed), np.asarray(people)
    some = rng.permutation(len(others))[:STRANGERS_PAIRED]
    first, second = some[np.stack(np.triu_indices(len(some), 1))]
    strangers = rng.permutation(np.flatnonzero(person[first] != person[second]))[:STRANGER_PAIRS_AT_MOST]
    out = ~(others[first[strangers]] | others[second[strangers]])
    owner_out = [not (one or other) for one, other in combinations(owner.tolist(), 2)]
    return Scope(len(strangers), int(out.sum()), len(owner_out), sum(owner_out))


def own_face_page(result: OwnResult, note: Mapping[str, Any]) -> str:
    """Return the whole HTML file; ``note`` is the JSON beside the weights."""
    scope, counts, confusion, me = result.scope, note["training"]["photos"], result.personal.confusion, result.me
    drawn = note["training"]["others"] == "stand-in"
    whom = "people drawn from the stand-in, who do not exist" if drawn else "people who were never learned from"
    scored = (
        f"Scored once on {counts['test']['mine']} photos of the owner that training never saw, against "
        f"{counts['training']['mine']} that it learned from: {confusion.genuine} genuine pairs, and as many impostor "
        f"pairs with {counts['test']['people']:,} {whom}."
    )
    out_of_scope = (
        f"Of {scope.stranger_pairs:,} pairs of two strangers {scope.strangers_out:,} read out_of_scope; "
        f"of {scope.owner_pairs:,} pairs of two test photos of the owner {scope.owner_out:,} did."
    )
    figures = [[NAMES[name], *map(percent, told.values())] for name, told in me.even_figures().items()]
    figures += [
        [NAMES[name], *(percent(told.figures()[name]) for told in me.evaluations.values())] for name in FIGURES[4:]
    ]
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
    losses = [epoch.loss for epoch in result.log], [epoch.validation_loss for epoch in result.log]
    pictures = [picture(plots.plot_training(*losses, result.kept), "Training curves: the loss of each epoch")]
    for what, drawn_from in (
        ("is it you", me.personal),
        ("two photos", Answers(result.scores, result.same, result.personal)),
    ):
        found = plots.plot_evaluation(*drawn_from)
        pictures += [picture(found[name], f"{words}: {what}") for name, words in PICTURES.items()]
    sections = [
        Section("How well it works", (*result.in_words(), note["personal"]["warning"], "No liveness check.")),
        Section("Is it you?", (f"The strangers are {whom}.",), Table(ANSWERS, _answer_rows(me))),
        Section("Figures", (EVEN,), Table(("", *SYSTEMS.values()), figures)),
        Section("Two photos", (scored, METHOD), Table(("", "this model", "the weights it started from"), rows)),
        Section("Confusion matrix", (), Table(("", "decided match", "decided non-match"), outcomes)),
        Section("Out of scope", (out_of_scope,)),
        Section("Curves", pictures=pictures),
        Section("Hardest pairs", (), Table(("photos", "truth", "this model", "before"), hardest)),
    ]
    return page(note["name"], "A model trained on its owner's face by facial-recognition train.", sections)


def _answer_rows(me: IsItMe) -> list[tuple[str, ...]]:
    rows = []
    for system, evaluation in me.evaluations.items():
        of = [evaluation.decisions[kind] for kind in ("genuine", "impostor")]
        counts = [(count, one.pairs) for one in of for count in (one.match, one.inconclusive, one.non_match)]
        rows.append((SYSTEMS[system], *(f"{count:,} of {pairs:,}" for count, pairs in counts)))
    return rows


def _figure(evaluation: Evaluation, name: str) -> str:
    value = evaluation.figures()[name]
    if value is None:
        return "—"
    interval = interval_text(evaluation.intervals.get(name))
    return percent(value) + (f" ({interval})" if interval else "")
