"""Who and what is learned from, chooses, and is scored once: decided before anything is augmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flaskapp.errors import DataError

TEST_SHARE = 0.2
# Of what is left.
VALIDATION_SHARE = 0.2
FEWEST_PHOTOS = 8
FEWEST_PEOPLE = 6


class Split(NamedTuple):
    """Rows (int arrays) of the three parts; none is in two, all are in one."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Shares:
    """How much is tested and validated; what is left is learned from.

    Attributes:
        test: share of all.
        validation: share of what the test leaves.
    """

    test: float = TEST_SHARE
    validation: float = VALIDATION_SHARE

    def __post_init__(self) -> None:
        if not (0 < self.test < 1 and 0 < self.validation < 1):
            raise ValueError(f"Shares expect numbers between 0 and 1. Received: {self}")


def split_photos(groups: np.ndarray, rng: np.random.Generator, shares: Shares | None = None) -> Split:
    """Split one person's photos; a group (copies, a burst) stays on one side.

    Args:
        groups: int (N,), the group of each photo.
        rng: draws.
        shares: how much is tested and validated.

    Raises:
        DataError: there are fewer than ``FEWEST_PHOTOS`` groups.
    """
    kinds = np.unique(groups)
    if len(kinds) < FEWEST_PHOTOS:
        raise DataError(
            f"Training on your own face needs at least {FEWEST_PHOTOS} different photos of you. "
            f"Received: {len(groups)} usable ones, of {len(kinds)} different moments.",
            "Add photos from other days and in other light; copies and bursts count as one.",
        )
    return _dealt(groups, rng.permutation(kinds), shares or Shares())


def split_people(people: np.ndarray, rng: np.random.Generator, shares: Shares | None = None) -> Split:
    """Split other people's photos by person.

    Args:
        people: N names.
        rng: draws.
        shares: how many are tested and validated.

    Raises:
        DataError: there are fewer than ``FEWEST_PEOPLE``.
    """
    names = np.unique(people)
    if len(names) < FEWEST_PEOPLE:
        raise DataError(
            f"Training with other people's photos needs at least {FEWEST_PEOPLE} people. Received: {len(names)}.",
            "Add people, or leave out --others to use the program's own stand-in.",
        )
    return _dealt(people, rng.permutation(names), shares or Shares())


def _dealt(keys: np.ndarray, order: np.ndarray, shares: Shares) -> Split:
    """Deal whole keys out in an order: to the test until it has its share, to validation, the rest to training.

    The largest comes last, so that a long burst is learned from; the first is sure to be tested. No part is empty
    with three keys or more: where a burst leaves nobody for validation, a key of the test's moves there.
    """
    sizes = np.array([np.sum(keys == key) for key in order])
    largest = int(sizes.argmax())
    order, sizes = (np.append(np.delete(values, largest), values[largest]) for values in (order, sizes))
    test_end = shares.test * len(keys)
    validation_end = test_end + shares.validation * (len(keys) - test_end)
    middle = np.cumsum(sizes) - sizes / 2  # a key goes where its middle lies
    part = np.where(middle < test_end, 2, np.where(middle < validation_end, 1, 0))
    part[0], part[-1] = 2, 0
    if not (part == 1).any():
        learned = np.flatnonzero(part == 0)
        part[learned[0] if len(learned) > 1 else np.flatnonzero(part == 2)[-1]] = 1
    return Split(*(np.flatnonzero(np.isin(keys, order[part == number])) for number in range(3)))
