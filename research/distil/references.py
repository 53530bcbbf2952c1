"""Several photos of one person: how their scores become one, from embeddings and people alone.

Nothing here sees a photo, so it runs within minutes, once more too, on embeddings that were kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.evaluation import Sources, evaluate
from flaskapp.evaluation.calibration import Fusion, Trust
from flaskapp.evaluation.curves import error_curve, first_allowed
from flaskapp.evaluation.decisions import Band, FloatArray, check_both_kinds, count_verdicts, sigmoid
from flaskapp.evaluation.intervals import REPLICATES
from flaskapp.parallel import replacing
from flaskapp.weights.info import MOST_REFERENCES
from flaskapp.weights.runtime import certainties
from flaskapp.weights.shape import SHORTEST
from research.distil.bands import (
    UNSURE,
    WORST_MATCH,
    WORST_NON_MATCH,
    choose_band,
    choose_threshold_within,
    limits,
    reachable_rate,
)
from research.distil.calibration import Calibration, fit_odds, platt

NUMBERS = (2, 4, 8, 12)
TOLD = (1, 2, 4, 8)  # in the model card, all with the same people and probes
RULES = (3, 2, 1, MOST_REFERENCES)  # how many of the highest log-odds count; of equal ones the first is taken
RULE_FMR = 0.01
DRAWS = 3  # of each person's references
STRANGERS = 200  # probes, for each draw
FEWEST = 20  # trials of either kind
AT_ONCE = 256
SMALLEST = 1e-6  # scale of a rule, which must be above 0


@dataclass(frozen=True)
class Photos:
    """N photos of people, and what S of them are once they are spoiled.

    Attributes:
        embeddings: float (N, 4096).
        person: int (N,).
        set_index: int (N,); photos are compared within a set, as sets hold some photos twice.
        some: int (S,), which photos are spoiled.
        spoiled: condition → float (S, 4096).
    """

    embeddings: np.ndarray = field(repr=False)
    person: np.ndarray
    set_index: np.ndarray
    some: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    spoiled: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def small(self) -> Photos:
        """Return the same in half precision, to be kept."""
        spoiled = {name: rows.astype(np.float16) for name, rows in self.spoiled.items()}
        return Photos(self.embeddings.astype(np.float16), self.person, self.set_index, self.some, spoiled)


@dataclass(frozen=True)
class Trials:
    """M comparisons of one photo with n references of one person.

    Attributes:
        odds: float (n, M), what the head says.
        certainty: float (n, M) in [0, 1], of the references.
        other: float (M,), of the probes.
        same: bool (M,).
        people: int (M, 2), whose references, and who is on the probe.
    """

    odds: np.ndarray = field(repr=False)
    certainty: np.ndarray = field(repr=False)
    other: np.ndarray = field(repr=False)
    same: np.ndarray = field(repr=False)
    people: np.ndarray = field(repr=False)

    @property
    def are_few(self) -> bool:
        """Whether nothing can be fitted on them."""
        return min(self.same.sum(), (~self.same).sum()) < FEWEST

    def scores(self, fusion: Fusion, trust: Trust) -> np.ndarray:
        """Return the scores as the product gives them, float64 (M,)."""
        return sigmoid(fusion.fuse(self.odds, self.certainty, self.other, trust))


@dataclass(frozen=True)
class Matrix:
    """What the head says of N photos as references, and the same N as probes, spoiled or not.

    Attributes:
        odds: float32 (N, N), references by probes; NaN across sets.
        certainty: float (N,), of the references.
        other: float (N,), of the probes.
        person: int (N,).
    """

    odds: np.ndarray = field(repr=False)
    certainty: np.ndarray
    other: np.ndarray
    person: np.ndarray

    def trials(self, number: int, spare: int | None = None, seed: int = 0) -> Trials:
        """Draw references of each person, and probes: that person's other photos, and strangers' of the same set.

        Args:
            number: of references.
            spare: so many photos are no probes; with one ``spare``, fewer references are among more of them,
                and the probes are the same.
            seed: of what is drawn.
        """
        rng, parts = np.random.default_rng(seed), []
        for mine, strangers in self._people():
            if len(mine) < (spare := spare or number):
                continue
            for _ in range(DRAWS):
                order = rng.permutation(mine)
                probes = np.concatenate([order[spare:], rng.permutation(strangers)[:STRANGERS]])
                parts.append((np.repeat(order[:number, None], len(probes), axis=1), probes))
        if not parts:
            parts = [(np.empty((number, 0), np.int64), np.empty(0, np.int64))]
        references, probes = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        people = np.stack([self.person[references[0]], self.person[probes]], axis=1)
        same = people[:, 0] == people[:, 1]
        return Trials(self.odds[references, probes], self.certainty[references], self.other[probes], same, people)

    def _people(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the photos of each person in each set, and those of others there."""
        there = ~np.isnan(self.odds)
        for row in np.unique(np.argmax(there & (self.person[:, None] == self.person), axis=1)):
            mine = self.person == self.person[row]
            yield np.flatnonzero(there[row] & mine), np.flatnonzero(there[row] & ~mine)


def matrix_of(
    references: np.ndarray,
    probes: np.ndarray,
    person: np.ndarray,
    set_index: np.ndarray,
    head: Calibration,
    asked: np.ndarray | None = None,
) -> Matrix:
    """Return what a head says of photos, as embeddings float (N, 4096): one array twice, or clean and spoiled.

    ``asked`` is which of them are references, int (K,); all, if it is None.
    """
    odds = np.full((len(references), len(probes)), np.nan, np.float32)
    first, second = map(_unit, (references, probes))
    for rows in (np.flatnonzero(set_index == one) for one in np.unique(set_index)):
        for row in rows if asked is None else np.intersect1d(rows, asked):
            for part in np.array_split(rows, len(rows) // AT_ONCE + 1):
                odds[row, part] = np.abs(second[part] - first[row]).mean(axis=1)
    odds = np.float32(head.scale) * odds + np.float32(head.offset)
    return Matrix(odds, certainties(references), certainties(probes), person)


def _unit(embeddings: np.ndarray) -> np.ndarray:
    unit = embeddings.astype(np.float32)
    return unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), SHORTEST)


def clean_matrix(photos: Photos, head: Calibration) -> Matrix:
    """Return what a head says of photos as they come."""
    return matrix_of(photos.embeddings, photos.embeddings, photos.person, photos.set_index, head)


def spoiled_matrices(photos: Photos, head: Calibration) -> Iterator[Matrix]:
    """Yield what a head says where probes are spoiled, and where all photos are, alike; condition by condition."""
    clean, who = photos.embeddings[photos.some], (photos.person[photos.some], photos.set_index[photos.some])
    for worse in photos.spoiled.values():
        yield matrix_of(clean, worse, *who, head)
        yield matrix_of(worse, worse, *who, head)


def fit_fusion(trials: Trials, rule: Fusion, trust: Trust) -> Fusion:
    """Fit a rule's scale and offset so that the score is the chance of "same person", either being equally common.

    Raises:
        DataError: the trials are of one kind only.
    """
    check_both_kinds(trials.same, "Fusion")

    def odds_at(scale: float, offset: float) -> FloatArray:
        return fitted(scale, offset).fuse(trials.odds, trials.certainty, trials.other, trust)

    def fitted(scale: float, offset: float) -> Fusion:
        return replace(rule, scale=max(scale, SMALLEST), offset=offset)

    return fitted(*fit_odds(odds_at, *platt(trials.same)))


def choose_best(matrix: Matrix, trust: Trust, poor_below: float) -> tuple[int, dict[str, dict[str, float]]]:
    """Choose how many of the highest log-odds count: where the fewest genuine trials are missed at FMR 1 %.

    Returns:
        How many; and for each rule the FNMR by number of references, with the mean over the numbers.
    """
    told: dict[str, dict[str, float]] = {}
    for best in RULES:
        missed = {}
        for number in NUMBERS:
            trials = matrix.trials(number)
            if trials.are_few:
                continue
            curve = error_curve(trials.scores(Fusion(best=best, poor_below=poor_below), trust), trials.same)
            fmr = max(RULE_FMR, reachable_rate(curve.impostor))
            missed[str(number)] = float(curve.fnmr[first_allowed(curve.false_matches, fmr, curve.impostor)])
        told[str(best)] = missed | {"mean": float(np.mean(list(missed.values())))} if missed else {}
    return min(RULES, key=lambda best: told[str(best)].get("mean", 1.0)), told


def fit_references(
    calibrating: Photos,
    reporting: Photos,
    validating: Photos,
    head: Calibration,
    band: Band,
    threshold: float,
    poor_below: float,
    replicates: int = REPLICATES,
) -> dict[str, Any] | None:
    """Return what is stored beside the weights on several photos of one person; None where there are too few photos.

    The rule is chosen on validation people, scale, offset, band and threshold on calibration people; verdicts are
    counted, and figures told, on reporting people.

    Args:
        calibrating: calibration people's photos, some spoiled.
        reporting: reporting people's.
        validating: validation people's.
        head: what a distance counts for.
        band: with one reference.
        threshold: likewise.
        poor_below: certainty of poor photos.
        replicates: of the bootstrap over people.
    """
    best, rules = choose_best(clean_matrix(validating, head), head.trust, poor_below)
    rule = Fusion(best=best, poor_below=poor_below)
    clean, reported = clean_matrix(calibrating, head), clean_matrix(reporting, head)
    worse = list(spoiled_matrices(calibrating, head))
    by_number: dict[str, dict[str, Any]] = {}
    for number in NUMBERS:
        trials, unseen = clean.trials(number), reported.trials(number)
        if trials.are_few or unseen.are_few:
            continue
        fusion = fit_fusion(trials, rule, head.trust)
        scores = trials.scores(fusion, head.trust)
        chosen = choose_band(scores, trials.same, *limits(trials.same), around=UNSURE).band
        ends = _held(chosen, worse, number, fusion, head.trust, band)
        counts = count_verdicts(unseen.scores(fusion, head.trust), unseen.same, ends)
        by_number[str(number)] = {
            "scale": fusion.scale,
            "offset": fusion.offset,
            "threshold": choose_threshold_within(scores, trials.same, ends, genuine_share=0.5),
            "inconclusive_band": list(ends),
            "error_counts": {kind: asdict(verdicts) for kind, verdicts in counts.items()},
        }
    if not by_number:
        return None
    figures = figures_of(reported, head.trust, rule, by_number, (threshold, band), replicates)
    return {"best": best, "by_number": by_number, "rules": rules, "figures": figures}


def _held(band: Band, worse: list[Matrix], number: int, fusion: Fusion, trust: Trust, single: Band) -> Band:
    """Widen a band until spoiled photos read match or non_match wrongly nowhere more often than they may, or singly.

    Conditions with fewer photos of a person than references are passed over.
    """
    low, high = band
    for matrix in worse:
        many, one = matrix.trials(number), matrix.trials(1)
        scores, alone = many.scores(fusion, trust), one.scores(Fusion(), trust)
        strangers, themselves = scores[~many.same], scores[many.same]
        may_match = max(WORST_MATCH, float(np.mean(alone[~one.same] >= single[1])))
        if strangers.size and np.mean(strangers >= high) > may_match:
            high = min(float(np.nextafter(np.quantile(strangers, 1 - may_match, method="higher"), 2.0)), 1.0)
        if themselves.size:
            fewest = reachable_rate(themselves.size)
            may_miss = min(max(WORST_NON_MATCH, float(np.mean(alone[one.same] < single[0])), fewest), 1.0)
            low = min(low, float(np.quantile(themselves, may_miss, method="lower")))
    return low, high


def figures_of(
    matrix: Matrix,
    trust: Trust,
    rule: Fusion,
    by_number: Mapping[str, Mapping[str, Any]],
    single: tuple[float, Band],
    replicates: int = REPLICATES,
) -> list[dict[str, Any]]:
    """Return figures with their intervals for 1, 2, 4 and 8 references of the same people, and the same probes.

    A figure that so few trials or people cannot show is None, and ``reasons`` says why.
    """
    spare = max(number for number in TOLD if number == 1 or str(number) in by_number)
    rows = []
    for number in (number for number in TOLD if number <= spare):
        fitted = by_number.get(str(number), {"scale": 1.0, "offset": 0.0})
        fusion = replace(rule, scale=fitted["scale"], offset=fitted["offset"])
        threshold, band = (fitted["threshold"], fitted["inconclusive_band"]) if number > 1 else single
        trials = matrix.trials(number, spare)
        scores = trials.scores(fusion, trust)
        names, who = np.unique(trials.people, return_inverse=True)
        owner, other = who.reshape(trials.people.shape).T
        sources = Sources("person", owner, other, len(names))
        found = evaluate(
            scores, trials.same, threshold=threshold, band=tuple(band), sources=sources, replicates=replicates
        )
        told = found.to_json()
        wanted = ("fnmr_at_fmr.0.01", "fnmr_at_fmr.0.001", "ece", "eer", "impostor.match", "genuine.non_match")
        told["intervals"], told["reasons"] = (
            {name: told[part][name] for name in wanted if name in told[part]} for part in ("intervals", "reasons")
        )
        kept = ("genuine", "impostor", "fnmr_at_fmr", "ece", "eer", "decisions", "intervals", "reasons")
        people = len(np.unique(trials.people[:, 0]))
        rows.append({"references": number, "people": people} | {name: told[name] for name in kept})
    return rows


def head_of(details: Mapping[str, Any]) -> Calibration:
    """Return what a distance counts for, from the JSON beside weights."""
    calibration = details["calibration"]
    return Calibration(**calibration | {"trust": Trust.from_json(calibration["trust"])})


def add_references(weights: Path, calibrating: Photos, reporting: Photos, validating: Photos) -> None:
    """Fit anew, and put it into the JSON beside weights (``.h5``), from which these embeddings come."""
    note = weights.with_suffix(".json")
    details = json.loads(note.read_text(encoding="utf-8"))
    head = head_of(details)
    band = tuple(details["inconclusive_band"])
    poor_below = details["grade_bounds"][0]
    found = fit_references(calibrating, reporting, validating, head, band, details["threshold"], poor_below)
    details.pop("references", None)
    details |= {"references": found} if found else {}
    with replacing(note) as part:
        part.write_text(json.dumps(details, indent=2, allow_nan=False) + "\n", encoding="utf-8")
