"""What verdicts say when photos are poor: the probe, the reference, or both, alike or differently.

Photos are made worse before any face is looked for, each once for every kind and strength; pairs
are formed among the embeddings. So all kinds and strengths measure the same pairs.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores, photos_at_once
from flaskapp.detection import Face
from flaskapp.errors import DataError, PhotoError
from flaskapp.evaluation import Interval, Sources, decide_all, no_errors_bound
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.evaluation.intervals import ENDS, resampled_weights
from flaskapp.pairs.lists import PhotoPair, sources_of
from flaskapp.parallel import map_in_order
from flaskapp.preprocess.files import check_presence, read_photo
from flaskapp.preprocess.selection import Choice
from flaskapp.quality import estimated_yaw
from flaskapp.weights.info import WeightsInfo
from flaskapp.weights.runtime import Runtime
from flaskapp.weights.shape import EMBEDDING_SIZE
from research.measure.degrading import KINDS

WAYS = ("probe", "reference", "alike", "differently")
FAILED = "failed"
VERDICTS = (*reversed(DECISIONS), FAILED)
ERRORS = {"impostor": "match", "genuine": "non_match"}
"""The verdict that is wrong for each kind of pairs."""

LABELS = {kind.name: kind.label for kind in KINDS} | {"yaw": "degrees, the photo turned further"}
YAW_BINS = ((0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 90))
REPLICATES = 500
PAIRS_AT_ONCE = 4096
GENUINE_AT_ONCE = 3
"""So many genuine pairs of a person, of four photos, are taken before the next person's turn."""

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Shares:
    """Verdicts on pairs of one kind.

    Attributes:
        counts: verdict, or "failed" where a photo shows no usable face → pairs.
        intervals: the same → 95 % interval of its share of all pairs; none where all draws agree.
    """

    counts: Mapping[str, int]
    intervals: Mapping[str, Interval]

    @property
    def pairs(self) -> int:
        """All pairs."""
        return sum(self.counts.values())

    def share(self, name: str) -> float | None:
        """Return the part of all pairs that got a verdict."""
        return self.counts[name] / self.pairs if self.pairs else None

    def to_json(self) -> dict[str, Any]:
        """Return each count, its share of all pairs, and the ends of the share's interval."""
        told: dict[str, Any] = {"pairs": self.pairs}
        for name, count in self.counts.items():
            interval = self.intervals.get(name)
            ends = {"low": interval.low, "high": interval.high} if interval else {}
            figures = {"count": count, "share": self.share(name), **ends}
            told[name] = {key: figure and round(figure, 5) for key, figure in figures.items()}
        return told

    def in_brief(self, error: str) -> dict[str, Any]:
        """Return the counts, and of one verdict's share the ends of its interval: there are hundreds of them."""
        interval = self.intervals.get(error)
        ends = {"low": round(interval.low, 5), "high": round(interval.high, 5)} if interval else {}
        return {"pairs": self.pairs, **self.counts, **ends}


Cell = Mapping[str, Shares]
"""Verdicts on "impostor" and on "genuine" pairs."""


@dataclass(frozen=True)
class Step:
    """One strength of one kind.

    Attributes:
        kind: "blur", "yaw" and so on.
        value: the strength; label: in words.
        ways: which photos were poor → verdicts.
        failed: photos in which no usable face is found any more.
    """

    kind: str
    value: float
    label: str
    ways: Mapping[str, Cell]
    failed: int

    def worst(self, of: str) -> tuple[str, Shares]:
        """Return the way with the most errors on pairs of one kind, the first of equals."""
        return max(
            ((way, cell[of]) for way, cell in self.ways.items()), key=lambda each: each[1].share(ERRORS[of]) or 0
        )

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        ways = {
            way: {of: shares.in_brief(ERRORS[of]) for of, shares in cell.items()} for way, cell in self.ways.items()
        }
        return {"value": self.value, "step": self.label, "photos_failed": self.failed, "ways": ways}


@dataclass(frozen=True)
class WorsePhotos:
    """All kinds and strengths.

    Attributes:
        trials: photos and pairs.
        info: the weights, with the band that decided.
        unchanged: the photos as they are.
        kinds: kind → its steps; yaw, which nothing is changed for, is the last one.
        without_yaw: genuine pairs of which a photo shows no usable face, so that nobody knows its yaw.
        seed: of all that was drawn.
    """

    trials: Trials
    info: WeightsInfo
    unchanged: Step
    kinds: Mapping[str, Sequence[Step]]
    without_yaw: int
    seed: int

    def worst(self, of: str) -> Step:
        """Return the step with the most errors on pairs of one kind, the first of equals."""
        steps = (step for kind in KINDS for step in self.kinds[kind.name])
        return max(steps, key=lambda step: step.worst(of)[1].share(ERRORS[of]) or 0)

    def to_json(self) -> dict[str, Any]:
        """Return everything in JSON's types."""
        sources, worst = self.trials.sources, {}
        for of, error in ERRORS.items():
            step = self.worst(of)
            way, shares = step.worst(of)
            named = {"kind": step.kind, "step": step.label, "way": way, "pairs": shares.pairs}
            worst[f"{of}_{error}"] = named | shares.to_json()[error]
        return {
            "weights": self.info.weights_id,
            "inconclusive_band": list(self.info.inconclusive_band),
            "photos": len(self.trials.photos),
            "interval_method": {
                "drawn": sources.unit, "count": sources.count, "replicates": REPLICATES, "seed": self.seed
            },
            "worst": worst,
            "unchanged": self.unchanged.to_json(),
            "kinds": {
                kind: {"label": LABELS[kind], "steps": [step.to_json() for step in steps]}
                for kind, steps in self.kinds.items()
            },
            "genuine_pairs_without_yaw": self.without_yaw,
        }  # fmt: skip


@dataclass(frozen=True)
class Trials:
    """Photos, and the pairs formed among them.

    Attributes:
        photos: N paths.
        first: int (M,), row of each pair's reference; second: of its probe.
        same: bool (M,), genuine pairs.
        sources: whom the pairs show.
    """

    photos: list[str]
    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    sources: Sources


def draw_trials(pairs: Sequence[PhotoPair], most: int, strangers: int, seed: int = 0) -> Trials:
    """Draw photos person by person, and pair them.

    Every person drawn first gives the photos of three genuine pairs, four as people's pairs are listed;
    then further ones. Genuine pairs are those of the list. Where the people are known, any two
    photos of two people are strangers, else only the impostor pairs of the list are.

    Args:
        pairs: genuine and impostor pairs.
        most: at most so many photos.
        strangers: at most so many pairs of strangers.
        seed: of the draws.

    Raises:
        DataError: there is no genuine pair.
    """
    genuine = np.flatnonzero([pair.same for pair in pairs])
    if not genuine.size:
        raise DataError("Worse photos expect genuine pairs. Received: none.", "Give pairs of photos of one person.")
    rng, known = np.random.default_rng(seed), sources_of(pairs)
    person = known.reference[genuine]
    turns: dict[int, Iterator[int]] = defaultdict(itertools.count)
    turn = np.array([next(turns[number]) for number in person.tolist()])
    row_of: dict[str, int] = {}
    for row in genuine[np.lexsort((turn, rng.permutation(known.count)[person], turn // GENUINE_AT_ONCE))]:
        both = pairs[row].reference, pairs[row].probe
        if len(row_of) + len(set(both) - row_of.keys()) <= most:
            for photo in both:
                row_of.setdefault(photo, len(row_of))
    rows = [row for row, pair in enumerate(pairs) if pair.reference in row_of and pair.probe in row_of]
    same = np.array([pairs[row].same for row in rows])
    ends = np.array([[row_of[pairs[row].reference], row_of[pairs[row].probe]] for row in rows]).reshape(-1, 2).T
    who = np.arange(len(row_of))
    others = ends[:, ~same]
    if known.unit == "person":
        who[ends] = np.unique([known.reference[rows], known.probe[rows]], return_inverse=True)[1].reshape(2, -1)
        others = np.stack(np.triu_indices(len(who), 1))
        others = others[:, who[others[0]] != who[others[1]]]
    chosen = np.sort(rng.permutation(others.shape[1])[:strangers])
    first, second = np.concatenate((ends[:, same], others[:, chosen]), axis=1)
    sources = Sources(known.unit, who[first], who[second], int(who.max()) + 1)
    return Trials(list(row_of), first, second, np.arange(len(first)) < same.sum(), sources)


def measure_worse_photos(
    trials: Trials, root: Path, runtime: Runtime, *, seed: int = 0, choice: Choice = "centre", progress: Progress = iter
) -> WorsePhotos:
    """Measure the pairs as they are, and with one photo or both made worse.

    Memory holds the embeddings of one strength in all kinds: a quarter of a megabyte a photo.

    Args:
        trials: photos and pairs.
        root: folder that the photos' paths start from.
        runtime: the weights, with their band.
        seed: of noise, of what is drawn, of the kinds that go together, and of the intervals.
        choice: which of several faces is taken.
        progress: wraps the iteration over photos, once as they are and once for every strength.

    Raises:
        DataError: a photo is missing.
    """
    check_presence(trials.photos, root)
    photos = SpoiledPhotos([root / name for name in trials.photos], runtime, choice, seed)
    count = VerdictCounter(trials, runtime, seed)
    threads, rows = min(allowed_cores(), photos_at_once()), range(len(trials.photos))
    map_in_order(photos.embed_clean, rows, threads, progress)
    clean, yaw = photos.clean, photos.yaw()
    unchanged = Step("", 0, "as they are", {"unchanged": count(clean, clean)}, _failed(clean))
    kinds: dict[str, list[Step]] = {kind.name: [] for kind in KINDS}
    for index in range(len(KINDS[0].values)):
        map_in_order(functools.partial(photos.embed_poor, index), rows, threads, progress)
        for number, kind in enumerate(KINDS):
            poor = photos.poor[number]
            offset = np.random.default_rng([seed, index, number]).integers(1, len(KINDS), len(rows))
            another = photos.poor[(number + offset) % len(KINDS), rows]
            of_ways = (clean, poor), (poor, clean), (poor, poor), (another, poor)
            ways = {way: count(*both) for way, both in zip(WAYS, of_ways, strict=True)}
            kinds[kind.name].append(Step(kind.name, kind.values[index], kind.shown(index), ways, _failed(poor)))
    aside = np.maximum(yaw[trials.first], yaw[trials.second])
    kinds["yaw"] = [
        Step("yaw", (low + high) / 2, f"{low} to {high}°", {"unchanged": count(clean, clean, inside)}, 0)
        for low, high in YAW_BINS
        if (inside := (aside >= low) & ((aside < high) | (high == YAW_BINS[-1][1]))).any()
    ]
    return WorsePhotos(trials, runtime.info, unchanged, kinds, int(np.isnan(aside[trials.same]).sum()), seed)


def _failed(embeddings: np.ndarray) -> int:
    return int(np.isnan(embeddings[:, 0]).sum())


class SpoiledPhotos:
    """Photos, and their embeddings float32 (N, 4096) as they are and (kinds, N, 4096) at one strength; NaN = none."""

    def __init__(self, paths: Sequence[Path], runtime: Runtime, choice: Choice, seed: int) -> None:
        self._paths, self._runtime, self._choice, self._seed = paths, runtime, choice, seed
        self._faces: list[Face | None] = [None] * len(paths)
        self.clean = np.full((len(paths), EMBEDDING_SIZE), np.nan, np.float32)
        self.poor = np.empty((len(KINDS), *self.clean.shape), np.float32)

    def yaw(self) -> np.ndarray:
        """Return how far each face is turned aside, float (N,) in degrees; NaN without a face."""
        return np.array([np.nan if face is None else abs(estimated_yaw(face)) for face in self._faces])

    def embed_clean(self, row: int) -> None:
        """Look at one photo as it is."""
        with suppress(PhotoError):
            self._faces[row], self.clean[row] = self._seen(self._pixels(row))

    def embed_poor(self, step: int, row: int) -> None:
        """Look at one photo in every kind at one strength."""
        self.poor[:, row] = np.nan
        face = self._faces[row]
        if face is None:
            return
        pixels = self._pixels(row)
        for number, kind in enumerate(KINDS):
            drawn = np.random.default_rng([self._seed, number, *(() if kind.shared else (step, row))])
            with suppress(PhotoError):
                _, self.poor[number, row] = self._seen(kind.change(pixels, kind.values[step], face, drawn))

    def _pixels(self, row: int) -> np.ndarray:
        # What a large photo is decoded to counts as the photo: all its pixels would change nothing but the time.
        return preprocess.decode_photo(read_photo(self._paths[row])).pixels

    def _seen(self, pixels: np.ndarray) -> tuple[Face, np.ndarray]:
        photo = preprocess.Photo(pixels, (pixels.shape[1], pixels.shape[0]))
        face = preprocess.select_face(preprocess.find_faces(photo), choice=self._choice)
        crop = preprocess.crop_face(photo, face.landmarks)
        return face, self._runtime.embed(preprocess.to_model_input(crop[None]))[0]


class VerdictCounter:
    """Counts verdicts on the pairs, and draws their people again for the intervals."""

    def __init__(self, trials: Trials, runtime: Runtime, seed: int) -> None:
        self._trials, self._runtime = trials, runtime
        people = trials.sources
        # Pairs of the same two people always count equally often.
        ends = np.sort(np.stack((people.reference, people.probe)), axis=0)
        (one, other), self._of_pair = np.unique(ends, axis=1, return_inverse=True)
        drawn = resampled_weights(Sources(people.unit, one, other, people.count), REPLICATES, seed)
        self._weights = np.concatenate(list(drawn))

    def __call__(self, references: np.ndarray, probes: np.ndarray, chosen: np.ndarray | None = None) -> Cell:
        """Count the verdicts on the pairs, or on chosen ones, of embeddings float32 (N, 4096)."""
        same, verdicts = self._trials.same, self.verdicts(references, probes)
        wanted = np.ones(len(same), bool) if chosen is None else chosen
        return {"impostor": self.shares(verdicts, ~same & wanted), "genuine": self.shares(verdicts, same & wanted)}

    def verdicts(self, references: np.ndarray, probes: np.ndarray) -> np.ndarray:
        """Return each pair's verdict, or that it failed, str (M,), of embeddings float32 (N, 4096)."""
        trials, runtime = self._trials, self._runtime
        # A part at a time: each pair's two embeddings are 32 kilobytes.
        parts = (slice(start, start + PAIRS_AT_ONCE) for start in range(0, len(trials.same), PAIRS_AT_ONCE))
        scores = np.concatenate(
            [runtime.scores(references[trials.first[part]], probes[trials.second[part]]) for part in parts]
        )
        return np.where(np.isnan(scores), FAILED, decide_all(scores, runtime.info.inconclusive_band))

    def shares(self, verdicts: np.ndarray, chosen: np.ndarray) -> Shares:
        """Count verdicts, str (M,), on chosen pairs, bool (M,)."""
        verdicts, of_pair = verdicts[chosen], self._of_pair.reshape(-1)[chosen]
        bound = no_errors_bound(max(len(np.unique(of_pair)), 1))
        pairs = self._drawn(of_pair)
        counts, intervals = {}, {}
        for name in VERDICTS:
            those = of_pair[verdicts == name]
            counts[name] = len(those)
            if len(those) == len(of_pair) > 0:
                intervals[name] = Interval(1 - bound, 1.0)
            elif len(of_pair) and not len(those):
                intervals[name] = Interval(0.0, bound)
            elif len(of_pair):
                low, high = np.quantile(self._drawn(those)[pairs > 0] / pairs[pairs > 0], ENDS)
                if low < high:  # of too few people all draws say the same
                    intervals[name] = Interval(float(low), float(high))
        return Shares(counts, intervals)

    def _drawn(self, of_pair: np.ndarray) -> np.ndarray:
        return self._weights @ np.bincount(of_pair, minlength=self._weights.shape[1])
