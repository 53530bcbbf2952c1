"""Pairs of photos in, similarity scores out: what ``evaluate`` does before it counts errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores, photos_at_once
from flaskapp.errors import DataError, PhotoError
from flaskapp.pairs.lists import SAVE, UNDECODED, PhotoPair, photos_of
from flaskapp.parallel import map_in_order
from flaskapp.preprocess.files import check_presence, read_photo
from flaskapp.preprocess.selection import Choice
from flaskapp.weights.runtime import Runtime, certainties

Progress = Callable[[Iterable[str]], Iterable[str]]


class ScoredPairs(NamedTuple):
    """What was found of N pairs; NaN where a photo shows no usable face."""

    scores: np.ndarray  # float64 (N,) in [0, 1]
    certainties: np.ndarray  # float64 (N, 2) in [0, 1], of reference and probe
    failures: dict[str, str]  # why each unusable photo failed, by its path in the list


def score_pairs(
    pairs: list[PhotoPair], root: Path, runtime: Runtime, choice: Choice = "centre", progress: Progress = iter
) -> ScoredPairs:
    """Score every pair, its paths relative to ``root``; each photo is read and embedded once.

    ``choice`` says which of several faces is taken; ``progress`` wraps the iteration over photos.

    Raises:
        DataError: a photo of the list does not exist; nothing has been scored then.
    """
    photos = photos_of(pairs)
    try:
        check_presence(photos, root)
    except DataError as error:
        raise DataError(error.message, SAVE if re.search(UNDECODED, "".join(photos)) else error.hint) from None
    embeddings, failures = embed_photos(photos, root, runtime, choice, progress)

    def score(pair: PhotoPair) -> float:
        reference, probe = embeddings.get(pair.reference), embeddings.get(pair.probe)
        return np.nan if reference is None or probe is None else runtime.similarity(reference, probe)

    sure = {photo: float(certainties(embedding[None])[0]) for photo, embedding in embeddings.items()}
    both = [[sure.get(photo, np.nan) for photo in (pair.reference, pair.probe)] for pair in pairs]
    return ScoredPairs(np.array(list(map(score, pairs))), np.array(both), failures)


def embed_photos(
    photos: Sequence[str], root: Path, runtime: Runtime, choice: Choice = "centre", progress: Progress = iter
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read, detect and embed each photo; the arguments are those of ``score_pairs``.

    Returns:
        By its path, the embedding float32 (4096,) of each usable photo, and why each other one failed.
    """

    def embed(photo: str) -> np.ndarray | str:
        """Return the embedding, or why there is none."""
        try:
            crop = preprocess.crop_photo(read_photo(root / photo), choice=choice)
        except PhotoError as error:
            return error.message
        return runtime.embed(preprocess.to_model_input(crop[None]))[0]

    answers = map_in_order(embed, photos, min(allowed_cores(), photos_at_once()), progress)
    answer_of = dict(zip(photos, answers, strict=True))
    failures = {photo: answer for photo, answer in answer_of.items() if isinstance(answer, str)}
    return {photo: answer for photo, answer in answer_of.items() if not isinstance(answer, str)}, failures
