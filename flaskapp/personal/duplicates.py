"""Photos that show the same moment: copies, edits, bursts; and the audit that no split parts them.

Two photos are alike if their files are equal, if their aligned faces differ in few bits of a
difference hash (of 144 bits, mirrored or not), or if a network's embeddings nearly coincide.
The limits were set on 807 photos of 35 people that no training saw: 23 of 9,132 pairs of one
person are alike (bursts, other cuts of one photo), of 316,089 pairs of two people none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from flaskapp.errors import LeakError
from flaskapp.personal.album import Album

HASH_SIDE = 12
MOST_BITS = 0.06
LEAST_COSINE = 0.96
MOST_SHOWN = 5


@dataclass(frozen=True)
class Alike:
    """Two photos that show the same moment.

    Attributes:
        first: row of one.
        second: row of the other.
        why: the evidence, in words.
    """

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
    """List all pairs of photos that show the same moment.

    Args:
        album: N photos.
        embeddings: float32 (N, d), of any length.
    """
    if len(album) < 2:
        return []
    embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    digests = np.array(album.digests)
    hashes = np.stack([perceptual_hash(face) for face in album.faces])
    mirrored = np.stack([perceptual_hash(face[:, ::-1]) for face in album.faces])
    found: list[Alike] = []
    for row in range(len(album) - 1):
        rest = slice(row + 1, None)
        bits = np.minimum(np.mean(hashes[rest] != hashes[row], axis=1), np.mean(hashes[rest] != mirrored[row], axis=1))
        cosine = embeddings[rest] @ embeddings[row]
        equal = digests[rest] == digests[row]
        found += [
            Alike(row, row + 1 + int(offset), _why(equal[offset], bits[offset], cosine[offset]))
            for offset in np.flatnonzero(equal | (bits <= MOST_BITS) | (cosine >= LEAST_COSINE))
        ]
    return found


def _why(equal: bool, bits: float, cosine: float) -> str:
    if equal:
        return "the same file"
    return f"{round(bits * HASH_SIDE**2)} of {HASH_SIDE**2} hash bits differ, embeddings' cosine {cosine:.3f}"


def groups_of(count: int, alike: list[Alike]) -> np.ndarray:
    """Number the groups of photos that hang together, int (count,)."""
    group = np.arange(count)
    for pair in alike:
        group[group == group[pair.second]] = group[pair.first]
    return np.unique(group, return_inverse=True)[1]


def audit(album: Album, parts: np.ndarray, embeddings: np.ndarray) -> None:
    """Stop if two parts of a split share a photo or a near-duplicate.

    Args:
        album: N photos, of all parts.
        parts: N names of parts.
        embeddings: float32 (N, d), of any length.

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
