"""What several photos of one person are worth, for people whom nothing was fitted on: a folder for each person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.errors import DataError
from flaskapp.evaluation.intervals import REPLICATES
from flaskapp.pairs.scoring import embed_photos
from flaskapp.preprocess.files import look_through
from flaskapp.weights.runtime import Runtime
from research.distil.references import TOLD, Photos, figures_of, head_of, matrix_of

MOST = 20
"""Photos of a person who is looked for."""
Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True)
class Several:
    """Figures by number of references, as ``figures_of`` returns them.

    Attributes:
        weights: which.
        rows: by number.
        photos: how many were read.
        failures: photo → why it is not among them.
    """

    weights: str
    rows: list[dict[str, Any]]
    photos: int
    failures: dict[str, str] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {
            "weights": self.weights,
            "photos": self.photos,
            "photos_failed": len(self.failures),
            "figures": self.rows,
        }


def listed(folder: Path, seed: int) -> tuple[list[str], list[int]]:
    """Return photos and whose they are: up to 20 of people who have enough for most references, one of all others."""
    rng, photos, person = np.random.default_rng(seed), list[str](), list[int]()
    for number, place in enumerate(sorted(one for one in folder.iterdir() if one.is_dir())):
        names = [photo.relative_to(folder).as_posix() for photo in look_through(place).photos]
        drawn = [names[row] for row in rng.permutation(len(names))[: MOST if len(names) > max(TOLD) else 1]]
        photos += drawn
        person += [number] * len(drawn)
    return photos, person


def measure_several(
    folder: Path, runtime: Runtime, seed: int = 2026, replicates: int = REPLICATES, progress: Progress = iter
) -> Several:
    """Compare photos of people with 1, 2, 4 and 8 others of theirs, and strangers' with them.

    Raises:
        DataError: nobody has more than eight photos, or all are one person's.
    """
    info = runtime.info
    photos, whose = listed(folder, seed)
    embeddings, failures = embed_photos(photos, folder, runtime, progress=progress)
    person = np.array([who for photo, who in zip(photos, whose, strict=True) if photo in embeddings], int)
    if not (np.bincount(person, minlength=1) > max(TOLD)).any() or len(np.unique(person)) == 1:
        raise DataError(
            f"{folder.name} shows nobody in more than {max(TOLD)} photos, and somebody else.",
            "Give a folder with a folder for each person.",
        )
    of = Photos(np.stack([embeddings[photo] for photo in photos if photo in embeddings]), person, np.zeros_like(person))
    asked = np.flatnonzero(np.bincount(person)[person] > max(TOLD))
    matrix = matrix_of(of.embeddings, of.embeddings, of.person, of.set_index, head_of(info.details), asked)
    by_number = {str(number): told for number, told in info.by_references.items()}
    single = info.threshold, info.inconclusive_band
    rows = figures_of(matrix, info.trust, info.fusion, by_number, single, replicates)
    return Several(info.weights_id, rows, len(of.person), failures)
