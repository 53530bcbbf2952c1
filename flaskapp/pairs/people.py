"""People as a list of pairs: every genuine pair, and all or some impostor pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import combinations, groupby
from pathlib import Path

import numpy as np

from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair
from flaskapp.preprocess.files import look_through

Tell = Callable[[Mapping[str, str]], None]

MOST_PAIRS = 5_000_000  # a pair takes 250 bytes here, and more where it is evaluated


def pairs_of_people(
    folder: Path, impostors: int | None = None, seed: int = 0, tell: Tell | None = None
) -> list[PhotoPair]:
    """Pair the photos of a folder that holds a folder for each person: ``person/…``, at whatever depth.

    All genuine pairs come first, in order of person, then so many impostor pairs, each as likely as any other; None =
    all. Paths are relative to ``folder``. ``tell`` is told what lies there and is no photo, path → why.

    Raises:
        DataError: there are no photos, no pairs or too many, or a photo lies in no person's folder.
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
    person_of = {photo: photo.partition("/")[0] for photo in photos}
    sizes = Counter(person_of.values())
    genuine = sum(math.comb(size, 2) for size in sizes.values())
    every_impostor = math.comb(len(photos), 2) - genuine
    pairs = genuine + (every_impostor if impostors is None else min(impostors, every_impostor))
    if not pairs:
        raise DataError(
            f"There are no pairs in {folder.name}. Photos: {len(photos)}, people: {len(sizes)}.",
            "Give two photos of one person; or photos of two people, with --impostors above 0.",
        )
    if pairs > MOST_PAIRS:
        raise DataError(
            f"There are {pairs:,} pairs, {genuine:,} of them genuine. At most {MOST_PAIRS:,} fit into memory.",
            "Draw some impostor pairs: --impostors 300000. Where the genuine ones are too many, take fewer photos.",
        )
    return pairs_among([person_of], impostors, seed)


def pairs_among(of_sets: list[dict[str, str]], impostors: int | None, seed: int) -> list[PhotoPair]:
    """Return all genuine pairs, set by set in order of person, then all or some impostor pairs within sets.

    Each set is photo → person; ``impostors`` is the number of all sets together.
    """
    pairs: list[PhotoPair] = []
    photos: list[tuple[str, str]] = []
    # Impostor pairs are numbered, each photo's partners being those of all later people of its set: a draw
    # of numbers is a draw of pairs, without writing down the millions of others.
    starts, counts = list[int](), list[int]()
    for person_of in of_sets:
        end = len(photos) + len(person_of)
        for person, group in groupby(sorted(person_of, key=lambda photo: (person_of[photo], photo)), person_of.get):
            own = list(group)
            pairs += [PhotoPair(one, other, True, None, person, person) for one, other in combinations(own, 2)]
            photos += [(photo, str(person)) for photo in own]
            starts += [len(photos)] * len(own)
            counts += [end - len(photos)] * len(own)
    numbers = np.arange(sum(counts))
    if impostors is not None and impostors < len(numbers):
        numbers = np.sort(np.random.default_rng(seed).choice(len(numbers), impostors, replace=False))
    ends = np.cumsum(counts, dtype=int)
    first = np.searchsorted(ends, numbers, side="right")
    second = np.array(starts, int)[first] + numbers - (ends - counts)[first]
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        (reference, one), (probe, other) = photos[i], photos[j]
        pairs.append(PhotoPair(reference, probe, False, None, one, other))
    return pairs
