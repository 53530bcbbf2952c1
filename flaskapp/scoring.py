"""Pairs of photos in, similarity scores out: what ``evaluate`` does before it counts errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaskapp import preprocess
from flaskapp.dataset.files import read_photo
from flaskapp.dataset.pairs import PhotoPair, photos_of
from flaskapp.errors import DataError, PhotoError
from flaskapp.preprocess.selection import Choice
from flaskapp.runtime import Runtime

Progress = Callable[[Iterable[str]], Iterable[str]]


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
    _check_presence(photos, root)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda photo: _embed(root / photo, runtime, choice), photos)
        try:
            answer_of = dict(zip(progress(photos), answers, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else leaving would wait for all that is queued
            raise
    failures = {photo: answer.message for photo, answer in answer_of.items() if isinstance(answer, PhotoError)}
    return PairScores(np.array([_score(pair, answer_of, runtime) for pair in pairs]), failures)


def _check_presence(photos: list[str], root: Path) -> None:
    missing = [photo for photo in photos if not (root / photo).is_file()]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(photos):,} photos of the list do not exist, the first is {missing[0]}.",
            "Give the folder that the list's paths start from.",
        )


def _embed(path: Path, runtime: Runtime, choice: Choice) -> np.ndarray | PhotoError:
    try:
        crop = preprocess.crop_photo(read_photo(path), choice=choice)
    except PhotoError as error:
        return error
    return runtime.embed(preprocess.to_model_input(crop[None]))[0]


def _score(pair: PhotoPair, answer_of: Mapping[str, np.ndarray | PhotoError], runtime: Runtime) -> float:
    reference, probe = answer_of[pair.reference], answer_of[pair.probe]
    if isinstance(reference, PhotoError) or isinstance(probe, PhotoError):
        return float("nan")
    return runtime.similarity(reference, probe)
