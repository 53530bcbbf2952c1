"""From scores to verdicts, and what the verdicts got right.

The decision rule of the whole program stands here, once.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.inputs import BoolArray, check_pairs

Decision = Literal["match", "inconclusive", "non_match"]
Band = tuple[float, float]

NON_MATCH: Decision = "non_match"
INCONCLUSIVE: Decision = "inconclusive"
MATCH: Decision = "match"
# In the order of rising scores.
DECISIONS: tuple[Decision, ...] = (NON_MATCH, INCONCLUSIVE, MATCH)


def decide(score: float, band: Band) -> Decision:
    """Decide one comparison.

    Args:
        score: similarity score, higher = more alike.
        band: (low, high): from high on ``match``, below low ``non_match``, between them
            ``inconclusive``.

    Raises:
        ValueError: the score is no number, or the band is upside down.

    Example:
        >>> [decide(score, (0.4, 0.7)) for score in (0.39, 0.4, 0.69, 0.7)]
        ['non_match', 'inconclusive', 'inconclusive', 'match']
    """
    if math.isnan(score):
        raise ValueError("Expected a score. Received: NaN")
    return decide_all([score], band)[0]


def decide_all(scores: npt.ArrayLike, band: Band) -> list[Decision]:
    """Decide every comparison; a failure to acquire (NaN) is a ``non_match``.

    Args:
        scores: float (N,), higher = more alike.
        band: (low, high), as in ``decide``.
    """
    low, high = check_band(band)
    values = np.asarray(scores, dtype=np.float64)
    # NaN is neither ≥ low nor ≥ high.
    steps = (values >= low).astype(int) + (values >= high)
    return [DECISIONS[step] for step in steps]


def check_band(band: Band) -> Band:
    """Return the band as two floats.

    Raises:
        ValueError: it is not two finite numbers, the lower first.
    """
    low, high = (float(end) for end in band)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"Expected an inconclusive band (low, high) with low ≤ high. Received: {band}")
    return low, high


@dataclass(frozen=True)
class Verdicts:
    """How many pairs of one kind got which verdict."""

    match: int
    inconclusive: int
    non_match: int

    def __post_init__(self) -> None:
        if min(self.match, self.inconclusive, self.non_match) < 0:
            raise ValueError(f"Expected counts of at least 0. Received: {self}")

    @property
    def pairs(self) -> int:
        """All pairs of this kind."""
        return self.match + self.inconclusive + self.non_match

    def to_json(self) -> dict[str, int]:
        """Return the counts by verdict."""
        return asdict(self)


def count_verdicts(scores: npt.ArrayLike, same: npt.ArrayLike, band: Band) -> dict[str, Verdicts]:
    """Count verdicts by the band, for genuine and impostor pairs apart.

    Failures to acquire (NaN) are non-matches of their kind.

    Returns:
        ``{"genuine": Verdicts, "impostor": Verdicts}``.
    """
    values, truths = check_pairs(scores, same)
    decisions = np.array(decide_all(values, band))
    kinds = {"genuine": truths, "impostor": ~truths}
    return {kind: _verdicts(decisions[chosen]) for kind, chosen in kinds.items()}


def _verdicts(decisions: npt.NDArray[np.str_]) -> Verdicts:
    return Verdicts(**{name: int(np.sum(decisions == name)) for name in DECISIONS})


@dataclass(frozen=True)
class Confusion:
    """The four counts of a two-way decision, and the rates that follow from them.

    A rate whose denominator is zero is not a number that anybody could have measured: it is
    None.

    Attributes:
        true_matches: genuine pairs decided match.
        false_matches: impostor pairs decided match.
        true_non_matches: impostor pairs decided non-match.
        false_non_matches: genuine pairs decided non-match.
    """

    true_matches: int
    false_matches: int
    true_non_matches: int
    false_non_matches: int

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 0 or self.pairs == 0:
            raise ValueError(f"Expected counts of at least 0, not all 0. Received: {self}")

    @property
    def genuine(self) -> int:
        """All genuine pairs."""
        return self.true_matches + self.false_non_matches

    @property
    def impostor(self) -> int:
        """All impostor pairs."""
        return self.true_non_matches + self.false_matches

    @property
    def pairs(self) -> int:
        """All pairs."""
        return self.genuine + self.impostor

    @property
    def accuracy(self) -> float:
        """Right decisions / pairs."""
        return (self.true_matches + self.true_non_matches) / self.pairs

    @property
    def precision(self) -> float | None:
        """Genuine pairs among those decided match; depends on the list's share of genuine pairs."""
        return _ratio(self.true_matches, self.true_matches + self.false_matches)

    @property
    def recall(self) -> float | None:
        """Genuine pairs decided match / genuine pairs; 1 − FNMR."""
        return _ratio(self.true_matches, self.genuine)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where nothing is or was called genuine."""
        errors = self.false_matches + self.false_non_matches
        return _ratio(2 * self.true_matches, 2 * self.true_matches + errors)

    @property
    def fmr(self) -> float | None:
        """Impostor pairs decided match / impostor pairs."""
        return _ratio(self.false_matches, self.impostor)

    @property
    def fnmr(self) -> float | None:
        """Genuine pairs decided non-match / genuine pairs."""
        return _ratio(self.false_non_matches, self.genuine)


def confusion_at(scores: npt.ArrayLike, same: npt.ArrayLike, threshold: float) -> Confusion:
    """Count the four outcomes of a two-way decision: ``match`` if score ≥ threshold.

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire: a non-match.
        same: bool (N,), True = genuine.
        threshold: a finite number.
    """
    if not math.isfinite(threshold):
        raise ValueError(f"Expected a finite threshold. Received: threshold={threshold}")
    values, truths = check_pairs(scores, same)
    matched: BoolArray = values >= threshold
    return Confusion(
        true_matches=int(np.sum(matched & truths)),
        false_matches=int(np.sum(matched & ~truths)),
        true_non_matches=int(np.sum(~matched & ~truths)),
        false_non_matches=int(np.sum(~matched & truths)),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
