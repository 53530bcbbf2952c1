"""What came of a training on one's own face, beside the weights that it started from; and the page that tells it.

The page holds no picture of anybody, and photos by their names.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from flaskapp import plots
from flaskapp.evaluation.decisions import decide_all, rates, sigmoid
from flaskapp.evaluation.intervals import Interval, exact_interval
from flaskapp.evaluation.result import Evaluation, evaluate
from flaskapp.personal.data import OwnData
from flaskapp.personal.loop import Epoch, best_of
from flaskapp.personal.scoring import Network, ask, ask_by_one_photo
from flaskapp.personal.split import PARTS
from flaskapp.report.page import Section, Table, page, picture
from flaskapp.report.rows import NAMES, interval_text, percent
from flaskapp.weights.info import MOST_REFERENCES, WeightsInfo

VERDICTS = ("match", "inconclusive", "non_match", "out_of_scope")
HARDEST = 10
SYSTEMS = {
    "personal": "this model",
    "shipped": "shipped weights, same photos as references",
    "alone": "shipped weights, one reference",
}
EVEN = ("accuracy", "precision", "recall", "f1")
ANSWERS = ("", "knew you", "could not say", "missed you", "took strangers for you", "could not say", "told them apart")
PICTURES = {"scores": "Score histograms", "roc": "ROC", "det": "DET"}
METHOD = (
    "All at the threshold, which allows no “cannot say”; accuracy, precision and F1 as if you and strangers came "
    "equally often. In brackets 95 % intervals (Clopper and Pearson). With one reference, each photo of yours was "
    "compared with each other one, and each stranger's with one."
)


class Answers(NamedTuple):
    """Scores float (M,) of photos, whether each shows the owner, bool (M,), and what that is worth."""

    scores: np.ndarray
    same: np.ndarray
    evaluation: Evaluation


@dataclass(frozen=True)
class Scope:
    """How often ``out_of_scope`` was the answer: to pairs of two strangers, and of two photos of the owner."""

    stranger_pairs: int
    strangers_out: int
    owner_pairs: int
    owner_out: int


class HardPhoto(NamedTuple):
    """A photo, by name, about which the model was least right; ``same`` if it is the owner's."""

    name: str
    same: bool
    score: float
    shipped_score: float


@dataclass(frozen=True, eq=False)
class OwnResult:
    """What was answered to photos of the owner that what decides had not seen, and to strangers."""

    photos: int  # how many photos of the owner the model knows
    learned: bool  # whether what training learned decides; else the shipped weights do, to which all photos are new
    personal: Answers  # of the model: each photo was held against the owner's others, a stranger's against all
    shipped: Answers  # of the weights that it started from, with the same photos as references
    alone: Answers  # of these weights with one reference
    scope: Scope  # how often the model said of two photos that it knows neither
    verdicts: dict[str, dict[str, int]]  # kind of pair of two photos → verdict → count
    hardest: Sequence[HardPhoto]  # the photos furthest on the wrong side
    log: list[Epoch]  # the training's epochs
    doubts: tuple[str, ...] = ()  # whether the photos show whom they should, in words

    @property
    def kept(self) -> int:
        """The epoch whose weights were tried; 0 = those that it started from."""
        return best_of(self.log)

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """What the answers of each system are worth."""
        return {system: getattr(self, system).evaluation for system in SYSTEMS}

    def even_figures(self) -> dict[str, dict[str, float | None]]:
        """Return accuracy, precision, recall and F1, by system, as if owner and strangers came equally often."""
        told: dict[str, dict[str, float | None]] = {name: {} for name in EVEN}
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
            f"same photos would have known you in {before}, and taken {impostors:,} of the strangers for you."
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
            *(f"But {doubt}" for doubt in self.doubts),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        told = {system: evaluation.to_json() for system, evaluation in self.evaluations.items()}
        return {**told, "even": self.even_figures(), "scope": asdict(self.scope)}


def _out_of(many: int, share: Interval) -> str:
    low, high = math.floor(many * share.low), math.ceil(many * share.high)
    return f"{low:,} to {high:,}" if low else f"up to {high:,}"


def measure(data: OwnData, network: Network, shipped: Network, log: list[Epoch]) -> OwnResult:
    """Ask of photos, once, whether they show the owner.

    What decides, ``network``, is what was trained, or the very ``shipped`` one.
    """
    learned, count = network is not shipped, len(data.moments)
    # What was trained has seen the photos before those for the test; to the shipped weights all are new.
    parts = PARTS[-1:] if learned else PARTS[::-1]
    new = np.arange(count) >= (count - len(data.mine["test"]) if learned else 0)
    info = shipped.info.for_references(min(count, MOST_REFERENCES))
    own, strangers = ask(network, data, parts)
    own_before, strangers_before = ask(shipped, data, parts) if learned else (own, strangers)
    personal, before = _answers(own[new], strangers, info), _answers(own_before[new], strangers_before, info)
    mine = [name for part in PARTS for name in data.mine[part].names]
    names = [name for name, chosen in zip(mine, new, strict=True) if chosen]
    names += [f"others/{name}" for part in parts for name in data.others[part].names]
    people = np.concatenate([np.asarray([f"{part} {one}" for one in data.others[part].people]) for part in parts])
    wrongness = np.where(personal.same, -personal.scores, personal.scores)
    known, unknown = sigmoid(own), sigmoid(strangers)
    first, second = np.triu_indices(count, 1)
    two = new[first] | new[second]
    mixed = np.repeat(known, len(unknown)), np.tile(unknown, count)
    return OwnResult(
        min(count, MOST_REFERENCES),
        learned,
        personal,
        before,
        _answers(*ask_by_one_photo(shipped, data, parts), shipped.info),
        _scope(known[new] >= info.threshold, unknown >= info.threshold, people),
        {
            "genuine": _verdicts(known[first[two]], known[second[two]], info),
            "impostor": _verdicts(*mixed, info),
        },
        [
            HardPhoto(names[row], *(values[row].item() for values in (personal.same, personal.scores, before.scores)))
            for row in np.argsort(-wrongness, kind="stable")[:HARDEST]
        ],
        log,
        data.doubts,
    )


def _answers(own: np.ndarray, strangers: np.ndarray, weights: WeightsInfo) -> Answers:
    scores = sigmoid(np.append(own, strangers))
    same, band = np.arange(len(scores)) < len(own), weights.inconclusive_band
    return Answers(scores, same, evaluate(scores, same, threshold=weights.threshold, band=band))


def _verdicts(one: np.ndarray, other: np.ndarray, weights: WeightsInfo) -> dict[str, int]:
    """Count the verdicts on two photos, given the scores of either: that which is less like the owner decides."""
    verdicts = np.array(decide_all(np.minimum(one, other), weights.inconclusive_band), object)
    verdicts[np.maximum(one, other) < weights.threshold] = "out_of_scope"
    counts = Counter(verdicts.tolist())
    return {verdict: counts[verdict] for verdict in VERDICTS}


def _scope(owner: np.ndarray, others: np.ndarray, people: np.ndarray) -> Scope:
    """Count pairs, given whether each photo counts as the owner's, bool, and whose the others are."""

    def pairs_of_two(people: np.ndarray) -> int:
        counts = np.unique(people, return_counts=True)[1]
        return int(counts.sum() ** 2 - (counts**2).sum()) // 2

    pairs = pairs_of_two(people), pairs_of_two(people[~others])
    return Scope(*pairs, math.comb(len(owner), 2), math.comb(int((~owner).sum()), 2))


def own_face_page(result: OwnResult, note: Mapping[str, Any]) -> str:
    """Return the whole HTML file; ``note`` is the JSON beside the weights."""
    scope, confusion = result.scope, result.personal.evaluation.confusion
    drawn = note["training"]["others"] == "stand-in"
    whom = (
        "drawn from the stand-in and do not exist: real ones may be more like you" if drawn else "new to what decided"
    )
    out_of_scope = (
        f"Of {scope.stranger_pairs:,} pairs of two strangers {scope.strangers_out:,} read out_of_scope; "
        f"of {scope.owner_pairs:,} pairs of two photos of the owner {scope.owner_out:,} did."
    )
    figures = [[NAMES[name], *map(percent, told.values())] for name, told in result.even_figures().items()]
    evaluations = result.evaluations.values()
    figures += [[NAMES[name], *(_with_interval(of, name) for of in evaluations)] for name in ("fmr", "fnmr")]
    figures.append([NAMES["eer"], *(percent(of.eer) for of in evaluations)])
    figures.append(["threshold", *(f"{of.threshold:.4f}" for of in evaluations)])
    figures.append(["inconclusive band", *("{:.4f} to {:.4f}".format(*of.band) for of in evaluations)])
    outcomes = [
        ("your photos", str(confusion.true_matches), str(confusion.false_non_matches)),
        ("strangers'", str(confusion.false_matches), str(confusion.true_non_matches)),
    ]
    hardest = [
        (name, "you" if same else "stranger", f"{score:.4f}", f"{before:.4f}")
        for name, same, score, before in result.hardest
    ]
    losses = [epoch.loss for epoch in result.log], [epoch.validation_loss for epoch in result.log]
    drawings = plots.plot_evaluation(*result.personal)
    pictures = [picture(plots.plot_training(*losses, result.kept), "Training curves: the loss of each epoch")]
    pictures += [picture(drawings[name], words) for name, words in PICTURES.items()]
    sections = [
        Section("How well it works", (*result.in_words(), note["personal"]["warning"], "No liveness check.")),
        Section("Is it you?", (f"The strangers are {whom}.",), Table(ANSWERS, _answer_rows(result))),
        Section("Figures", (METHOD,), Table(("", *SYSTEMS.values()), figures)),
        Section("Confusion matrix", (), Table(("", "decided match", "decided non-match"), outcomes)),
        Section("Two photos: out of scope", (out_of_scope,)),
        Section("Curves", pictures=pictures),
        Section("Hardest photos", (), Table(("photo", "truth", "this model", "before"), hardest)),
    ]
    return page(note["name"], "A model trained on its owner's face by facial-recognition train.", sections)


def _answer_rows(result: OwnResult) -> list[tuple[str, ...]]:
    rows = []
    for system, evaluation in result.evaluations.items():
        of = [evaluation.decisions[kind] for kind in ("genuine", "impostor")]
        counts = [(count, one.pairs) for one in of for count in (one.match, one.inconclusive, one.non_match)]
        rows.append((SYSTEMS[system], *(f"{count:,} of {pairs:,}" for count, pairs in counts)))
    return rows


def _with_interval(evaluation: Evaluation, name: str) -> str:
    of = evaluation.confusion
    count, pairs = (of.false_matches, of.impostor) if name == "fmr" else (of.false_non_matches, of.genuine)
    return f"{percent(count / pairs)} ({interval_text(exact_interval(count, pairs))})"
