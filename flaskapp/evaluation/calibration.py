"""What log-odds count for, given how sure the network is of both faces.

Two photos that are poor in the same way look alike, whoever they show, and two that are poor in
different ways look unlike. So the less sure the network is, the nearer a score comes to the middle,
from either side, and never over it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.decisions import FloatArray


@dataclass(frozen=True)
class Trust:
    """How much log-odds lose where the network is less sure of the faces.

    Of the product of both certainties: from the upper end of a line on all of the log-odds count, below its lower
    end nothing, and in between the part of the way. Log-odds above 0 have one line, those below another: symmetric,
    and with equal log-odds less certainty never moves a score away from one half. Fitted on calibration people by
    ``research/distil/shipping.py``.

    Attributes:
        match: (lower, upper) end, 0 ≤ lower ≤ upper ≤ 1; (0, 0) = certainty changes nothing.
        non_match: likewise.
    """

    match: tuple[float, float]
    non_match: tuple[float, float]

    def __post_init__(self) -> None:
        for low, high in (self.match, self.non_match):
            if not 0 <= low <= high <= 1:
                raise ValueError(f"A line expects 0 ≤ lower ≤ upper end ≤ 1. Received: {low}, {high}")

    @classmethod
    def from_json(cls, told: Mapping[str, Sequence[float]]) -> Trust:
        """Return what ``asdict`` told."""
        (match_low, match_high), (low, high) = told["match"], told["non_match"]
        return cls((float(match_low), float(match_high)), (float(low), float(high)))

    def weigh(self, log_odds: npt.ArrayLike, certainty: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
        """Return the log-odds of "same person" at equal shares of both kinds of pairs.

        Args:
            log_odds: float (N,), what the network's head says.
            certainty: float (N,) in [0, 1], of the one face.
            other: likewise, of the other face.

        >>> Trust((0.0, 0.5), (0.2, 1.0)).weigh([4.0, -4.0], [1.0, 1.0], [0.5, 0.6]).tolist()
        [4.0, -2.0]
        """
        odds, sure = np.asarray(log_odds, np.float64), np.multiply(certainty, other, dtype=np.float64)
        return odds * np.where(odds > 0, *self.parts(sure))

    def parts(self, sure: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return which part of log-odds above and below 0 counts, of the product of both certainties."""
        above, below = (np.interp(sure, line, (0.0, 1.0)) for line in (self.match, self.non_match))
        return np.asarray(above, np.float64), np.asarray(below, np.float64)


@dataclass(frozen=True)
class Fusion:
    """How a photo's log-odds with several references of one person become one.

    The highest of many log-odds are high by chance too, so by the number of references each first becomes
    ``scale · log-odds + offset``. They are trusted after that: where the network is unsure of a face, they go to
    the middle as ever. The mean of the highest is the answer. Fitted by ``research/distil/references.py``.

    Attributes:
        scale: above 0.
        offset: of log-odds.
        best: how many of the highest count; all, where they are fewer.
    """

    scale: float = 1.0
    offset: float = 0.0
    best: int = 3

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

        >>> Fusion(best=2).fuse([[-1.0], [3.0], [1.0]], [1.0, 1.0, 1.0], [1.0], Trust((0.0, 0.0), (0.0, 0.0))).tolist()
        [2.0]
        """
        odds = self.scale * np.asarray(log_odds, np.float64) + self.offset
        trusted = trust.weigh(odds, np.asarray(certainty, np.float64).reshape(len(odds), -1), other)
        return np.asarray(np.mean(np.sort(trusted, axis=0)[-self.best :], axis=0), np.float64)
