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
from typing import Literal

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.curves import error_curve, first_allowed
from flaskapp.evaluation.decisions import DECISIONS, BoolArray, Decision, FloatArray, IntArray, check_pairs
from flaskapp.evaluation.quality import Ladder

LEVEL = 0.95
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
Method = Literal["bootstrap", "exact", "no errors seen", "only errors seen"]
Unit = Literal["person", "photo"]
IN_BITS = ("cllr", "min_cllr", "calibration_loss")
REPLICATES = 1000
# Weights held at once; 4 million float64 are 32 MB, and three such arrays live together.
WEIGHTS_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class Sources:
    """Who or what the pairs were made of, and is drawn again by the bootstrap."""

    unit: Unit  # "person", or "photo" where the people are not known
    reference: IntArray  # int64 (N,), number of the reference's person (or photo), from 0
    probe: IntArray  # int64 (N,), likewise for the probe
    count: int  # how many people (or photos) there are

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
    """Number the people (or photos) of both sides of the pairs, given N names each."""
    numbers: dict[object, int] = {}
    first, second = (
        np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        for names in (reference, probe)
    )
    return Sources(unit, first, second, len(numbers))


@dataclass(frozen=True)
class Interval:
    """Where the true figure lies, with a confidence of ``level``.

    ``method`` is "bootstrap" or "exact", or "no errors seen" or "only errors seen" for a one-sided bound.
    """

    low: float
    high: float
    level: float = LEVEL
    method: Method = "bootstrap"


def no_errors_bound(trials: int) -> float:
    """Return the highest error rate that shows no error in so many trials, one or more, in 5 % of cases.

    >>> round(no_errors_bound(3000), 5)
    0.001
    """
    return -math.expm1(math.log(1 - LEVEL) / trials)


def exact_interval(hits: int, trials: int) -> Interval:
    """Return the exact 95 % interval of a share, from hits in independent trials, one or more (Clopper and Pearson).

    Where nothing was hit, or everything, it is the one-sided bound.

    >>> found = exact_interval(6, 10_000)
    >>> round(found.low, 5), round(found.high, 5)
    (0.00022, 0.00131)
    """
    if hits == 0:
        return _at_most(no_errors_bound(trials))
    if hits == trials:
        return Interval(1 - no_errors_bound(trials), 1.0, method="only errors seen")
    return Interval(_share_where(hits - 1, trials, ENDS[1]), _share_where(hits, trials, ENDS[0]), method="exact")


def _share_where(most: int, trials: int, chance: float) -> float:
    """Return the share at which no more than so many hits have this chance."""
    hits = np.arange(most + 1)
    ways = np.array([math.lgamma(trials + 1) - math.lgamma(n + 1) - math.lgamma(trials - n + 1) for n in hits])
    low, high = 0.0, 1.0
    for _ in range(50):  # halving so often leaves nothing that shows
        share = (low + high) / 2
        rarer = np.exp(ways + hits * math.log(share) + (trials - hits) * math.log1p(-share)).sum() < chance
        low, high = (low, share) if rarer else (share, high)
    return low


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
    """Find 95 % intervals of all figures over people: percentiles of the replicates.

    Threshold and share of genuine pairs stay as they are. Any resampling bends a calibration error upwards, so
    its interval lies rather high. The arguments are those of ``evaluate``; ``stated_fmrs`` are false match rates
    ("0.01") at which these pairs can show an FNMR, and where scores are ``chances``, ``quality`` gets intervals too.

    Returns:
        Name of a figure → interval; none where it is undefined or all draws agree, and nothing
        at all where a single person leaves nothing to draw.
    """
    values, truths = check_pairs(scores, same)
    if sources.count < 2:
        return {}
    ladder = Ladder(values, truths, threshold, stated_fmrs, chances=chances)
    figures = replicated(ladder, sources, replicates, seed)
    intervals = {name: found for name, part in figures.items() if (found := _percentiles(name, part))}
    return intervals | _bounds(values, truths, threshold, sources, stated_fmrs)


def verdict_intervals(
    decided: Sequence[Decision], same: BoolArray, sources: Sources, replicates: int, seed: int
) -> dict[str, Interval]:
    """Find 95 % intervals of each verdict's share of "genuine" and "impostor" pairs ("impostor.match"), likewise."""
    got, found = np.array(decided)[:, None] == DECISIONS, dict[str, Interval | None]()
    for kind, among in (("genuine", same), ("impostor", ~same)):
        if not among.any() or sources.count < 2:
            continue
        hits, bound, part = got[among].astype(np.float64), _bound(sources, among), sources.taken(np.flatnonzero(among))
        with np.errstate(invalid="ignore"):  # NaN where none was drawn
            drawn = [(times @ hits).T / times.sum(axis=1) for times in resampled_weights(part, replicates, seed)]
        for name, share, shares in zip(DECISIONS, hits.mean(axis=0), np.concatenate(drawn, axis=1), strict=True):
            always = Interval(1 - bound, 1.0, method="only errors seen") if share else _at_most(bound)
            found[f"{kind}.{name}"] = _percentiles("", shares) if 0 < share < 1 else always
    return {name: interval for name, interval in found.items() if interval}


def replicated(ladder: Ladder, sources: Sources, replicates: int = REPLICATES, seed: int = 0) -> dict[str, FloatArray]:
    """Return the figures of every replicate, float64 (replicates,) each; sources in the list's own order."""
    parts = [ladder.figures(weights) for weights in resampled_weights(sources.taken(ladder.order), replicates, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def resampled_weights(sources: Sources, replicates: int, seed: int) -> Iterator[FloatArray]:
    """Yield how often each pair counts in each replicate, float64 (b, N), a few replicates at a time.

    The draws do not depend on how many replicates are made at a time.
    """
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
    ends = np.clip(np.quantile(drawn, ENDS), 0.0, math.inf if name in IN_BITS else 1.0)
    # Of too few pairs all draws say the same: that is no certainty.
    return Interval(float(ends[0]), float(ends[1])) if ends[0] < ends[1] else None


def _bounds(
    values: FloatArray, truths: BoolArray, threshold: float, sources: Sources, stated_fmrs: Sequence[str]
) -> dict[str, Interval]:
    """Return bounds for the figures that are perfect on these pairs, or could not be worse."""
    wrong, share = (values >= threshold) != truths, float(truths.mean())
    found: dict[str, Interval] = {}
    for kind, name in ((truths, "fnmr"), (~truths, "fmr")):
        if kind.any() and wrong[kind].all():
            found[name] = Interval(1 - _bound(sources, kind), 1.0, method="only errors seen")
        elif kind.any() and not wrong[kind].any():
            found[name] = _at_most(_bound(sources, kind))
    if fnmr := found.get("fnmr"):
        found["recall"] = Interval(1 - fnmr.high, 1 - fnmr.low, method=fnmr.method)
    matched = float(np.mean(truths & ~wrong))
    if matched and "fmr" in found and not wrong[~truths].any():
        found["precision"] = _at_least(matched / (matched + (1 - share) * found["fmr"].high))
    if not wrong.any():
        bound = _bound(sources, np.ones_like(truths))
        found["accuracy"] = _at_least(1 - bound)
        if share > bound:
            # F1 is lowest if all that goes wrong goes wrong with genuine pairs.
            found["f1"] = _at_least(2 * (share - bound) / (2 * share - bound))
    both = truths.any() and not truths.all()
    return found | (_bounds_of_curves(values, truths, sources, stated_fmrs) if both else {})


def _bounds_of_curves(
    values: FloatArray, truths: BoolArray, sources: Sources, stated_fmrs: Sequence[str]
) -> dict[str, Interval]:
    found: dict[str, Interval] = {}
    nobody_missed = _bound(sources, truths)
    if values[truths].min() > values[~truths].max():
        # At a threshold that parts both kinds neither rate exceeds its own bound, and where
        # the curves cross they are no higher than the larger rate at any one threshold. A genuine
        # and an impostor pair on their own sides of it are in the right order.
        bound = max(nobody_missed, _bound(sources, ~truths))
        found |= {"eer": _at_most(bound), "auc": _at_least((1 - bound) ** 2)}
    curve = error_curve(np.where(np.isneginf(values), np.nan, values), truths)
    lowest = {key: first_allowed(curve.false_matches, float(key), curve.impostor) for key in stated_fmrs}
    perfect = [key for key, index in lowest.items() if curve.false_non_matches[index] == 0]
    return found | {f"fnmr_at_fmr.{key}": _at_most(nobody_missed) for key in perfect}


def _bound(sources: Sources, kind: BoolArray) -> float:
    return no_errors_bound(sources.combinations(kind))


def _at_most(bound: float) -> Interval:
    return Interval(0.0, bound, method="no errors seen")


def _at_least(bound: float) -> Interval:
    return Interval(bound, 1.0, method="no errors seen")
