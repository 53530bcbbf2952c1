"""A stand-in for other people's photos: what the trunk says of many faces, as one low-rank Gaussian.

For somebody who has no photos of others. Of the trunk's features of thousands of training
faces it keeps a mean, how people differ from it, and how photos of one person differ from
each other, each as the strongest directions of a covariance and a variance for the rest:
the two-covariance model of Brümmer and de Villiers ("The speaker partitioning problem",
Odyssey 2010). No row of it is anybody's, and drawn people are nobody's.

It is stored as ``stand_in`` in the JSON beside the weights and names their hash: features of
another trunk mean something else. ``research.distil.stand_in`` computes it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flaskapp.errors import DataError

FIELDS = ("mean", "people", "people_rest", "photos", "photos_rest")
MAKE = "Give photos of other people with --others, or take the shipped weights."


@dataclass(frozen=True, eq=False)
class Drawn:
    """Features float32 (M, d) of people who do not exist, in place of an ``Album``, and each one's person, int (M,)."""

    people: np.ndarray
    vectors: np.ndarray
    stand_in: StandIn

    def __len__(self) -> int:
        return len(self.people)

    @property
    def names(self) -> list[str]:
        """A name for each."""
        return [f"drawn {number}" for number in range(len(self))]

    def features(self, trunk: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:  # noqa: ARG002 - as an album's
        """Return what was drawn, float32 (M, d)."""
        return self.vectors


@dataclass(frozen=True, eq=False)
class StandIn:
    """Many people's features, of no individual."""

    mean: np.ndarray  # float32 (d,)
    people: np.ndarray  # float32 (d, r), strongest directions in which people differ, times their spread
    people_rest: np.ndarray  # float32 (d,), spread of what these directions leave
    photos: np.ndarray  # float32 (d, s), likewise for photos of one person
    photos_rest: np.ndarray  # float32 (d,)
    count: tuple[int, int]  # (people, photos) that it was computed from

    def __post_init__(self) -> None:
        arrays = [getattr(self, name) for name in FIELDS]
        if {len(array) for array in arrays} != {self.mean.size} or not all(np.isfinite(a).all() for a in arrays):
            raise ValueError(f"Expected arrays of {self.mean.size} rows, of finite numbers")

    def draw(self, people: int, photos: int, rng: np.random.Generator) -> Drawn:
        """Draw people who do not exist, so many photos of each."""
        centres = self.mean + _draw(people, self.people, self.people_rest, rng)
        person = np.repeat(np.arange(people), photos)
        vectors = centres[person] + _draw(len(person), self.photos, self.photos_rest, rng)
        return Drawn(person, vectors.astype(np.float32), self)


def stand_in_of(details: Mapping[str, Any], sha256: str) -> StandIn:
    """Read the stand-in from the JSON of the weights with this hash; it holds float16 numbers in base64.

    Raises:
        DataError: there is none, it is damaged, or it belongs to different weights.
    """
    note = details.get("stand_in")
    if note is None:
        raise DataError("These weights have no stand-in for other people's photos.", MAKE)
    try:
        if note["sha256"] != sha256:
            raise DataError("The stand-in for other people's photos belongs to different weights.", MAKE)
        arrays = {}
        for name, array in note["arrays"].items():
            numbers = np.frombuffer(base64.b64decode(array["float16"], validate=True), np.float16)
            arrays[name] = numbers.reshape(array["shape"]).astype(np.float32)
        return StandIn(**arrays, count=(int(note["people"]), int(note["photos"])))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"The stand-in for other people's photos is damaged ({type(error).__name__}).", MAKE) from None


def _draw(count: int, directions: np.ndarray, rest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    strong = rng.standard_normal((count, directions.shape[1])) @ directions.T
    return strong + rng.standard_normal((count, len(rest))) * rest
