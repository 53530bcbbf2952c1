"""Who the pairs show: the people (or photos) that intervals draw again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flaskapp.evaluation.inputs import BoolArray, IntArray

Unit = Literal["person", "photo"]


@dataclass(frozen=True, eq=False)
class Sources:
    """Who or what the pairs were made of, and is drawn again by the bootstrap.

    Attributes:
        unit: "person", or "photo" where the people are not known.
        reference: int64 (N,), number of the reference's person (or photo), from 0.
        probe: int64 (N,), likewise for the probe.
        count: how many people (or photos) there are.
    """

    unit: Unit
    reference: IntArray
    probe: IntArray
    count: int

    def __post_init__(self) -> None:
        if self.reference.ndim != 1 or self.reference.shape != self.probe.shape:
            raise ValueError(
                f"Expected reference and probe of one shape (N,). "
                f"Received: {self.reference.shape} and {self.probe.shape}"
            )
        if self.reference.size and not 0 <= self._both.min() <= self._both.max() < self.count:
            raise ValueError(f"Expected numbers from 0 to {self.count - 1}")

    @property
    def _both(self) -> IntArray:
        return np.concatenate((self.reference, self.probe))

    def taken(self, order: IntArray) -> Sources:
        """Return the sources of some of the pairs, or of all in another order."""
        return Sources(self.unit, self.reference[order], self.probe[order], self.count)

    def among(self, chosen: BoolArray) -> int:
        """Count the people (or photos) of some of the pairs."""
        return int(np.unique(np.concatenate((self.reference[chosen], self.probe[chosen]))).size)

    def combinations(self, chosen: BoolArray) -> int:
        """Count the different combinations of two people (or photos) among some of the pairs."""
        ends = np.sort(np.stack((self.reference[chosen], self.probe[chosen]), axis=1), axis=1)
        return len(np.unique(ends, axis=0))


def sources_by(unit: Unit, reference: Sequence[object], probe: Sequence[object]) -> Sources:
    """Number the people (or photos) of both sides of the pairs.

    Args:
        unit: what the names stand for.
        reference: N names.
        probe: N names.
    """
    numbers: dict[object, int] = {}
    first, second = (
        np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        for names in (reference, probe)
    )
    return Sources(unit, first, second, len(numbers))
