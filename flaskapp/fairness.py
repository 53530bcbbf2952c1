"""Photos of strangers in, false matches and failures to acquire by group out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaskapp.allowance import allowed_cores
from flaskapp.dataset.files import check_presence
from flaskapp.evaluation import Strangers, evaluate_strangers, pairs_needed
from flaskapp.evaluation.curves import FEWEST_PEOPLE
from flaskapp.pairs.labels import Labels
from flaskapp.pairs.scoring import Progress, embed_photos, similarities
from flaskapp.preprocess.selection import Choice
from flaskapp.runtime import Runtime

__all__ = ["Fairness", "measure_strangers"]

STATED_FMR = 0.001

Rows = Callable[[Iterable[int]], Iterable[int]]


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
    answers = embed_photos(photos, root, runtime, choice, reading)
    acquired = np.array([photo not in answers.failures for photo in photos])
    usable = np.flatnonzero(acquired)
    low, high = runtime.info.inconclusive_band
    embeddings = np.stack([answers.embeddings[photos[row]] for row in usable]) if usable.size else np.empty((0, 4096))
    first, second, scores = _pairs_above(embeddings, runtime, low, comparing)
    thresholds = {"at the threshold": runtime.info.threshold, "read match": high}
    stated = _stated_threshold(scores, len(usable))
    if stated is not None:
        thresholds[f"where {STATED_FMR:.1%} of all pairs match"] = stated
    figures = evaluate_strangers(
        usable[first], usable[second], scores, labels.columns, labels.values(photos), acquired, thresholds, seed=seed
    )
    return Fairness(figures, answers.failures, runtime.info.weights_id)


def _pairs_above(
    embeddings: np.ndarray, runtime: Runtime, least: float, progress: Rows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every pair that scores at least ``least``: both rows, and the score."""
    rows = range(len(embeddings))

    def above(row: int) -> tuple[np.ndarray, np.ndarray]:
        scores = similarities(embeddings[row + 1 :], embeddings[row], runtime)
        found = np.flatnonzero(scores >= least)
        return found + row + 1, scores[found]

    with ThreadPoolExecutor(allowed_cores()) as pool:
        found = pool.map(above, rows)
        try:
            parts: Sequence[tuple[np.ndarray, np.ndarray]] = [
                part for _, part in zip(progress(rows), found, strict=True)
            ]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else leaving would wait for all that is queued
            raise
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
