"""A peer's scores of the same pairs, to be set beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flaskapp.dataset.sets import list_faces, read_sets, read_teacher
from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair, read_scores

__all__ = ["peer_scores"]


def peer_scores(path: Path, pairs: Sequence[PhotoPair]) -> np.ndarray:
    """Return a peer's score of every pair, float64 (N,), NaN = failure to acquire.

    Args:
        path: a CSV as of ``--scores-from``; or a teacher's ``.npz``, or a sets file that names
            such, whose cosines are the scores.
        pairs: N pairs.

    Raises:
        DataError: the file cannot be read, or lacks a pair or photo.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _cosines(path, *read_teacher(path), pairs)
    if kind == ".toml":
        table, root = list_faces(read_sets(path.resolve())[0]), path.resolve().parent
        # A photo outside the sets file's folder is in no pair.
        names = [photo.relative_to(root).as_posix() if photo.is_relative_to(root) else "" for photo in table.paths]
        return _cosines(path, names, table.teacher, pairs)
    return _listed(path, pairs)


def _listed(path: Path, pairs: Sequence[PhotoPair]) -> np.ndarray:
    listed, scores = read_scores(path)
    score_of = {(pair.reference, pair.probe): score for pair, score in zip(listed, scores.tolist(), strict=True)}
    score_of |= {(probe, reference): score for (reference, probe), score in score_of.items()}
    wanted = [(pair.reference, pair.probe) for pair in pairs]
    missing = [pair for pair in wanted if pair not in score_of]
    if missing:
        raise _lacks(path, f"{len(missing):,} of {len(wanted):,} pairs, the first is {' and '.join(missing[0])}")
    return np.array([score_of[pair] for pair in wanted], np.float64)


def _cosines(path: Path, names: Sequence[str], embeddings: np.ndarray, pairs: Sequence[PhotoPair]) -> np.ndarray:
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        row_of.setdefault(name, row)  # a file with several views of each photo begins with it as it is
    sides = [[pair.reference for pair in pairs], [pair.probe for pair in pairs]]
    missing = sorted({name for side in sides for name in side} - row_of.keys())
    if missing:
        raise _lacks(path, f"{len(missing):,} photos, the first is {missing[0]}")
    first, second = (embeddings[[row_of[name] for name in side]].astype(np.float64) for side in sides)
    return np.asarray(np.sum(first * second, axis=1))


def _lacks(path: Path, what: str) -> DataError:
    return DataError(f"{path.name} lacks {what}.", "Both systems must have scored the same pairs.")
