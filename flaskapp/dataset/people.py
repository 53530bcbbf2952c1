"""People as a list of pairs: every genuine pair, and all or some impostor pairs."""

from __future__ import annotations

from itertools import combinations, groupby
from pathlib import Path

import numpy as np

from flaskapp.dataset.pairs import PhotoPair
from flaskapp.dataset.sets import UNKNOWN_PERSON, FaceTable, find_photos
from flaskapp.errors import DataError

__all__ = ["pairs_of_people", "pairs_of_role"]


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
    return _pairs({photo: photo.partition("/")[0] for photo in photos}, impostors, seed)


def pairs_of_role(
    table: FaceTable, role: int, root: Path, impostors: int | None = None, seed: int = 0
) -> list[PhotoPair]:
    """Pair the photos of the people who have one role, within each set that may measure.

    The sets hold some photos twice, in different sizes: across sets a genuine pair may be one
    photo.

    Args:
        table: as of ``load_faces``.
        role: REPORTING, for example.
        root: folder that the pairs' paths shall start from.
        impostors: how many impostor pairs of each set; None = all.
        seed: of the draw.

    Raises:
        DataError: nobody has that role, or a photo lies outside the root.
    """
    pairs: list[PhotoPair] = []
    for index in range(len(table.set_names)):
        chosen = (table.set_index == index) & (table.role == role) & (table.person != UNKNOWN_PERSON)
        if table.set_measures and not table.set_measures[index]:
            continue
        rows = np.flatnonzero(chosen).tolist()
        photos = {_below(table.paths[row], root): str(table.person[row]) for row in rows}
        pairs += _pairs(photos, impostors, seed) if photos else []
    if not pairs:
        raise DataError("No known people of the sets that may measure have this role.", "Name another by --role.")
    return pairs


def _below(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        raise DataError(f"{path.name} lies outside {root.name}.", "Put the sets file above its photos.") from None


def _pairs(person_of: dict[str, str], impostors: int | None, seed: int) -> list[PhotoPair]:
    """Return all genuine pairs in order of person, then all or some impostor pairs."""
    photos = sorted(person_of, key=lambda photo: (person_of[photo], photo))
    genuine = [
        PhotoPair(first, second, True, None, person, person)
        for person, group in groupby(photos, key=person_of.__getitem__)
        for first, second in combinations(list(group), 2)
    ]
    return genuine + _impostor_pairs(photos, person_of, impostors, seed)


def _impostor_pairs(photos: list[str], person_of: dict[str, str], count: int | None, seed: int) -> list[PhotoPair]:
    """Return impostor pairs of photos sorted by person.

    They are numbered: each photo's partners are the photos of all later people. So a draw of
    numbers is a draw of pairs, and nobody has to write down the millions that are not drawn.
    """
    people = np.array([person_of[photo] for photo in photos])
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
        PhotoPair(photos[i], photos[j], False, None, person_of[photos[i]], person_of[photos[j]])
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
