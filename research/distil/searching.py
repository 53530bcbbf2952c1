"""How often strangers' faces are taken for somebody who is looked for: by the bar, the references and the grade.

Whoever looks through many photos needs bars above the band, and the rate of false matches at each. The bars are
chosen on calibration people's photos as they come, and counted on reporting people's, spoiled ones too, so that
each grade has its faces. They end where fewer than ten strangers reach them: beyond it nothing was measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.evaluation import no_errors_bound
from flaskapp.evaluation.calibration import Fusion, Trust
from flaskapp.evaluation.curves import FEWEST_ERRORS
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.evaluation.intervals import ENDS, REPLICATES
from flaskapp.parallel import replacing
from flaskapp.quality import GRADES, grades_of
from flaskapp.weights.runtime import certainties, weighted_l1
from research.distil.calibration import Calibration
from research.distil.mixture import KERNEL
from research.distil.references import DRAWS, Photos

FMRS = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Shares of strangers' faces that may reach each bar."""


@dataclass(frozen=True)
class Search:
    """One person's references beside the faces of everybody else of their set.

    Attributes:
        number: how many references.
        sought: whose they are.
        shown: int (K,), whose each face is.
        scores: float64 (K,).
        certainty: float64 (K,), of the faces.
    """

    number: int
    sought: int
    shown: np.ndarray
    scores: np.ndarray
    certainty: np.ndarray


def searches(
    photos: Photos, calibration: Calibration, fusions: Mapping[int, Fusion], *, spoiled: bool
) -> Iterator[Search]:
    """Look for each person among all other people's faces, as they come, and spoiled ones if asked for.

    One reference: each of a person's photos in turn; of more, ``DRAWS`` draws where they have so many photos.
    """
    worse = photos.spoiled.values() if spoiled else ()
    faces = np.concatenate([photos.embeddings, *worse]).astype(np.float32)
    of_photo = np.concatenate([np.arange(len(photos.person)), *(photos.some for _ in worse)])
    person, place, sure = photos.person[of_photo], photos.set_index[of_photo], certainties(faces)
    rng = np.random.default_rng(2026)
    for where, one in np.unique(np.stack([photos.set_index, photos.person], axis=1), axis=0):
        own = np.flatnonzero((photos.set_index == where) & (photos.person == one))
        among = np.flatnonzero((place == where) & (person != one))
        distances = np.stack([weighted_l1(faces[among], faces[row], KERNEL) for row in own])
        odds = calibration.scale * distances.astype(np.float64) + calibration.offset
        for number, fusion in fusions.items():
            for drawn in _draws(len(own), number, rng):
                fused = fusion.fuse(odds[drawn], sure[own[drawn]], sure[among], calibration.trust)
                yield Search(number, int(one), person[among], sigmoid(fused), sure[among])


def _draws(photos: int, number: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    if number == 1:
        yield from np.arange(photos)[:, None]
    elif photos >= number:
        yield from (rng.permutation(photos)[:number] for _ in range(DRAWS))


def cuts_above(scores: np.ndarray, high: float, fewest: int = FEWEST_ERRORS) -> dict[float, float]:
    """Return the lowest score that at most each share of ``FMRS`` reaches, by the share.

    Those that lie no higher than the band, or that too few of the scores reach, are left out.
    """
    cuts: dict[float, float] = {}
    ranked = np.sort(scores)
    for share in FMRS:
        kept_out = len(ranked) - int(share * len(ranked)) - 1
        reaching = ranked[np.searchsorted(ranked, ranked[kept_out], side="right") :] if len(ranked) else ranked
        if len(reaching) >= fewest:
            cut = float((ranked[kept_out] + reaching[0]) / 2)
            cuts |= {share: cut} if cut > high else {}
    return cuts


class Counter:
    """Counts strangers' faces by grade and by both people, and keeps those that reach a score.

    Args:
        people: everybody's numbers.
        bounds: of the grades.
        least: the lowest bar.
    """

    def __init__(self, people: np.ndarray, bounds: tuple[float, float], least: float) -> None:
        self._names, self._bounds, self._least = np.unique(people), bounds, least
        self._seen = np.zeros((len(GRADES), len(self._names) ** 2), np.int64)
        self._kept: list[np.ndarray] = []  # rows of score, grade and pair of people

    @property
    def is_empty(self) -> bool:
        """Whether no search was counted."""
        return not self._kept

    def add(self, search: Search) -> None:
        """Count one search."""
        grades = grades_of(search.certainty, self._bounds)
        sought, shown = np.searchsorted(self._names, search.sought), np.searchsorted(self._names, search.shown)
        pair = sought * len(self._names) + shown
        np.add.at(self._seen, (grades, pair), 1)
        reached = search.scores >= self._least
        self._kept.append(np.stack([search.scores, grades, pair])[:, reached])

    def told(self, bar: float) -> dict[str, Any]:
        """Return, by grade, how many of how many faces reach a bar, and 95 % of their share when people are drawn anew.

        A grade that no face has gets the counts of all.
        """
        scores, grades, pairs = np.concatenate([np.empty((3, 0)), *self._kept], axis=1)
        told = dict[str, Any]()
        for place, grade in enumerate(GRADES):
            alone = self._seen[place].any()
            seen = self._seen[place] if alone else self._seen.sum(axis=0)
            chosen = (scores >= bar) & (grades == place if alone else True)
            hit = np.bincount(pairs[chosen].astype(np.int64), minlength=seen.size)
            told[grade] = {"match": int(hit.sum()), "faces": int(seen.sum()), "interval": self._interval(hit, seen)}
        return told

    def _interval(self, hit: np.ndarray, seen: np.ndarray) -> list[float]:
        if not hit.any():
            return [0.0, no_errors_bound(int((seen > 0).sum()))]
        people = len(self._names)
        drawn = np.random.default_rng(0).multinomial(people, np.full(people, 1 / people), REPLICATES).astype(np.float64)
        hits, faces = (((drawn @ of.reshape(people, people)) * drawn).sum(axis=1) for of in (hit, seen))
        return np.quantile(hits / np.maximum(faces, 1), ENDS).tolist()


def measure(
    calibrating: Photos, reporting: Photos, calibration: Calibration, note: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Return what the weights' note tells of searching: by the number of references, bars and who reaches them.

    Args:
        calibrating: calibration people's photos.
        reporting: reporting people's, spoiled ones too.
        calibration: what a distance counts for.
        note: what else is told of the weights: band, bounds of the grades, and what was fitted for references.
    """
    several, highs = note.get("references", {"by_number": {}}), {1: note["inconclusive_band"][1]}
    fusions, bounds = {1: Fusion()}, tuple(note["grade_bounds"])
    for number, fitted in several["by_number"].items():
        fusions[int(number)] = Fusion(fitted["scale"], fitted["offset"], several["best"])
        highs[int(number)] = fitted["inconclusive_band"][1]
    scores: dict[int, list[np.ndarray]] = {number: [np.empty(0)] for number in fusions}
    for search in searches(calibrating, calibration, fusions, spoiled=False):
        scores[search.number].append(search.scores)
    counters = {number: Counter(reporting.person, bounds, high) for number, high in highs.items()}
    for search in searches(reporting, calibration, fusions, spoiled=True):
        counters[search.number].add(search)
    told = {}
    for number, counter in counters.items():
        if counter.is_empty:
            continue
        fewest = 2 * FEWEST_ERRORS if number == 1 else FEWEST_ERRORS  # two photos are compared both ways then
        above = cuts_above(np.concatenate(scores[number]), highs[number], fewest)
        bars = [(None, highs[number]), *above.items()]
        told[str(number)] = [{"fmr": share, "score": bar, "strangers": counter.told(bar)} for share, bar in bars]
        for lower, higher in pairwise(told[str(number)]):
            for grade, rate in higher["strangers"].items():  # no more reach a higher bar, so no bound may say so
                rate["interval"][1] = min(rate["interval"][1], lower["strangers"][grade]["interval"][1])
    return told


def add_searching(weights: Path, calibrating: Photos, reporting: Photos) -> None:
    """Measure anew, and put it into the JSON beside weights (``.h5``), from which these embeddings come."""
    path = weights.with_suffix(".json")
    note = json.loads(path.read_text(encoding="utf-8"))
    fitted = note["calibration"]
    calibration = Calibration(**fitted | {"trust": Trust.from_json(fitted["trust"])})
    note["searching"] = measure(calibrating, reporting, calibration, note)
    with replacing(path) as part:
        part.write_text(json.dumps(note, indent=2, allow_nan=False) + "\n", encoding="utf-8")
