"""Two systems on the same pairs: what lies between them, and how much of it is chance.

Both are measured on every replicate of the same draws (``intervals``), so what makes a draw of
people easy or hard for both falls out of the difference.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation.curves import auc, eer, error_curve, fnmr_at_fmr
from flaskapp.evaluation.decisions import confusion_at
from flaskapp.evaluation.inputs import FloatArray, check_both_kinds, check_pairs
from flaskapp.evaluation.intervals import LEVEL, REPLICATES, resampled_weights
from flaskapp.evaluation.replicates import Ladder
from flaskapp.evaluation.sources import Sources


@dataclass(frozen=True)
class Beside:
    """One figure of two systems.

    Attributes:
        ours: of the first.
        theirs: of the second.
        low: lower end of the 95 % interval of ours − theirs.
        high: its upper end.
        ratio: ours / theirs, where a ratio says more: of FNMR; None elsewhere or where theirs is 0.
        ratio_low: lower end of its 95 % interval; None where theirs was 0 in a draw.
        ratio_high: its upper end.
    """

    ours: float
    theirs: float
    low: float
    high: float
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None

    @property
    def difference(self) -> float:
        """Ours − theirs."""
        return self.ours - self.theirs

    def to_json(self) -> dict[str, float | None]:
        """Return both figures, their difference and its interval."""
        return {**vars(self), "difference": self.difference}


def beside(
    scores: npt.ArrayLike,
    others: npt.ArrayLike,
    same: npt.ArrayLike,
    threshold: float,
    other_threshold: float,
    sources: Sources,
    *,
    stated_fmrs: tuple[str, ...] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Beside]:
    """Compare two systems' scores of the same pairs.

    Args:
        scores: float (N,), ours; NaN = failure to acquire.
        others: float (N,), theirs, on any scale, likewise.
        same: bool (N,), True = genuine.
        threshold: ours, for the accuracy.
        other_threshold: theirs.
        sources: the people of both photos of each pair.
        stated_fmrs: false match rates ("0.01") at which these pairs can show an FNMR.
        replicates: how many times people are drawn.
        seed: what the draws start from.

    Returns:
        "accuracy", "eer", "auc" and "fnmr_at_fmr.…", as far as both can show it.

    Raises:
        DataError: the pairs are of one kind only, or show a single person.
    """
    systems = []
    for values, cut in ((scores, threshold), (others, other_threshold)):
        checked, truths = check_pairs(values, same)
        check_both_kinds(truths, "A comparison of systems")
        drawn = _drawn(Ladder(checked, truths, cut, stated_fmrs, chances=False), sources, replicates, seed)
        systems.append((_figures(values, truths, cut, stated_fmrs), drawn))
    (ours, our_draws), (theirs, their_draws) = systems
    return {
        name: _beside(name, ours[name], theirs[name], our_draws[name], their_draws[name])
        for name in ours
        if name in theirs
    }


def _figures(scores: npt.ArrayLike, same: npt.ArrayLike, threshold: float, stated: tuple[str, ...]) -> dict[str, float]:
    curve = error_curve(scores, same)
    figures = {"accuracy": confusion_at(scores, same, threshold).accuracy, "eer": eer(curve), "auc": auc(curve)}
    for key in stated:
        with suppress(UnreachableRateError):  # tied scores
            figures[f"fnmr_at_fmr.{key}"] = fnmr_at_fmr(curve, float(key))
    return figures


def _drawn(ladder: Ladder, sources: Sources, replicates: int, seed: int) -> dict[str, FloatArray]:
    if sources.count < 2:
        raise DataError("A comparison of systems expects pairs of several people. Received: one person.")
    parts = [ladder.figures(weights) for weights in resampled_weights(sources.taken(ladder.order), replicates, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _beside(name: str, ours: float, theirs: float, our_draws: FloatArray, their_draws: FloatArray) -> Beside:
    low, high = _ends(our_draws - their_draws)
    if not name.startswith("fnmr") or theirs == 0:
        return Beside(ours, theirs, low, high)
    if np.any(their_draws == 0):  # then nobody knows how large the ratio might be
        return Beside(ours, theirs, low, high, ours / theirs)
    return Beside(ours, theirs, low, high, ours / theirs, *_ends(our_draws / their_draws))


def _ends(drawn: FloatArray) -> tuple[float, float]:
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
