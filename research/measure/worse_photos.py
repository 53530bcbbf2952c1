"""How error rates grow as photos get worse, step by step.

One list of genuine pairs goes through all steps, so that steps compare. Only the probe is
changed: the reference is the photo that somebody took care with. Each changed probe is also
compared with the references of all other people: worse photos must not look alike either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores, photos_at_once
from flaskapp.detection import Face
from flaskapp.errors import DataError, PhotoError
from flaskapp.evaluation import Evaluation, Sources, evaluate
from flaskapp.pairs.lists import PhotoPair, sources_of
from flaskapp.parallel import map_in_order
from flaskapp.preprocess import Photo
from flaskapp.preprocess.files import check_presence, read_photo
from flaskapp.preprocess.selection import Choice
from flaskapp.quality import estimated_yaw
from flaskapp.weights.runtime import Runtime
from flaskapp.weights.shape import EMBEDDING_SIZE
from research.measure.degrading import KINDS
from research.measure.similarities import similarities

YAW_BINS = ((0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 90))
REPLICATES = 500

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Step:
    """One step of one way of getting worse.

    Attributes:
        kind: "blur", "yaw" and so on.
        value: what the plot's axis shows.
        label: the step in words.
        result: the figures; a failure to acquire counts as non-match.
    """

    kind: str
    value: float
    label: str
    result: Evaluation

    def to_json(self) -> dict[str, Any]:
        """Return what there is to say about this step; rates stand beside their counts."""
        full = self.result.to_json()
        kept = ("genuine", "impostor", "failures", "fnmr", "fmr", "false_matches", "false_non_matches", "decisions")
        intervals = {name: full["intervals"][name] for name in ("fnmr", "fmr") if name in full["intervals"]}
        return {"value": self.value, "step": self.label, **{key: full[key] for key in kept}, "intervals": intervals}


@dataclass(frozen=True)
class Robustness:
    """All steps of all ways of getting worse.

    Attributes:
        unchanged: the figures of the photos as they are.
        steps: every step, kind by kind.
        labels: kind → what its numbers mean.
        without_yaw: genuine pairs of which a photo shows no usable face, so that nobody knows its yaw.
    """

    unchanged: Evaluation
    steps: tuple[Step, ...]
    labels: dict[str, str]
    without_yaw: int

    def of(self, kind: str) -> list[Step]:
        """Return the steps of one kind."""
        return [step for step in self.steps if step.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """Return all steps in JSON's types."""
        return {
            "weights": self.unchanged.weights,
            "threshold": self.unchanged.threshold,
            "inconclusive_band": list(self.unchanged.band),
            "interval_method": asdict(self.unchanged.population) if self.unchanged.population else None,
            "unchanged": Step("", 0, "unchanged", self.unchanged).to_json(),
            "degraded": {
                kind: {"label": label, "steps": [step.to_json() for step in self.of(kind)]}
                for kind, label in self.labels.items()
            },
            "genuine_pairs_without_yaw": self.without_yaw,
        }


def measure_robustness(
    pairs: Sequence[PhotoPair],
    root: Path,
    runtime: Runtime,
    most: int,
    *,
    seed: int = 0,
    choice: Choice = "centre",
    progress: Progress = iter,
) -> Robustness:
    """Measure genuine pairs whose probe gets worse.

    Args:
        pairs: impostor pairs are passed over.
        root: folder that the paths start from.
        runtime: the weights, with threshold and band.
        most: at most so many genuine pairs, drawn by chance.
        seed: of that draw, of noise, and of what is covered.
        choice: which of several faces is taken.
        progress: wraps the iteration over pairs, a progress bar for example.

    Raises:
        DataError: there is no genuine pair, or a photo is missing.
    """
    known = sources_of(pairs)
    genuine = np.flatnonzero([pair.same for pair in pairs])
    if not genuine.size:
        raise DataError("Robustness expects genuine pairs. Received: none.", "Give pairs of photos of one person.")
    rows = np.sort(np.random.default_rng(seed).permutation(genuine)[:most])
    chosen = [pairs[row] for row in rows]
    check_presence([photo for pair in chosen for photo in (pair.reference, pair.probe)], root)
    trials = _Trials(chosen, root, runtime, choice, seed)
    threads = min(allowed_cores(), photos_at_once())
    scores = np.stack(map_in_order(trials.compare, range(len(chosen)), threads, progress), axis=1)
    return _told(scores, known.taken(rows), trials, seed)


@dataclass(frozen=True)
class _Seen:
    """A photo and the face in it that is meant, in the photo's own pixels."""

    photo: Photo
    face: Face


def _seen(photo: Photo, choice: Choice) -> _Seen | None:
    """Return what is seen of a photo; None without a usable face."""
    try:
        face = preprocess.select_face(preprocess.find_faces(photo), choice=choice)
    except PhotoError:
        return None
    return _Seen(photo, face)


def _read(path: Path, choice: Choice) -> _Seen | None:
    try:
        # What a large photo is decoded to counts as the photo: all its pixels would change nothing but the time.
        return _seen(_photo(preprocess.decode_photo(read_photo(path)).pixels), choice)
    except PhotoError:
        return None


def _photo(pixels: np.ndarray) -> Photo:
    return Photo(pixels, (pixels.shape[1], pixels.shape[0]))


class _Trials:
    """Genuine pairs, whose probes are compared with all references after each change."""

    def __init__(self, pairs: Sequence[PhotoPair], root: Path, runtime: Runtime, choice: Choice, seed: int) -> None:
        self.pairs, self.root, self.runtime, self.choice, self.seed = pairs, root, runtime, choice, seed
        seen = {photo: _read(root / photo, choice) for photo in dict.fromkeys(pair.reference for pair in pairs)}
        embeddings = {photo: self._embed(found) for photo, found in seen.items()}
        self.references = np.stack([embeddings[pair.reference] for pair in pairs])
        self.reference_yaw = np.array([_yaw(seen[pair.reference]) for pair in pairs])
        self.probe_yaw = np.full(len(pairs), np.nan)

    def compare(self, index: int) -> np.ndarray:
        """Return float32 (1 + steps, N): one probe, unchanged and at every step, against all references."""
        probe = _read(self.root / self.pairs[index].probe, self.choice)
        self.probe_yaw[index] = _yaw(probe)
        rows = [self._scores(probe)]
        for number, kind in enumerate(KINDS):
            for step, value in enumerate(kind.values):
                generator = np.random.default_rng([self.seed, index, number, step])
                changed = probe and _seen(
                    _photo(kind.change(probe.photo.pixels, value, probe.face, generator)), self.choice
                )
                rows.append(self._scores(changed))
        return np.stack(rows)

    def _scores(self, probe: _Seen | None) -> np.ndarray:
        return similarities(self.references, self._embed(probe), self.runtime).astype(np.float32)

    def _embed(self, seen: _Seen | None) -> np.ndarray:
        if seen is None:
            return np.full(EMBEDDING_SIZE, np.nan, np.float32)
        crop = preprocess.crop_face(seen.photo, seen.face.landmarks)
        return self.runtime.embed(preprocess.to_model_input(crop[None]))[0]


def _once(pairs: Sequence[PhotoPair]) -> np.ndarray:
    """Return bool (probes, references): the first place of every two photos, as pairs may share a photo."""
    references, probes = (
        np.unique(side, return_inverse=True)[1]
        for side in ([pair.reference for pair in pairs], [pair.probe for pair in pairs])
    )
    both = probes[:, None] * len(pairs) + references
    once = np.zeros(both.size, bool)
    once[np.unique(both.reshape(-1), return_index=True)[1]] = True
    return once.reshape(both.shape)


def _yaw(seen: _Seen | None) -> float:
    return float("nan") if seen is None else abs(estimated_yaw(seen.face))


def _told(scores: np.ndarray, known: Sources, trials: _Trials, seed: int) -> Robustness:
    """Return the figures of scores (1 + steps, probes, references), ``known`` being who the pairs show."""
    count = scores.shape[1]
    same = np.eye(count, dtype=bool)
    # Where nobody knows who is who, a reference of another pair may still show the same person.
    strangers = (known.probe[:, None] != known.reference) & (known.unit == "person")
    wanted = same | (strangers & _once(trials.pairs))
    _, who = np.unique(np.concatenate((known.reference, known.probe)), return_inverse=True)
    references, probes = who[:count], who[count:]
    sources = Sources(known.unit, np.tile(references, count), np.repeat(probes, count), int(who.max()) + 1)

    def figures(values: np.ndarray, chosen: np.ndarray = wanted) -> Evaluation:
        rows = np.flatnonzero(chosen)
        info = trials.runtime.info
        return evaluate(
            values.reshape(-1)[rows].astype(np.float64),
            same.reshape(-1)[rows],
            threshold=info.threshold,
            band=info.inconclusive_band,
            sources=sources.taken(rows),
            weights=info.weights_id,
            replicates=REPLICATES,
            seed=seed,
        )

    numbered = [(kind, value) for kind in KINDS for value in kind.values]
    steps = [
        Step(kind.name, value, kind.shown(value), figures(part))
        for (kind, value), part in zip(numbered, scores[1:], strict=True)
    ]
    yaw = np.maximum(trials.probe_yaw[:, None], trials.reference_yaw)
    for low, high in YAW_BINS:
        inside = wanted & (yaw >= low) & ((yaw < high) | (high == YAW_BINS[-1][1]))
        if inside.any():
            steps.append(Step("yaw", (low + high) / 2, f"{low} to {high}°", figures(scores[0], inside)))
    labels = {kind.name: kind.label for kind in KINDS} | {"yaw": "yaw of the photo turned further aside, estimated"}
    return Robustness(figures(scores[0]), tuple(steps), labels, int(np.isnan(np.diag(yaw)).sum()))
