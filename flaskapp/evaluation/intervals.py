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
the rule of three), and n counts the pairs of the same two people once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from flaskapp.evaluation.curves import crossing
from flaskapp.evaluation.inputs import BoolArray, FloatArray, IntArray, check_pairs

LEVEL = 0.95
REPLICATES = 1000
# Weights held at once; 4 million float64 are 32 MB, and three such arrays live together.
WEIGHTS_AT_ONCE = 4_000_000

Unit = Literal["person", "photo"]


class Pair(Protocol):
    """What a pair has to tell: two photos' paths, and whether they show one person."""

    @property
    def reference(self) -> str:
        """Path of the photo compared against."""

    @property
    def probe(self) -> str:
        """Path of the new photo."""

    @property
    def same(self) -> bool:
        """Whether the pair is genuine."""


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


def sources_of(pairs: Sequence[Pair]) -> Sources:
    """Find out whom the pairs are made of.

    Folders are taken for people where the list itself bears that out: every genuine pair
    within one folder, every impostor pair across two, and both kinds present (LFW's lists are
    like this). Otherwise nobody knows who is who, and photos are drawn in place of people.
    """
    references, probes = ([_folder(path) for path in side] for side in _sides(pairs))
    agree = all(
        first != "" and second != "" and (first == second) == pair.same
        for first, second, pair in zip(references, probes, pairs, strict=True)
    )
    if agree and len({pair.same for pair in pairs}) == 2:
        return sources_by("person", references, probes)
    return sources_by("photo", *_sides(pairs))


def _sides(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    return [pair.reference for pair in pairs], [pair.probe for pair in pairs]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True)
class Interval:
    """Where the true figure lies, with a confidence of ``level``.

    Attributes:
        low: lower end.
        high: upper end.
        level: confidence, 0.95.
        method: "bootstrap", or "no errors seen" for a one-sided bound.
    """

    low: float
    high: float
    level: float = LEVEL
    method: Literal["bootstrap", "no errors seen"] = "bootstrap"

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.high <= 1 and 0 < self.level < 1):
            raise ValueError(f"Expected 0 ≤ low ≤ high ≤ 1. Received: {self}")

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
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Find 95 % intervals of ``accuracy``, ``fmr``, ``fnmr`` and ``eer`` over people.

    The threshold stays where it is: it was chosen on other people. The share of genuine pairs
    stays too: it is a choice of whoever made the list. Ends are percentiles of the replicates.

    Args:
        scores: float (N,), higher = more alike, NaN = failure to acquire.
        same: bool (N,), True = genuine.
        threshold: ``match`` if score ≥ threshold.
        sources: the people of both photos of each pair.
        replicates: how many times people are drawn.
        seed: the same seed draws the same people.

    Returns:
        What is defined: without impostor pairs no ``fmr``, and so on; nothing at all where a
        single person leaves nothing to draw.
    """
    values, truths = check_pairs(scores, same)
    if sources.reference.shape != values.shape:
        raise ValueError(f"Expected sources of {values.size} pairs. Received: {sources.reference.size}")
    if sources.count < 2:
        return {}
    wrong = (values >= threshold) != truths
    chunks = resampled_weights(sources, replicates, seed)
    drawn = [_rates(weights, values, truths, wrong) for weights in chunks]
    figures = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    intervals = {name: found for name, part in figures.items() if (found := _percentiles(part))}
    return intervals | _without_errors(values, truths, wrong, sources)


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


def _rates(weights: FloatArray, values: FloatArray, truths: BoolArray, wrong: BoolArray) -> dict[str, FloatArray]:
    """Return each replicate's rates, float64 (b,) each; NaN where it drew nobody who counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        fnmr = weights @ (wrong & truths) / (weights @ truths)
        fmr = weights @ (wrong & ~truths) / (weights @ ~truths)
        if truths.all():
            return {"fnmr": fnmr, "accuracy": 1 - fnmr}
        if not truths.any():
            return {"fmr": fmr, "accuracy": 1 - fmr}
        share = truths.mean()
        return {
            "fmr": fmr,
            "fnmr": fnmr,
            "accuracy": 1 - share * fnmr - (1 - share) * fmr,
            "eer": crossing(*_weighted_curves(weights, values, truths)),
        }


def _weighted_curves(weights: FloatArray, values: FloatArray, truths: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return FMR and FNMR of each replicate at every threshold, float64 (b, T) each."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    differs = np.append(True, ordered[1:] != ordered[:-1])
    first = np.flatnonzero(np.isfinite(ordered) & differs)
    below = []
    for chosen in (truths[order], ~truths[order]):
        # Column k: the weight of this kind among the k lowest scores.
        sums = np.pad(np.cumsum(weights[:, order] * chosen, axis=1), ((0, 0), (1, 0)))
        below.append(sums[:, np.append(first, ordered.size)] / sums[:, -1:])
    fnmr, true_non_match_rate = below
    return 1 - true_non_match_rate, fnmr


def _percentiles(drawn: FloatArray) -> Interval | None:
    drawn = drawn[~np.isnan(drawn)]
    if drawn.size == 0:
        return None
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = np.clip(ends, 0.0, 1.0)
    return Interval(float(low), float(high))


def _without_errors(values: FloatArray, truths: BoolArray, wrong: BoolArray, sources: Sources) -> dict[str, Interval]:
    """Return bounds for the figures that are perfect on these pairs."""
    bounds = {}
    for name, chosen in (("fmr", ~truths), ("fnmr", truths)):
        if chosen.any() and not wrong[chosen].any():
            bounds[name] = _upper(no_errors_bound(sources.combinations(chosen)))
    if not wrong.any():
        bound = no_errors_bound(sources.combinations(np.ones_like(truths)))
        bounds["accuracy"] = Interval(1 - bound, 1.0, method="no errors seen")
    if truths.any() and not truths.all() and values[truths].min() > values[~truths].max():
        # At a threshold that parts both kinds neither rate exceeds its own bound, and where
        # the curves cross they are no higher than the larger rate at any one threshold.
        trials = min(sources.combinations(truths), sources.combinations(~truths))
        bounds["eer"] = _upper(no_errors_bound(trials))
    return bounds


def _upper(bound: float) -> Interval:
    return Interval(0.0, bound, method="no errors seen")
