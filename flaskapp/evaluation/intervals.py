"""How far the figures could be off: intervals by bootstrap over people.

Pairs that share a person are not independent: one person whom the network confuses spoils
many pairs at once. So people are drawn, not pairs. Each replicate draws as many people as
there are, with replacement; a person drawn n times counts n-fold, hence a pair of persons a
and b counts nₐ · n_b, and a pair of one person's photos nₐ. Drawing the vertices of a network
rather than its edges is Snijders and Borgatti's ("Non-parametric standard errors and tests
for network statistics", Connections 22, 1999); weights as products are Owen and Eckles's
("Bootstrapping data arrays of arbitrary order", Annals of Applied Statistics 6, 2012), who
also show that the intervals come out rather too wide than too narrow; for matching faces see
Fogliato, Patil and Perona ("Confidence Intervals for Error Rates in 1:1 Matching Tasks",
International Journal of Computer Vision, 2024).

No resampling shows an error that never happened: where there was none, the bound is the exact
one for zero errors in n independent trials, 1 − 0.05^(1/n) (Clopper and Pearson; about 3/n,
the rule of three), and n counts the pairs of the same two people once. Where every pair was
wrong, the same holds of the pairs that were right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.curves import error_curve, index_at_fmr
from flaskapp.evaluation.inputs import BoolArray, FloatArray, check_pairs
from flaskapp.evaluation.replicates import Ladder
from flaskapp.evaluation.sources import Sources

LEVEL = 0.95
Method = Literal["bootstrap", "no errors seen", "only errors seen"]
IN_BITS = ("cllr", "min_cllr", "calibration_loss")
REPLICATES = 1000
# Weights held at once; 4 million float64 are 32 MB, and three such arrays live together.
WEIGHTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """Where the true figure lies, with a confidence of ``level``.

    Attributes:
        low: lower end.
        high: upper end.
        level: confidence, 0.95.
        method: "bootstrap", or "no errors seen" or "only errors seen" for a one-sided bound.
    """

    low: float
    high: float
    level: float = LEVEL
    method: Method = "bootstrap"

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.high < math.inf and 0 < self.level < 1):
            raise ValueError(f"Expected 0 ≤ low ≤ high. Received: {self}")

    def to_json(self) -> dict[str, Any]:
        """Return both ends and how they were found."""
        return {"low": self.low, "high": self.high, "level": self.level, "method": self.method}


def no_errors_bound(trials: int, level: float = LEVEL) -> float:
    """Return the highest error rate that still often shows no error in so many trials.

    >>> round(no_errors_bound(3000), 5)
    0.001
    """
    if trials < 1:
        raise ValueError(f"Expected at least one trial. Received: trials={trials}")
    return -math.expm1(math.log(1 - level) / trials)


def bootstrap_intervals(
    scores: npt.ArrayLike,
    same: npt.ArrayLike,
    threshold: float,
    sources: Sources,
    *,
    stated_fmrs: Sequence[str] = (),
    chances: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Find 95 % intervals of all figures over people.

    The threshold stays where it is: it was chosen on other people. The share of genuine pairs
    stays too: it is a choice of whoever made the list. Ends are percentiles of the replicates.
    A calibration error is bent upwards by any resampling, so its interval lies rather high.

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire.
        same: bool (N,), True = genuine.
        threshold: ``match`` if score ≥ threshold.
        sources: the people of both photos of each pair.
        stated_fmrs: false match rates ("0.01") at which these pairs can show an FNMR.
        chances: whether the scores are chances; gives ``brier``, ``ece``, ``cllr``,
            ``min_cllr`` and ``calibration_loss``.
        replicates: how many times people are drawn.
        seed: the same seed draws the same people.

    Returns:
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``fmr``, ``fnmr``, ``eer``, ``auc`` and
        ``fnmr_at_fmr.…`` as far as they are defined: without impostor pairs no ``fmr``, and so
        on; none where all draws agree, and nothing at all where a single person leaves nothing to draw.
    """
    values, truths = check_pairs(scores, same)
    if sources.reference.shape != values.shape:
        raise ValueError(f"Expected sources of {values.size} pairs. Received: {sources.reference.size}")
    if sources.count < 2:
        return {}
    ladder = Ladder(values, truths, threshold, stated_fmrs, chances=chances)
    drawn = [ladder.figures(weights) for weights in resampled_weights(sources.taken(ladder.order), replicates, seed)]
    figures = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    intervals = {name: found for name, part in figures.items() if (found := _percentiles(name, part))}
    return intervals | without_errors(values, truths, threshold, sources, stated_fmrs)


def resampled_weights(sources: Sources, replicates: int, seed: int) -> Iterator[FloatArray]:
    """Yield the pairs' weights in each replicate, float64 (b, N), a few replicates at a time.

    A statistic of one replicate is the same statistic with each pair counted so many times.
    The draws do not depend on how many replicates are made at a time.
    """
    if replicates < 1:
        raise ValueError(f"Expected at least one replicate. Received: replicates={replicates}")
    generator = np.random.default_rng(seed)
    at_once = max(1, WEIGHTS_AT_ONCE // max(sources.reference.size, sources.count))
    equally = np.full(sources.count, 1 / sources.count)
    alone = sources.reference == sources.probe
    for start in range(0, replicates, at_once):
        size = min(at_once, replicates - start)
        drawn = generator.multinomial(sources.count, equally, size=size).astype(np.float64)
        yield drawn[:, sources.reference] * np.where(alone, 1.0, drawn[:, sources.probe])


def _percentiles(name: str, drawn: FloatArray) -> Interval | None:
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size == 0:
        return None
    # Rounding may carry a share past 0 or 1; a Cllr may truly lie above 1.
    ends = np.clip(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]), 0.0, math.inf if name in IN_BITS else 1.0)
    # Of too few pairs all draws say the same: that is no certainty.
    return Interval(float(ends[0]), float(ends[1])) if ends[0] < ends[1] else None


def without_errors(
    values: FloatArray, truths: BoolArray, threshold: float, sources: Sources, stated_fmrs: Sequence[str] = ()
) -> dict[str, Interval]:
    """Return bounds for the figures that are perfect on these pairs, or could not be worse."""
    wrong = (values >= threshold) != truths
    bounds: dict[str, Interval] = {}
    if truths.any():
        bounds |= _nobody_missed(truths, wrong, sources)
    if not truths.all():
        bounds |= _nobody_let_in(truths, wrong, sources)
    if not wrong.any():
        bounds |= _nothing_wrong(truths, sources)
    if truths.any() and not truths.all():
        bounds |= _kinds_apart(values, truths, sources) | _nobody_missed_at(values, truths, sources, stated_fmrs)
    return bounds


def _nobody_missed(truths: BoolArray, wrong: BoolArray, sources: Sources) -> dict[str, Interval]:
    bound = no_errors_bound(sources.combinations(truths))
    if wrong[truths].all():
        only: Method = "only errors seen"
        return {"fnmr": Interval(1 - bound, 1.0, method=only), "recall": Interval(0.0, bound, method=only)}
    return {} if wrong[truths].any() else {"fnmr": _upper(bound), "recall": _lower(1 - bound)}


def _nobody_let_in(truths: BoolArray, wrong: BoolArray, sources: Sources) -> dict[str, Interval]:
    bound = no_errors_bound(sources.combinations(~truths))
    if wrong[~truths].all():
        return {"fmr": Interval(1 - bound, 1.0, method="only errors seen")}
    if wrong[~truths].any():
        return {}
    matched = float(np.mean(truths & ~wrong))
    let_in = float(np.mean(~truths)) * bound
    found = {"fmr": _upper(bound)}
    return found | {"precision": _lower(matched / (matched + let_in))} if matched else found


def _nothing_wrong(truths: BoolArray, sources: Sources) -> dict[str, Interval]:
    bound, share = no_errors_bound(sources.combinations(np.ones_like(truths))), float(truths.mean())
    # F1 is lowest if all that goes wrong goes wrong with genuine pairs.
    f1 = {"f1": _lower(max(0.0, 2 * (share - bound) / (2 * share - bound)))} if share > bound else {}
    return {"accuracy": _lower(1 - bound), **f1}


def _kinds_apart(values: FloatArray, truths: BoolArray, sources: Sources) -> dict[str, Interval]:
    if values[truths].min() <= values[~truths].max():
        return {}
    # At a threshold that parts both kinds neither rate exceeds its own bound, and where
    # the curves cross they are no higher than the larger rate at any one threshold. A genuine
    # and an impostor pair on their own sides of it are in the right order.
    bound = no_errors_bound(min(sources.combinations(truths), sources.combinations(~truths)))
    return {"eer": _upper(bound), "auc": _lower((1 - bound) ** 2)}


def _nobody_missed_at(
    values: FloatArray, truths: BoolArray, sources: Sources, stated_fmrs: Sequence[str]
) -> dict[str, Interval]:
    curve = error_curve(np.where(np.isneginf(values), np.nan, values), truths)
    perfect = [key for key in stated_fmrs if curve.false_non_matches[index_at_fmr(curve, float(key))] == 0]
    bound = no_errors_bound(sources.combinations(truths)) if perfect else 0.0
    return {f"fnmr_at_fmr.{key}": _upper(bound) for key in perfect}


def _upper(bound: float) -> Interval:
    return Interval(0.0, bound, method="no errors seen")


def _lower(bound: float) -> Interval:
    return Interval(bound, 1.0, method="no errors seen")
