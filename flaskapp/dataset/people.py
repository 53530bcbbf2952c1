"""A folder of people as a list of pairs: every genuine pair, and all or some impostor pairs."""

from __future__ import annotations

from itertools import combinations, groupby
from pathlib import Path

import numpy as np

from flaskapp.dataset.pairs import PhotoPair
from flaskapp.dataset.sets import find_photos
from flaskapp.errors import DataError

__all__ = ["pairs_of_people"]


def pairs_of_people(folder: Path, impostors: int | None = None, seed: int = 0) -> list[PhotoPair]:
    """Pair the photos of a folder that holds a folder of photos for each person.

    Args:
        folder: photos lie in ``person/…``, at whatever depth.
        impostors: how many impostor pairs, each as likely as any other; None = all.
        seed: of the draw.

    Returns:
        All genuine pairs in order of person, then the impostor pairs; paths relative to ``folder``.

    Raises:
        DataError: there are no photos, or one lies in no person's folder.
    """
    photos = sorted(path.relative_to(folder).as_posix() for path in find_photos(folder))
    stray = [photo for photo in photos if "/" not in photo]
    if stray or not photos:
        raise DataError(
            f"{folder.name} expects a folder of photos for each person. "
            f"Received: {f'{len(stray)} photos outside such folders' if stray else 'no photos'}.",
            "Move each person's photos into a folder of their own.",
        )
    photos.sort(key=_person)
    genuine = [
        PhotoPair(first, second, True, None, person, person)
        for person, group in groupby(photos, key=_person)
        for first, second in combinations(list(group), 2)
    ]
    return genuine + _impostor_pairs(photos, impostors, seed)


def _person(photo: str) -> str:
    return photo.partition("/")[0]


def _impostor_pairs(photos: list[str], count: int | None, seed: int) -> list[PhotoPair]:
    """Return impostor pairs of photos sorted by person.

    They are numbered: each photo's partners are the photos of all later people. So a draw of
    numbers is a draw of pairs, and nobody has to write down the millions that are not drawn.
    """
    people = np.array([_person(photo) for photo in photos])
    _, where, size = np.unique(people, return_inverse=True, return_counts=True)
    next_person = np.cumsum(size)[where]
    ends = np.cumsum(len(photos) - next_person)
    total = int(ends[-1])
    wanted = np.arange(total)
    if count is not None and count < total:
        wanted = np.sort(np.random.default_rng(seed).choice(total, count, replace=False))
    first = np.searchsorted(ends, wanted, side="right")
    second = len(photos) - (ends[first] - wanted)
    return [
        PhotoPair(photos[i], photos[j], False, None, _person(photos[i]), _person(photos[j]))
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
