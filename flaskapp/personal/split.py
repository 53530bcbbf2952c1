"""Who and what is learned from, chooses, and is scored once: decided before anything is augmented.

Two photos are alike (copies, edits, a burst) if their files are equal, if their aligned faces
differ in few bits of a difference hash (of 144 bits, mirrored or not), or if a network's
embeddings nearly coincide. The limits were set, with earlier weights, on 807 photos of 35 people that no
training saw: 23 of 9,132 pairs of one person are alike (bursts, other cuts of one photo), of 316,089 pairs of
two people none. The cosine alone: of 2,513 photos of people who calibrate and are reported on, 39 of
19,302 pairs of one person have it, and none of 904,255 of two people, 0.80 at most. What is alike
stays on one side, and an audit stops a training where it does not.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from flaskapp.errors import DataError, LeakError
from flaskapp.personal.album import Album

PARTS = ("training", "validation", "test")
TEST_SHARE = 0.2
# Of what the test leaves.
VALIDATION_SHARE = 0.2
FEWEST_PHOTOS = 8
FEWEST_PEOPLE = 6

HASH_SIDE = 12
MOST_BITS = 0.06
LEAST_COSINE = 0.978
MOST_SHOWN = 5


class Alike(NamedTuple):
    """The rows of two photos that show the same moment, and the evidence in words."""

    first: int
    second: int
    why: str


def perceptual_hash(face: np.ndarray) -> np.ndarray:
    """Return which places are lighter than their left neighbours, bool (144,), of a uint8 face.

    The difference hash (dHash): it survives other sizes, compression, brightness and contrast.
    """
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return (small[:, 1:] > small[:, :-1]).ravel()


def find_alike(album: Album, embeddings: np.ndarray) -> list[Alike]:
    """List all pairs of photos that show the same moment; embeddings are float32 (N, d), of any length."""
    embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    digests = np.array(album.digests)
    hashes = np.array([perceptual_hash(face) for face in album.faces])
    mirrored = np.array([perceptual_hash(face[:, ::-1]) for face in album.faces])
    found: list[Alike] = []
    for row in range(len(album) - 1):
        rest = slice(row + 1, None)
        bits = np.minimum(np.mean(hashes[rest] != hashes[row], axis=1), np.mean(hashes[rest] != mirrored[row], axis=1))
        cosine = embeddings[rest] @ embeddings[row]
        equal = digests[rest] == digests[row]
        for offset in np.flatnonzero(equal | (bits <= MOST_BITS) | (cosine >= LEAST_COSINE)).tolist():
            differ = f"{round(bits[offset] * HASH_SIDE**2)} of {HASH_SIDE**2} hash bits differ"
            why = "the same file" if equal[offset] else f"{differ}, embeddings' cosine {cosine[offset]:.3f}"
            found.append(Alike(row, row + 1 + offset, why))
    return found


def groups_of(count: int, alike: list[Alike]) -> np.ndarray:
    """Number the groups of photos that hang together, int (count,)."""
    group = np.arange(count)
    for pair in alike:
        group[group == group[pair.second]] = group[pair.first]
    return group


def audit(album: Album, parts: np.ndarray, embeddings: np.ndarray) -> None:
    """Stop if two parts of a split, named for each photo, share one or a near-duplicate.

    Raises:
        LeakError: with the photos and what gives them away.
    """
    evidence = [
        f"{' and '.join(f'{album.names[row]} ({parts[row]})' for row in (pair.first, pair.second))}: {pair.why}"
        for pair in find_alike(album, embeddings)
        if parts[pair.first] != parts[pair.second]
    ]
    if evidence:
        more = f" … and {len(evidence) - MOST_SHOWN} more." if len(evidence) > MOST_SHOWN else ""
        raise LeakError(
            f"The same photos are on both sides of a split. {'; '.join(evidence[:MOST_SHOWN])}.{more}",
            "Remove one of each pair. Otherwise the model would be tested on photos that it has memorised.",
        )


def split_photos(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Name the part of each of one person's photos, str (N,); a group (copies, a burst) stays on one side.

    Raises:
        DataError: there are fewer than ``FEWEST_PHOTOS`` groups.
    """
    moments = len(np.unique(groups))
    if moments < FEWEST_PHOTOS:
        raise DataError(
            f"Training on your own face needs at least {FEWEST_PHOTOS} different photos of you. "
            f"Received: {len(groups)} usable ones, of {moments} different moments.",
            "Add photos from other days and in other light; copies and bursts count as one.",
        )
    return _dealt(groups, rng)


def split_people(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Name the part of each of other people's photos, str (N,), split by person.

    Raises:
        DataError: there are fewer than ``FEWEST_PEOPLE``.
    """
    count = len(np.unique(people))
    if count < FEWEST_PEOPLE:
        raise DataError(
            f"Training with other people's photos needs at least {FEWEST_PEOPLE} people. Received: {count}.",
            "Add people, or leave out --others to use the program's own stand-in.",
        )
    return _dealt(people, rng)


def _dealt(keys: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal whole keys out: to the test until it has its share, to validation, the rest to training.

    The largest comes last, so that a long burst is learned from; the first is sure to be tested. No part is empty
    with three keys or more: where a burst leaves nobody for validation, a key of the test's moves there.
    """
    order = rng.permutation(np.unique(keys))
    sizes = np.array([np.sum(keys == key) for key in order])
    largest = int(sizes.argmax())
    order, sizes = (np.append(np.delete(values, largest), values[largest]) for values in (order, sizes))
    test_end = TEST_SHARE * len(keys)
    validation_end = test_end + VALIDATION_SHARE * (len(keys) - test_end)
    middle = np.cumsum(sizes) - sizes / 2  # a key goes where its middle lies
    parts = np.where(middle < test_end, "test", np.where(middle < validation_end, "validation", "training"))
    parts[0], parts[-1] = "test", "training"
    if "validation" not in parts:
        learned = np.flatnonzero(parts == "training")
        parts[learned[0] if len(learned) > 1 else np.flatnonzero(parts == "test")[-1]] = "validation"
    part_of = dict(zip(order.tolist(), parts.tolist(), strict=True))
    return np.array([part_of[key] for key in keys.tolist()])
