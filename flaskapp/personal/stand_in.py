"""A stand-in for other people's photos: what the trunk says of many faces, as one low-rank Gaussian.

For somebody who has no photos of others. Of the trunk's features of thousands of training
faces it keeps a mean, how people differ from it, and how photos of one person differ from
each other, each as the strongest directions of a covariance and a variance for the rest:
the two-covariance model of Brümmer and de Villiers ("The speaker partitioning problem",
Odyssey 2010). No row of it is anybody's, and drawn people are nobody's.

It is stored as ``stand_in`` in the JSON beside the weights and names their hash: features of
another trunk mean something else.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flaskapp.errors import DataError

PEOPLE_RANK, PHOTO_RANK = 64, 96
FEWEST_PEOPLE = 2 * PEOPLE_RANK
FIELDS = ("mean", "people", "people_rest", "photos", "photos_rest")
MAKE = "Give photos of other people with --others, or take the shipped weights."


@dataclass(frozen=True, eq=False)
class StandIn:
    """Many people's features, of no individual.

    Attributes:
        mean: float32 (d,).
        people: float32 (d, r), strongest directions in which people differ, times their spread.
        people_rest: float32 (d,), spread of what these directions leave.
        photos: float32 (d, s), likewise for photos of one person.
        photos_rest: float32 (d,).
        count: (people, photos) that it was computed from.
    """

    mean: np.ndarray
    people: np.ndarray
    people_rest: np.ndarray
    photos: np.ndarray
    photos_rest: np.ndarray
    count: tuple[int, int]

    def __post_init__(self) -> None:
        size = self.mean.shape[0]
        if not self.people.shape[0] == self.photos.shape[0] == size == len(self.people_rest) == len(self.photos_rest):
            raise ValueError(f"Expected arrays of {size} rows")
        if not all(np.isfinite(getattr(self, name)).all() for name in FIELDS):
            raise ValueError("Expected finite numbers")

    def draw(self, people: int, photos: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw people who do not exist.

        Returns:
            Features float32 (people · photos, d), and each one's person, int.
        """
        centres = self.mean + _draw(people, self.people, self.people_rest, rng)
        person = np.repeat(np.arange(people), photos)
        return (centres[person] + _draw(len(person), self.photos, self.photos_rest, rng)).astype(np.float32), person

    def to_json(self, sha256: str) -> dict[str, Any]:
        """Return it as text: float16 numbers in base64, and the hash of the weights it belongs to."""
        arrays = {name: np.asarray(getattr(self, name), np.float16) for name in FIELDS}
        return {
            "sha256": sha256,
            "people": self.count[0],
            "photos": self.count[1],
            "arrays": {
                name: {"shape": list(array.shape), "float16": base64.b64encode(array.tobytes()).decode("ascii")}
                for name, array in arrays.items()
            },
        }


def fit_stand_in(features: np.ndarray, person: np.ndarray) -> StandIn:
    """Fit the stand-in to the features of many people's photos.

    Args:
        features: float (N, d).
        person: int (N,); who has a single photo tells nothing and is left out.

    Raises:
        DataError: fewer than ``FEWEST_PEOPLE`` people: it could then be told who is in it.
    """
    _, group, counts = np.unique(person, return_inverse=True, return_counts=True)
    kept = counts[group] > 1
    features = features[kept].astype(np.float64)
    _, group, counts = np.unique(group[kept], return_inverse=True, return_counts=True)
    if len(counts) < FEWEST_PEOPLE:
        raise DataError(
            f"A stand-in expects at least {FEWEST_PEOPLE} people with two photos or more. Received: {len(counts)}.",
            "Use more training people.",
        )
    centres = np.zeros((len(counts), features.shape[1]))
    np.add.at(centres, group, features)
    centres /= counts[:, None]
    apart = features - centres[group]
    within = apart.T @ apart / (len(features) - len(counts))
    mean = centres.mean(axis=0)
    # A person's mean of n photos scatters by a further within / n.
    between = np.cov(centres.T) - within * np.mean(1 / counts)
    people, people_rest = _strongest(between, PEOPLE_RANK)
    photos, photos_rest = _strongest(within, PHOTO_RANK)
    count = len(counts), len(features)
    return StandIn(mean.astype(np.float32), people, people_rest, photos, photos_rest, count)


def stand_in_of(details: Mapping[str, Any], sha256: str) -> StandIn:
    """Read the stand-in from the JSON of weights.

    Args:
        details: the whole JSON.
        sha256: hash of the weights in use.

    Raises:
        DataError: there is none, it is damaged, or it belongs to different weights.
    """
    note = details.get("stand_in")
    if note is None:
        raise DataError("These weights have no stand-in for other people's photos.", MAKE)
    try:
        if note["sha256"] != sha256:
            raise DataError("The stand-in for other people's photos belongs to different weights.", MAKE)
        arrays = {name: _array(note["arrays"][name]) for name in FIELDS}
        return StandIn(**arrays, count=(int(note["people"]), int(note["photos"])))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"The stand-in for other people's photos is damaged ({type(error).__name__}).", MAKE) from None


def _array(note: Mapping[str, Any]) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(note["float16"], validate=True), np.float16)
    return array.reshape(note["shape"]).astype(np.float32)


def _strongest(covariance: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the strongest directions times their spread (d, rank), and the spread of the rest (d,)."""
    variances, directions = np.linalg.eigh(covariance)
    kept = directions[:, ::-1][:, :rank] * np.sqrt(np.maximum(variances[::-1][:rank], 0))
    rest = np.sqrt(np.maximum(np.diag(covariance) - np.sum(kept**2, axis=1), 0))
    return kept.astype(np.float32), rest.astype(np.float32)


def _draw(count: int, directions: np.ndarray, rest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    strong = rng.standard_normal((count, directions.shape[1])) @ directions.T
    return strong + rng.standard_normal((count, len(rest))) * rest
