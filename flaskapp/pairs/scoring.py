"""Pairs of photos in, similarity scores out: what ``evaluate`` does before it counts errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores, photos_at_once
from flaskapp.errors import PhotoError
from flaskapp.pairs.lists import PhotoPair, photos_of
from flaskapp.parallel import map_in_order
from flaskapp.preprocess.files import check_presence, read_photo
from flaskapp.preprocess.selection import Choice
from flaskapp.weights.runtime import Runtime

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
    threads = min(allowed_cores(), photos_at_once())
    answers = map_in_order(lambda photo: _embed(root / photo, runtime, choice), photos, threads, progress)
    answer_of = dict(zip(photos, answers, strict=True))
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
