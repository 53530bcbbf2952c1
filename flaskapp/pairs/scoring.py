"""Pairs of photos in, similarity scores out: what ``evaluate`` does before it counts errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores, photos_at_once
from flaskapp.dataset.files import check_presence, read_photo
from flaskapp.errors import PhotoError
from flaskapp.evaluation import sigmoid
from flaskapp.pairs.lists import PhotoPair, photos_of
from flaskapp.preprocess.selection import Choice
from flaskapp.runtime import Runtime

ROWS_AT_ONCE = 32  # embeddings: half a megabyte

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
    check_presence(photos, root)
    known = embed_photos(photos, root, runtime, choice, progress)
    return PairScores(np.array([_score(pair, known.embeddings, runtime) for pair in pairs]), known.failures)


@dataclass(frozen=True)
class EmbeddedPhotos:
    """Embeddings of photos.

    Attributes:
        embeddings: float32 (4096,) of each usable photo, by its path.
        failures: why each of the others failed, by its path.
    """

    embeddings: dict[str, np.ndarray]
    failures: dict[str, str]


def embed_photos(
    photos: Sequence[str], root: Path, runtime: Runtime, choice: Choice = "centre", progress: Progress = iter
) -> EmbeddedPhotos:
    """Read, detect and embed each photo; the arguments are those of ``score_pairs``."""
    with ThreadPoolExecutor(min(allowed_cores(), photos_at_once())) as pool:
        answers = pool.map(lambda photo: _embed(root / photo, runtime, choice), photos)
        try:
            answer_of = dict(zip(progress(photos), answers, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else leaving would wait for all that is queued
            raise
    return EmbeddedPhotos(
        {photo: answer for photo, answer in answer_of.items() if not isinstance(answer, PhotoError)},
        {photo: answer.message for photo, answer in answer_of.items() if isinstance(answer, PhotoError)},
    )


def _embed(path: Path, runtime: Runtime, choice: Choice) -> np.ndarray | PhotoError:
    try:
        crop = preprocess.crop_photo(read_photo(path), choice=choice)
    except PhotoError as error:
        return error
    return runtime.embed(preprocess.to_model_input(crop[None]))[0]


def _score(pair: PhotoPair, embedding_of: Mapping[str, np.ndarray], runtime: Runtime) -> float:
    reference, probe = embedding_of.get(pair.reference), embedding_of.get(pair.probe)
    if reference is None or probe is None:
        return float("nan")
    return runtime.similarity(reference, probe)


def similarities(references: np.ndarray, probe: np.ndarray, runtime: Runtime) -> np.ndarray:
    """Return the similarity scores of one probe and many references.

    In float32, and a few references at a time, so that they stay in the processor's cache:
    ``Runtime.similarity`` says the same within 1e-5, one pair at a time.

    Args:
        references: float32 (N, 4096).
        probe: float32 (4096,).
        runtime: the weights.

    Returns:
        float64 (N,) in [0, 1]; NaN where an embedding is NaN.
    """
    kernel, offset = runtime.head
    kernel = kernel.astype(np.float32)
    log_odds = np.empty(len(references))
    part = np.empty((ROWS_AT_ONCE, len(probe)), np.float32)
    for start in range(0, len(references), ROWS_AT_ONCE):
        rows = references[start : start + ROWS_AT_ONCE]
        distance = np.subtract(rows, probe, out=part[: len(rows)])
        log_odds[start : start + len(rows)] = np.abs(distance, out=distance) @ kernel
    return sigmoid(log_odds + offset)
