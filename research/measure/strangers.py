"""False matches between groups of people, where no two photos show one person.

Photos fall into *cells*, one for each combination of labels (race and gender, say). Every rate
is a sum over pairs of cells: within one race, across two, alike in all labels, unlike in all.
Intervals draw photos again: a pair counts as often as both of its photos were drawn,
multiplied, as in ``intervals``.

Photos without a usable face are counted by group and have no part in the false match rates: a
group whose faces are often missed must not look safer for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.allowance import allowed_cores
from flaskapp.errors import DataError
from flaskapp.evaluation import Interval, no_errors_bound, pairs_needed
from flaskapp.evaluation.curves import FEWEST_ERRORS, FEWEST_PEOPLE
from flaskapp.evaluation.decisions import BoolArray, FloatArray, IntArray
from flaskapp.evaluation.intervals import ENDS, REPLICATES
from flaskapp.pairs.labels import Labels
from flaskapp.pairs.scoring import Progress, embed_photos
from flaskapp.parallel import map_in_order
from flaskapp.preprocess.files import check_presence
from flaskapp.preprocess.selection import Choice
from flaskapp.weights.runtime import Runtime

MOST_CELLS = 200
WEIGHTS_AT_ONCE = 4_000_000
UNKNOWN = "not stated"
STATED_FMR = 0.001

Rows = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Rate:
    """Errors among trials.

    Attributes:
        errors: how many.
        trials: of how many.
        interval: 95 %, over photos; None where there is no trial.
    """

    errors: int
    trials: int
    interval: Interval | None

    @property
    def share(self) -> float | None:
        """Errors / trials."""
        return self.errors / self.trials if self.trials else None

    def to_json(self) -> dict[str, Any]:
        """Return share, counts and interval."""
        interval = asdict(self.interval) if self.interval else None
        return {"rate": self.share, "errors": self.errors, "trials": self.trials, "interval": interval}


@dataclass(frozen=True)
class Operating:
    """False matches at one threshold.

    Attributes:
        name: which threshold it is.
        threshold: a false match is a score of at least this.
        everybody: among all pairs.
        within: column → value → among pairs of that group.
        across: (value, value) of the first column → among pairs of one photo each; within a group
            where both are the same.
        cells: combination of all labels → within it.
        alike: among pairs that agree in every column.
        unlike: among pairs that agree in none.
        spread: column → the highest rate within a group over the geometric mean of all groups'
            (the inequity measure of NISTIR 8429, "Face Recognition Vendor Test part 8:
            Summarizing Demographic Differentials", 2022); None where a group has so few
            errors that it would rest on chance.
    """

    name: str
    threshold: float
    everybody: Rate
    within: Mapping[str, Mapping[str, Rate]]
    across: Mapping[tuple[str, str], Rate]
    cells: Mapping[str, Rate]
    alike: Rate
    unlike: Rate
    spread: Mapping[str, float | None]

    def between(self, one: str, other: str) -> Rate:
        """Return the rate among pairs of one photo each of two groups of the first column."""
        return self.across.get((one, other)) or self.across[other, one]

    def to_json(self) -> dict[str, Any]:
        """Return every rate in JSON's types."""
        return {
            "name": self.name,
            "threshold": self.threshold,
            "everybody": self.everybody.to_json(),
            "alike_in_all_labels": self.alike.to_json(),
            "unlike_in_all_labels": self.unlike.to_json(),
            "within": {c: {v: rate.to_json() for v, rate in rates.items()} for c, rates in self.within.items()},
            "within_combinations": {name: rate.to_json() for name, rate in self.cells.items()},
            "across": [{"groups": list(pair), **rate.to_json()} for pair, rate in self.across.items()],
            "highest_over_geometric_mean": dict(self.spread),
        }


@dataclass(frozen=True)
class Strangers:
    """What photos of strangers say.

    Attributes:
        columns: what they were grouped by.
        photos: how many there are.
        failures: column → value → photos without a usable face.
        failures_of_cells: the same by combination of all labels.
        operating: false matches, threshold by threshold.
        replicates: how many times photos were drawn.
        seed: what the draws started from.
    """

    columns: tuple[str, ...]
    photos: int
    failures: Mapping[str, Mapping[str, Rate]]
    failures_of_cells: Mapping[str, Rate]
    operating: tuple[Operating, ...]
    replicates: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return everything in JSON's types."""
        failures = {c: {v: rate.to_json() for v, rate in rates.items()} for c, rates in self.failures.items()}
        return {
            "grouped_by": list(self.columns),
            "photos": self.photos,
            "failures_to_acquire": failures,
            "failures_to_acquire_by_combination": {n: rate.to_json() for n, rate in self.failures_of_cells.items()},
            "operating_points": [point.to_json() for point in self.operating],
            "interval_method": {"drawn": "photo", "replicates": self.replicates, "seed": self.seed},
        }


class _Cells:
    """Photos by combination of labels, and how often each counts in every replicate."""

    def __init__(self, columns: Sequence[str], labels: np.ndarray, acquired: BoolArray, replicates: int, seed: int):
        self.columns = tuple(columns)
        labels = np.where(labels == "", UNKNOWN, labels)
        self.values, self.of_photo = np.unique(labels, axis=0, return_inverse=True)
        self.of_photo = self.of_photo.reshape(-1)
        self.count = len(self.values)
        if self.count > MOST_CELLS:
            raise DataError(
                f"Strangers expect at most {MOST_CELLS} combinations of labels. Received: {self.count}.",
                "Name fewer columns by --by.",
            )
        self.acquired = acquired
        photos = len(labels)
        drawn = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), size=replicates)
        self.drawn = np.concatenate((np.ones((1, photos)), drawn)).astype(np.float64)
        self.pairs = self._pairs(self.drawn * acquired)

    @property
    def names(self) -> list[str]:
        return [", ".join(value) for value in self.values]

    def sums(self, weights: FloatArray) -> FloatArray:
        """Sum weights (b, photos) by cell: (b, cells)."""
        return np.stack([weights[:, self.of_photo == cell].sum(axis=1) for cell in range(self.count)], axis=1)

    def _pairs(self, weights: FloatArray) -> FloatArray:
        """Count pairs (b, cells, cells), each in the upper triangle only; no photo with itself."""
        sums, squares = self.sums(weights), self.sums(weights**2)
        pairs = np.triu(sums[:, :, None] * sums[:, None, :], 1)
        places = np.arange(self.count)
        pairs[:, places, places] = (sums**2 - squares) / 2
        return pairs

    def errors(self, first: IntArray, second: IntArray) -> FloatArray:
        """Count false matches (b, cells, cells) in every replicate, the list itself first."""
        low, high = np.sort(self.of_photo[np.stack((first, second))], axis=0)
        place = low * self.count + high
        order = np.argsort(place, kind="stable")
        first, second, place = first[order], second[order], place[order]
        errors = np.zeros((len(self.drawn), self.count**2))
        if place.size:
            starts = np.flatnonzero(np.append(True, place[1:] != place[:-1]))
            rows = max(1, WEIGHTS_AT_ONCE // place.size)
            for start in range(0, len(self.drawn), rows):
                part = self.drawn[start : start + rows]
                both = part[:, first] * part[:, second]
                errors[start : start + rows, place[starts]] = np.add.reduceat(both, starts, axis=1)
        return errors.reshape(-1, self.count, self.count)

    def agreement(self) -> IntArray:
        """Return in how many columns each two cells agree, int (cells, cells)."""
        return np.sum(self.values[:, None, :] == self.values[None, :, :], axis=2).astype(np.int64)


def evaluate_strangers(
    first: IntArray,
    second: IntArray,
    scores: FloatArray,
    columns: Sequence[str],
    labels: np.ndarray,
    acquired: BoolArray,
    thresholds: Mapping[str, float],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Strangers:
    """Count false matches and failures by group.

    Args:
        first: int (M,), photo of each pair that scores at least the lowest threshold; others may be left out.
        second: int (M,), the other photo, first ≠ second; each pair once.
        scores: float (M,).
        columns: C names of labels; the first is the one that ``across`` is told by.
        labels: str (N, C), "" = not known.
        acquired: bool (N,), photos with a usable face.
        thresholds: name → threshold.
        replicates: how many times photos are drawn.
        seed: what the draws start from.

    Raises:
        DataError: fewer than two photos are usable, or there are too many combinations of labels.
    """
    if acquired.sum() < 2:
        raise DataError(f"Strangers expect two usable photos or more. Received: {acquired.sum()}.")
    cells = _Cells(columns, labels, acquired, replicates, seed)
    operating = []
    for name, threshold in thresholds.items():
        chosen = scores >= threshold
        operating.append(_operating(name, threshold, cells, cells.errors(first[chosen], second[chosen])))
    failed, drawn = cells.sums(cells.drawn * ~acquired), cells.sums(cells.drawn)
    by_value = {
        column: {
            value: _rate(*(part[:, cells.values[:, place] == value].sum(axis=1) for part in (failed, drawn)))
            for value in np.unique(cells.values[:, place]).tolist()
        }
        for place, column in enumerate(cells.columns)
    }
    of_cells = {name: _rate(failed[:, cell], drawn[:, cell]) for cell, name in enumerate(cells.names)}
    return Strangers(cells.columns, len(labels), by_value, of_cells, tuple(operating), replicates, seed)


def _operating(name: str, threshold: float, cells: _Cells, errors: FloatArray) -> Operating:
    def among(chosen: BoolArray) -> Rate:
        return _rate(errors[:, chosen].sum(axis=1), cells.pairs[:, chosen].sum(axis=1))

    agreement = cells.agreement()
    values = {column: np.unique(cells.values[:, place]).tolist() for place, column in enumerate(cells.columns)}
    member = {
        column: {value: cells.values[:, place] == value for value in values[column]}
        for place, column in enumerate(cells.columns)
    }
    within = {
        column: {value: among(np.outer(inside, inside)) for value, inside in of_value.items()}
        for column, of_value in member.items()
    }
    groups = member[cells.columns[0]]
    across = {
        (a, b): among(np.outer(groups[a], groups[b]) | np.outer(groups[b], groups[a]))
        for index, a in enumerate(groups)
        for b in list(groups)[index:]
    }
    everywhere = np.ones((cells.count, cells.count), bool)
    single = np.eye(cells.count, dtype=bool)
    return Operating(
        name=name,
        threshold=threshold,
        everybody=among(everywhere),
        within=within,
        across=across,
        cells={label: among(single & single[cell]) for cell, label in enumerate(cells.names)},
        alike=among(agreement == len(cells.columns)),
        unlike=among(agreement == 0),
        spread={column: _spread(list(rates.values())) for column, rates in within.items()},
    )


def _rate(errors: FloatArray, trials: FloatArray) -> Rate:
    """Return the rate of the list itself, which comes first, with the interval of the replicates behind it."""
    seen, of = round(float(errors[0])), round(float(trials[0]))
    if not of:
        return Rate(seen, of, None)
    if seen in (0, of):
        bound = no_errors_bound(of)
        none: Interval = Interval(0.0, bound, method="no errors seen")
        return Rate(seen, of, none if seen == 0 else Interval(1 - bound, 1.0, method="only errors seen"))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = errors[1:] / trials[1:]
    low, high = np.nanquantile(shares, ENDS)
    return Rate(seen, of, Interval(float(low), min(float(high), 1.0)))


def _spread(rates: list[Rate]) -> float | None:
    if any(rate.errors < FEWEST_ERRORS for rate in rates):
        return None
    shares = np.array([rate.share for rate in rates], np.float64)
    return float(shares.max() / np.exp(np.log(shares).mean()))


@dataclass(frozen=True)
class Fairness:
    """What photos of strangers say, and which of them failed.

    Attributes:
        strangers: the figures.
        failures: why a photo failed, by its path.
        weights: id of the weights.
    """

    strangers: Strangers
    failures: dict[str, str]
    weights: str


def measure_strangers(
    labels: Labels,
    root: Path,
    runtime: Runtime,
    *,
    seed: int = 0,
    choice: Choice = "centre",
    reading: Progress = iter,
    comparing: Rows = iter,
) -> Fairness:
    """Compare every two photos, none of which show one person.

    False matches are counted at the threshold, at the upper end of the band ("match"), and
    where 1 in 1,000 of all these pairs matches, if that lies above the band's lower end.

    Args:
        labels: the photos with their groups.
        root: folder that their paths start from.
        runtime: the weights, with threshold and band.
        seed: of the intervals' draws.
        choice: which of several faces is taken.
        reading: wraps the iteration over photos, a progress bar for example.
        comparing: likewise over rows of pairs.

    Raises:
        DataError: a photo is missing, fewer than two are usable, or the labels are too many.
    """
    photos = list(labels.of_photo)
    check_presence(photos, root)
    embedded, failures = embed_photos(photos, root, runtime, choice, reading)
    acquired = np.array([photo not in failures for photo in photos])
    usable = np.flatnonzero(acquired)
    low, high = runtime.info.inconclusive_band
    embeddings = np.stack([embedded[photos[row]] for row in usable]) if usable.size else np.empty((0, 4096))
    first, second, scores = _pairs_above(embeddings, runtime, low, comparing)
    thresholds = {"at the threshold": runtime.info.threshold, "read match": high}
    stated = _stated_threshold(scores, len(usable))
    if stated is not None:
        thresholds[f"where {STATED_FMR:.1%} of all pairs match"] = stated
    figures = evaluate_strangers(
        usable[first], usable[second], scores, labels.columns, labels.values(photos), acquired, thresholds, seed=seed
    )
    return Fairness(figures, failures, runtime.info.weights_id)


def _pairs_above(
    embeddings: np.ndarray, runtime: Runtime, least: float, progress: Rows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every pair that scores at least ``least``: both rows, and the score."""
    rows = range(len(embeddings))

    def above(row: int) -> tuple[np.ndarray, np.ndarray]:
        scores = runtime.scores(embeddings[row + 1 :], embeddings[row])
        found = np.flatnonzero(scores >= least)
        return found + row + 1, scores[found]

    parts = map_in_order(above, rows, allowed_cores(), progress)
    first = np.repeat(np.arange(len(parts)), [len(partners) for partners, _ in parts])
    nothing = np.empty(0, np.int64), np.empty(0)
    second, scores = (np.concatenate(side) for side in zip(nothing, *parts, strict=True))
    return first, second, scores


def _stated_threshold(scores: np.ndarray, photos: int) -> float | None:
    """Return the lowest threshold that ``STATED_FMR`` of all pairs reach, if so many pairs show it."""
    total = photos * (photos - 1) // 2
    allowed = int(STATED_FMR * total)
    if photos < FEWEST_PEOPLE or total < pairs_needed(STATED_FMR) or len(scores) <= allowed:
        return None
    return float(np.nextafter(np.partition(scores, -allowed - 1)[-allowed - 1], np.inf))
