"""Pairs of photos in, similarity scores out: what ``evaluate`` does before it counts errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaskapp import preprocess
from flaskapp.dataset.pairs import PhotoPair, photos_of
from flaskapp.errors import DataError, PhotoError
from flaskapp.preprocess import Choice
from flaskapp.runtime import Runtime

Progress = Callable[[Iterable[str]], Iterable[str]]

WORKERS = 2


@dataclass(frozen=True)
class PairScores:
    """Scores of a list of pairs.

    Attributes:
        scores: float64 (N,) in [0, 1]; NaN where a photo of the pair shows no usable face.
        failures: why each unusable photo failed, by its path in the list.
    """

    scores: np.ndarray
    failures: dict[str, str]


def score_pairs(
    pairs: list[PhotoPair], root: Path, runtime: Runtime, choice: Choice = "centre", progress: Progress = iter
) -> PairScores:
    """Score every pair; each photo is read and embedded once.

    Args:
        pairs: paths relative to ``root``.
        root: folder of the photos.
        runtime: the weights.
        choice: which of several faces is taken.
        progress: wraps the iteration over photos, a progress bar for example.

    Raises:
        DataError: a photo of the list does not exist; nothing has been scored then.
    """
    photos = photos_of(pairs)
    missing = [photo for photo in photos if not (root / photo).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(photos)} photos of the list do not exist, the first is {missing[0]}.",
            "Give the folder that the list's paths start from as --root.",
        )
    embeddings: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = pool.map(lambda photo: _embed(root / photo, runtime, choice), photos)
        for photo, result in zip(progress(photos), jobs, strict=True):
            if isinstance(result, PhotoError):
                failures[photo] = result.message
            else:
                embeddings[photo] = result
    return PairScores(np.array([_score(pair, embeddings, runtime) for pair in pairs]), failures)


def _embed(path: Path, runtime: Runtime, choice: Choice) -> np.ndarray | PhotoError:
    try:
        crop = preprocess.crop_photo(path.read_bytes(), choice=choice)
    except PhotoError as error:
        return error
    return runtime.embed(preprocess.to_model_input(crop[None]))[0]


def _score(pair: PhotoPair, embeddings: dict[str, np.ndarray], runtime: Runtime) -> float:
    if pair.reference not in embeddings or pair.probe not in embeddings:
        return float("nan")
    return runtime.similarity(embeddings[pair.reference], embeddings[pair.probe])
