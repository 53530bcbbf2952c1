"""Turning a distance into a similarity score: two numbers, fitted by logistic regression."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError
from flaskapp.evaluation.calibration import Trust
from flaskapp.evaluation.decisions import BoolArray, FloatArray, check_both_kinds, check_pairs, sigmoid

NO_MATTER = Trust((0.0, 0.0), (0.0, 0.0))
MOST_STEPS = 100
# Newton's method doubles its right digits at every step near the end, so the step after one
# this small would change nothing that float64 can hold.
SMALLEST_STEP = 1e-10
GOLDEN, GOLDEN_STEPS, SAME = (5**0.5 - 1) / 2, 30, 1e-7


@dataclass(frozen=True)
class Calibration:
    """``similarity_score = sigmoid(scale · distance + offset)``, as far as the network is sure: see ``Trust``.

    Attributes:
        scale: negative: the larger the distance, the less alike.
        offset: log odds of "same person" at distance 0.
        log_loss: mean of −log(score given to the truth), natural logarithm, over the pairs as
            weighted in the fit.
        genuine: genuine pairs it was fitted on.
        impostor: impostor pairs it was fitted on.
        genuine_share: share of genuine pairs that the score assumes.
        trust: what these log-odds count for where the network is less sure.
    """

    scale: float
    offset: float
    log_loss: float
    genuine: int
    impostor: int
    genuine_share: float
    trust: Trust = NO_MATTER

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(f"Expected finite numbers. Received: {self.scale}, {self.offset}")
        if self.scale >= 0:
            raise DataError(
                f"A score has to fall as the distance grows. Received: scale={self.scale:g}.",
                "The embeddings do not tell people apart: train longer, or check the labels.",
            )

    def score(self, distance: npt.ArrayLike, certainty: npt.ArrayLike = 1.0, other: npt.ArrayLike = 1.0) -> FloatArray:
        """Return similarity scores in [0, 1] for distances of any shape, and the certainty of both faces."""
        odds = self.scale * np.asarray(distance, dtype=np.float64) + self.offset
        return sigmoid(self.trust.weigh(odds, certainty, other))

    def to_json(self) -> dict[str, Any]:
        """Return what is stored beside the weights."""
        return asdict(self)


def fit_calibration(
    distance: npt.ArrayLike,
    same: npt.ArrayLike,
    genuine_share: float | None = 0.5,
    *,
    trust: Trust = NO_MATTER,
    certainty: npt.ArrayLike = 1.0,
    other: npt.ArrayLike = 1.0,
    counts_for: npt.ArrayLike = 1.0,
) -> Calibration:
    """Fit scale and offset so that the score is the chance of "same person".

    Logistic regression by Newton's method in float64. The targets are Platt's (in "Advances
    in Large Margin Classifiers", MIT Press 2000, pages 61-74): (n₊ + 1)/(n₊ + 2) and
    1/(n₋ + 2) in place of 1 and 0. Distances that separate both kinds without error then
    still have a finite answer, and with many pairs nothing changes.

    Args:
        distance: float (N,), finite, smaller = more alike.
        same: bool (N,), True = genuine.
        genuine_share: weigh both kinds as if this share of pairs were genuine; 0.5 lets a
            score of one half mean "as likely as not" where either is equally common. None =
            as in these pairs.
        trust: what log-odds are to count for where the network is less sure.
        certainty: float (N,) in [0, 1], of the one face of each pair.
        other: likewise, of the other face.
        counts_for: float (N,), how much each pair weighs among those of its kind.

    Raises:
        DataError: the pairs are of one kind only, there are none, all distances are the same,
            or genuine pairs are not nearer to each other than impostor pairs.
    """
    check_share(genuine_share)
    values, truths = check_pairs(distance, same)
    if not np.isfinite(values).all():
        raise ValueError("Expected finite distances. Received: NaN")
    check_both_kinds(truths, "Calibration")
    centre, spread = float(values.mean()), float(values.std())
    if spread <= 1e-12 * max(1.0, abs(centre)):
        raise DataError("Calibration expects distances that differ. Received: all the same.")
    genuine, impostor = int(truths.sum()), int((~truths).sum())
    share = genuine / truths.size if genuine_share is None else genuine_share
    targets, weights = platt(truths, share, counts_for)
    sure = np.multiply(certainty, other, dtype=np.float64)
    scaled = (values - centre) / spread
    if trust == NO_MATTER:
        slope, level = _newton(scaled, targets, weights)
    else:
        above, below = (np.broadcast_to(part, values.shape) for part in trust.parts(sure))
        slope, level = _bent(scaled, targets, weights, (above, below))
    scale, offset = slope / spread, level - slope * centre / spread
    return Calibration(
        scale=float(scale),
        offset=float(offset),
        log_loss=float(weights @ _log_loss(trust.weigh(scale * values + offset, certainty, other), truths)),
        genuine=genuine,
        impostor=impostor,
        genuine_share=share,
        trust=trust,
    )


def check_share(share: float | None) -> None:
    """Refuse a share of genuine pairs outside (0, 1).

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if share is not None and not 0 < share < 1:
        raise ValueError(f"Expected genuine_share between 0 and 1. Received: genuine_share={share}")


def platt(truths: BoolArray, share: float = 0.5, counts_for: npt.ArrayLike = 1.0) -> tuple[FloatArray, FloatArray]:
    """Return Platt's targets, and weights as if a share of the pairs were genuine, both float64 (N,)."""
    genuine, impostor = int(truths.sum()), int((~truths).sum())
    weights = np.broadcast_to(np.asarray(counts_for, np.float64), truths.shape)
    weights = weights * np.where(truths, share / weights[truths].sum(), (1 - share) / weights[~truths].sum())
    return np.where(truths, (genuine + 1) / (genuine + 2), 1 / (impostor + 2)), weights


def _newton(distance: FloatArray, targets: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Minimise the weighted log loss of sigmoid(slope · distance + level).

    The loss is convex, so a step that overshoots is halved until it descends.
    """
    columns = np.stack((distance, np.ones_like(distance)), axis=1)
    answer = np.zeros(2)
    for _ in range(MOST_STEPS):
        scores = sigmoid(columns @ answer)
        gradient = columns.T @ (weights * (scores - targets))
        curvature = (columns * (weights * scores * (1 - scores))[:, None]).T @ columns
        step: FloatArray = np.linalg.solve(curvature, gradient).astype(np.float64)
        if np.abs(step).max() <= SMALLEST_STEP * (1 + np.abs(answer).max()):
            return float(answer[0]), float(answer[1])
        start = weights @ _log_loss(columns @ answer, targets)
        while weights @ _log_loss(columns @ (answer - step), targets) > start + 1e-14 and np.abs(step).max() > 1e-12:
            step = step / 2
        answer = answer - step
    raise DataError("Calibration found no answer.", "Check the distances for extreme values.")


def _bent(
    distance: FloatArray, targets: FloatArray, weights: FloatArray, parts: tuple[FloatArray, FloatArray]
) -> tuple[float, float]:
    """Minimise the same, of the log-odds above 0 the one part counting and of those below the other.

    Where they cross 0 decides which counts.
    """

    def odds_at(place: float) -> FloatArray:
        odds = place - distance
        return odds * np.where(odds > 0, *parts)

    slope, place = steepest(odds_at, distance, targets, weights)
    return -slope, slope * place


def steepest(
    odds_at: Callable[[float], FloatArray], places: FloatArray, targets: FloatArray, weights: FloatArray
) -> tuple[float, float]:
    """Minimise the weighted log loss of sigmoid(slope · odds_at(place)); return slope and place.

    With the place held the loss is convex in the slope alone; the place is found by golden section, among ``places``.
    """

    def at(place: float) -> tuple[float, float]:
        odds, slope = odds_at(place), 1.0
        for _ in range(MOST_STEPS):
            scores = sigmoid(slope * odds)
            bend = float((weights * odds**2) @ (scores * (1 - scores)))
            step = float((weights * odds) @ (scores - targets)) / max(bend, 1e-300)
            slope, last = max(slope - step, slope / 4), slope
            if abs(slope - last) <= SAME * slope:
                break
        return float(weights @ _log_loss(slope * odds, targets)), slope

    low, high = (float(end) for end in np.quantile(places, (0.001, 0.999)))
    for _ in range(GOLDEN_STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if at(left)[0] < at(right)[0] else (left, high)
    place = (low + high) / 2
    return at(place)[1], place


def _log_loss(logit: FloatArray, target: FloatArray | BoolArray) -> FloatArray:
    """Return −target · log(score) − (1 − target) · log(1 − score) of each pair."""
    return np.logaddexp(0.0, logit) - target * logit
