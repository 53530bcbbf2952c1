"""Pairs of people's photos as they are and as they may get: what scores are calibrated and counted on.

Four ways: both photos as they come, one of them spoiled, both spoiled alike, both spoiled
differently. Each kind of spoiling comes at several strengths; the pairs of one way weigh the same together
in whichever condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from flaskapp.weights.runtime import certainties, pair_log_odds
from flaskapp.weights.shape import EMBEDDING_SIZE
from research.distil.references import Photos
from research.distil.spoiling import KINDS, Kind

Embed = Callable[[np.ndarray], np.ndarray]

WAYS = {"as they come": 0.4, "one spoiled": 0.2, "alike": 0.2, "differently": 0.2}
"""What the pairs of each way weigh together."""
SPOILED_PHOTOS = 240
PHOTOS_A_PERSON = 5
IMPOSTORS = 8_000
"""Drawn of each condition but photos as they come, of which all are taken."""
KERNEL = np.full(EMBEDDING_SIZE, 1 / EMBEDDING_SIZE, np.float32)


@dataclass(frozen=True)
class Mixture:
    """M pairs.

    Attributes:
        distance: float (M,), mean L1 distance of both embeddings at unit length.
        certainty: float (M,) in [0, 1], of the first face.
        other: likewise, of the second.
        same: bool (M,).
        condition: int (M,), into ``conditions``.
        conditions: (way, kind and strength) each; the first is photos as they come.
        people: int (M, 2), who is shown.
        photos: whose pairs they are, in half precision.
    """

    distance: np.ndarray
    certainty: np.ndarray
    other: np.ndarray
    same: np.ndarray
    condition: np.ndarray
    conditions: tuple[tuple[str, str], ...]
    people: np.ndarray
    photos: Photos = field(repr=False)

    @property
    def counts_for(self) -> np.ndarray:
        """What each pair weighs among those of its kind, float (M,): as its way's weight says."""
        ways = [way for way, _ in self.conditions]
        shares = np.array([WAYS[way] / ways.count(way) for way in ways])
        weights = np.empty(len(self.same))
        for kind in (self.same, ~self.same):
            counts = np.bincount(self.condition[kind], minlength=len(shares))
            weights[kind] = (shares / np.maximum(counts, 1))[self.condition[kind]]
        return weights

    @property
    def as_they_come(self) -> np.ndarray:
        """Which pairs are of photos as they come, bool (M,)."""
        return self.condition == 0


def mix(embed: Embed, faces: np.ndarray, person: np.ndarray, set_index: np.ndarray, seed: int = 2026) -> Mixture:
    """Embed people's photos as they are and spoiled, and pair them.

    Args:
        embed: faces uint8 (N, 100, 100, 3) → embeddings float32 (N, 4096).
        faces: uint8 (N, 100, 100, 3).
        person: int (N,).
        set_index: int (N,); pairs are within a set, as sets hold some photos twice.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    photos = _embedded(embed, faces, person, set_index, rng, seed)
    clean, some, spoiled = photos.embeddings, photos.some, photos.spoiled
    parts = [_Part("as they come", "", clean, clean, person, set_index, None)]
    who, where = person[some], set_index[some]
    parts += [_Part("one spoiled", name, clean[some], worse, who, where, rng) for name, worse in spoiled.items()]
    parts += [_Part("alike", name, worse, worse, who, where, rng) for name, worse in spoiled.items()]
    every = np.stack(list(spoiled.values()))
    for number in range(len(KINDS)):
        first = rng.integers(len(every), size=len(some))
        second = (first + rng.integers(len(KINDS[0].measured), len(every), size=len(some))) % len(every)
        rows = np.arange(len(some))
        parts.append(_Part("differently", str(number), every[first, rows], every[second, rows], who, where, rng))
    return _joined(parts, photos.small())


def _embedded(
    embed: Embed, faces: np.ndarray, person: np.ndarray, set_index: np.ndarray, rng: np.random.Generator, seed: int
) -> Photos:
    some = _some(person, rng)
    spoiled = {f"{kind.name} {strength:g}": embed(worse) for kind, strength, worse in _spoiled(faces[some], seed)}
    return Photos(embed(faces), person, set_index, some, spoiled)


@dataclass(frozen=True)
class _Part:
    way: str
    name: str
    references: np.ndarray
    probes: np.ndarray
    person: np.ndarray
    set_index: np.ndarray
    rng: np.random.Generator | None

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return first and second position of pairs: all genuine ones, and all or some impostors."""
        first, second = np.triu_indices(len(self.person), 1)
        within = self.set_index[first] == self.set_index[second]
        first, second = first[within], second[within]
        if self.rng is not None:
            same = self.person[first] == self.person[second]
            impostors = self.rng.permutation(np.flatnonzero(~same))[:IMPOSTORS]
            kept = np.sort(np.concatenate([np.flatnonzero(same), impostors]))
            first, second = first[kept], second[kept]
        return first, second


def _some(person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows of some people's photos, a few each, person by person."""
    rows: list[int] = []
    for one in rng.permutation(np.unique(person)):
        if len(rows) >= SPOILED_PHOTOS:
            break
        rows += rng.permutation(np.flatnonzero(person == one))[:PHOTOS_A_PERSON].tolist()
    return np.sort(np.array(rows, np.int64))


def _spoiled(faces: np.ndarray, seed: int) -> Iterator[tuple[Kind, float, np.ndarray]]:
    for number, kind in enumerate(KINDS):
        for step, strength in enumerate(kind.measured):  # each with a direction, a place and a colour of its own
            seeds = [(seed, number, step, 0 if kind.draw_alike else photo) for photo in range(len(faces))]
            changed = [kind.change(f, strength, np.random.default_rng(s)) for f, s in zip(faces, seeds, strict=True)]
            yield kind, strength, np.stack(changed)


def _joined(parts: list[_Part], photos: Photos) -> Mixture:
    columns: list[tuple[np.ndarray, ...]] = []
    for index, part in enumerate(parts):
        first, second = part.rows()
        both = np.concatenate([part.references, part.probes])
        distance = pair_log_odds(both, KERNEL, first, second + len(part.references))
        who = np.stack([part.person[first], part.person[second]], axis=1)
        sure, other = certainties(part.references)[first], certainties(part.probes)[second]
        columns.append((distance, sure, other, who[:, 0] == who[:, 1], np.full(len(first), index), who))
    distance, sure, other, same, condition, people = (np.concatenate(column) for column in zip(*columns, strict=True))
    conditions = tuple((part.way, part.name) for part in parts)
    return Mixture(distance, sure, other, same, condition, conditions, people, photos)
