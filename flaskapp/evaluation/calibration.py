"""What log-odds count for, given how sure the network is of both faces.

Two photos that are poor in the same way look alike, whoever they show, and two that are poor in
different ways look unlike. So the less sure the network is, the nearer a score comes to the middle,
from either side, and never over it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.decisions import FloatArray


@dataclass(frozen=True)
class Trust:
    """How much log-odds lose where the network is less sure of the faces.

    With s, the product of both certainties, log-odds above 0 are multiplied by ``s ** match``, those
    below by ``s ** non_match``: symmetric, and with equal log-odds less certainty never moves a score
    away from one half. Fitted on calibration people by ``research/distil/calibration.py``.

    Attributes:
        match: from 0; 0 = certainty changes nothing.
        non_match: likewise.
    """

    match: float
    non_match: float

    def __post_init__(self) -> None:
        for value in (self.match, self.non_match):
            if not 0 <= value < math.inf:
                raise ValueError(f"An exponent of certainty expects a number from 0. Received: {value}")

    def weigh(self, log_odds: npt.ArrayLike, certainty: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
        """Return the log-odds of "same person" at equal shares of both kinds of pairs.

        Args:
            log_odds: float (N,), what the network's head says.
            certainty: float (N,) in [0, 1], of the one face.
            other: likewise, of the other face.

        >>> Trust(1.0, 2.0).weigh([4.0, -4.0], [1.0, 1.0], [0.5, 0.5]).tolist()
        [2.0, -1.0]
        """
        odds = np.asarray(log_odds, np.float64)
        sure = np.multiply(certainty, other, dtype=np.float64)
        return odds * sure ** np.where(odds > 0, self.match, self.non_match)
