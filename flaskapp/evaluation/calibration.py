"""What log-odds count for, given how sure the network is of both faces.

Two photos that are poor in the same way look alike, whoever they show, and two that are poor in
different ways look unlike. So the less sure the network is, the nearer a score comes to the middle,
from either side, and never over it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.decisions import FloatArray


@dataclass(frozen=True)
class Trust:
    """How much log-odds lose where the network is less sure of the faces.

    By the product of both certainties. Log-odds above 0 count in part: all of them from the upper end of a line on, and
    less and less towards its lower end, since strangers who are poor alike look the more alike, the poorer they are.
    Log-odds below 0 lose an amount that grows as certainty falls: where a photo is poor, those of one person's pairs
    are lower by about as much whatever they are. Something of what a poor photo says stays all the same: above 0 at
    least ``least`` times the product, below 0 ``least`` times its square. Symmetric, and with equal log-odds less
    certainty never moves a score away from one half, nor over it. Fitted on calibration people by
    ``research/distil/shipping.py``.

    Attributes:
        match: (lower, upper) end, 0 ≤ lower ≤ upper ≤ 1; (0, 0) = log-odds above 0 count whatever the certainty.
        doubt: what log-odds below 0 lose at no certainty at all, the most; 0 or more. At a certainty of 1: nothing.
        least: how much of what poor photos say stays, in [0, 1].
    """

    match: tuple[float, float]
    doubt: float
    least: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.match
        if not 0 <= low <= high <= 1:
            raise ValueError(f"A line expects 0 ≤ lower ≤ upper end ≤ 1. Received: {low}, {high}")
        if not 0 <= self.doubt < math.inf:
            raise ValueError(f"doubt expects a number from 0 on. Received: {self.doubt}")
        if not 0 <= self.least <= 1:
            raise ValueError(f"least expects a number from 0 to 1. Received: {self.least}")

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Trust:
        """Return what ``asdict`` told."""
        low, high = told["match"]
        return cls((float(low), float(high)), float(told["doubt"]), float(told["least"]))

    def weigh(self, log_odds: npt.ArrayLike, certainty: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
        """Return the log-odds of "same person" at equal shares of both kinds of pairs.

        Args:
            log_odds: float (N,), what the network's head says.
            certainty: float (N,) in [0, 1], of the one face.
            other: likewise, of the other face.

        >>> Trust((0.5, 0.8), 6.0, 0.5).weigh([4.0, 4.0, -4.0, -2.0], 1.0, [0.8, 0.5, 0.5, 0.5]).tolist()
        [4.0, 1.0, -1.0, -0.25]
        """
        odds, sure = np.asarray(log_odds, np.float64), np.multiply(certainty, other, dtype=np.float64)
        above = odds * np.maximum(np.interp(sure, self.match, (0.0, 1.0)), self.least * sure)
        below = np.minimum(odds + self.doubt * (1 - sure), odds * self.least * sure**2)
        return np.where(odds > 0, above, below)


@dataclass(frozen=True)
class Fusion:
    """How a photo's log-odds with several references of one person become one.

    The highest of many log-odds are high by chance too, so by the number of references each first becomes
    ``scale · log-odds + offset``. They are trusted after that: where the network is unsure of a face, they go to
    the middle as ever. The mean of the highest is the answer. Fitted by ``research/distil/references.py``.

    The middle is higher than what a stranger has with photos that show something. So beside such photos, poor ones
    do not count: with one poor photo among 15, 779 of 782 photos of strangers read inconclusive, without it 1 (with
    earlier weights).

    Attributes:
        scale: above 0.
        offset: of log-odds.
        best: how many of the highest count; all, where they are fewer.
        poor_below: certainty of a reference below which it does not count, unless none has more.
    """

    scale: float = 1.0
    offset: float = 0.0
    best: int = 3
    poor_below: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.scale < math.inf and math.isfinite(self.offset) and self.best >= 1):
            raise ValueError(f"Fusion expects scale > 0, a finite offset and best ≥ 1. Received: {self}")

    def fuse(self, log_odds: npt.ArrayLike, certainty: npt.ArrayLike, other: npt.ArrayLike, trust: Trust) -> FloatArray:
        """Return the log-odds of "this person" for each of M photos, float64 (M,); NaN where any is NaN.

        Args:
            log_odds: float (N, M), of N references with M photos, as the network's head says; in any order.
            certainty: float (N,) in [0, 1], of the references' faces; or (N, M), where each photo has its own.
            other: float (M,) in [0, 1], of the photos' faces.
            trust: what log-odds count for where the network is less sure.

        >>> as_they_are = Trust((0.0, 0.0), 0.0)
        >>> Fusion(best=2).fuse([[-1.0], [3.0], [1.0]], [1.0, 1.0, 1.0], [1.0], as_they_are).tolist()
        [2.0]
        """
        odds = self.scale * np.asarray(log_odds, np.float64) + self.offset
        sure = np.asarray(certainty, np.float64).reshape(len(odds), -1)
        trusted = trust.weigh(odds, sure, other)
        counts = np.broadcast_to((sure >= self.poor_below) | (sure < self.poor_below).all(axis=0), trusted.shape)
        highest = np.sort(np.where(counts | np.isnan(trusted), trusted, -np.inf), axis=0)[-self.best :]
        return np.asarray(np.mean(highest, axis=0, where=np.isnan(highest) | (highest > -np.inf)), np.float64)
