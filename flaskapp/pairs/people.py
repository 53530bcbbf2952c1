"""People as a list of pairs: every genuine pair, and all or some impostor pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, groupby
from pathlib import Path

import numpy as np

from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair
from flaskapp.preprocess.files import look_through

Tell = Callable[[Mapping[str, str]], None]


def pairs_of_people(
    folder: Path, impostors: int | None = None, seed: int = 0, tell: Tell | None = None
) -> list[PhotoPair]:
    """Pair the photos of a folder that holds a folder of photos for each person.

    Args:
        folder: photos lie in ``person/…``, at whatever depth.
        impostors: how many impostor pairs, each as likely as any other; None = all.
        seed: of the draw.
        tell: is told what lies there and is no photo, path → why.

    Returns:
        All genuine pairs in order of person, then the impostor pairs; paths relative to ``folder``.

    Raises:
        DataError: there are no photos, or one lies in no person's folder.
    """
    content = look_through(folder)
    if tell:
        tell(content.passed_over)
    photos = sorted(content.names)
    stray = [photo for photo in photos if "/" not in photo]
    if stray or not photos:
        received = f"{len(stray)} photos outside such folders, {stray[0]} for example" if stray else "no photos"
        raise DataError(
            f"{folder.name} expects a folder of photos for each person. Received: {received}.",
            "Move each person's photos into a folder of their own.",
        )
    return pairs_among([{photo: photo.partition("/")[0] for photo in photos}], impostors, seed)


def pairs_among(of_sets: list[dict[str, str]], impostors: int | None, seed: int) -> list[PhotoPair]:
    """Return of each set all genuine pairs in order of person, then all or some impostor pairs.

    Args:
        of_sets: photo → person, of each set.
        impostors: how many impostor pairs of all sets together; None = all.
        seed: of their draw.
    """
    parts = [_Photos(person_of) for person_of in of_sets if person_of]
    totals = [part.impostors for part in parts]
    wanted = np.arange(sum(totals))
    if impostors is not None and impostors < len(wanted):
        wanted = np.sort(np.random.default_rng(seed).choice(len(wanted), impostors, replace=False))
    pairs: list[PhotoPair] = []
    for part, end, total in zip(parts, np.cumsum(totals).tolist(), totals, strict=True):
        numbers = wanted[(wanted >= end - total) & (wanted < end)] - (end - total)
        pairs += [*part.genuine_pairs(), *part.impostor_pairs(numbers)]
    return pairs


class _Photos:
    """The photos of one set, sorted by person.

    Impostor pairs are numbered, each photo's partners being the photos of all later people: a draw of
    numbers is a draw of pairs, without writing down the millions of others.
    """

    def __init__(self, person_of: dict[str, str]) -> None:
        self.person_of = person_of
        self.photos = sorted(person_of, key=lambda photo: (person_of[photo], photo))
        people = np.array([person_of[photo] for photo in self.photos])
        _, where, size = np.unique(people, return_inverse=True, return_counts=True)
        self.ends = np.cumsum(len(self.photos) - np.cumsum(size)[where])

    @property
    def impostors(self) -> int:
        """How many impostor pairs there are."""
        return int(self.ends[-1])

    def genuine_pairs(self) -> Iterator[PhotoPair]:
        for person, group in groupby(self.photos, key=self.person_of.__getitem__):
            for first, second in combinations(list(group), 2):
                yield PhotoPair(first, second, True, None, person, person)

    def impostor_pairs(self, numbers: np.ndarray) -> Iterator[PhotoPair]:
        first = np.searchsorted(self.ends, numbers, side="right")
        second = len(self.photos) - (self.ends[first] - numbers)
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            one, other = self.photos[i], self.photos[j]
            yield PhotoPair(one, other, False, None, self.person_of[one], self.person_of[other])
