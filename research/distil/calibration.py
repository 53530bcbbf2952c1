"""Turning a distance into a similarity score: two numbers, fitted by logistic regression."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from flaskapp.errors import DataError
from flaskapp.evaluation.calibration import Trust
from flaskapp.evaluation.decisions import BoolArray, FloatArray, check_both_kinds, check_pairs, sigmoid

NO_MATTER = Trust((0.0, 0.0), 0.0)
# Of both numbers and of the loss, where looking for them ends: a score then moves less than its sixth digit.
CLOSE, CLOSE_LOSS = 1e-7, 1e-13


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

    Logistic regression in float64. The targets are Platt's (in "Advances
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
    scaled = (centre - values) / spread
    slope, level = fit_odds(lambda s, o: trust.weigh(s * scaled + o, certainty, other), targets, weights)
    scale, offset = -slope / spread, level + slope * centre / spread
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


def fit_odds(
    odds_at: Callable[[float, float], FloatArray], targets: FloatArray, weights: FloatArray
) -> tuple[float, float]:
    """Return the scale and offset of log-odds, ``odds_at(scale, offset)``, at which the weighted log loss is least.

    By Nelder and Mead's simplex ("A simplex method for function minimization", 1965): certainty bends the odds.
    """

    def loss(numbers: FloatArray) -> float:
        return float(weights @ _log_loss(odds_at(*numbers), targets))

    found = scipy.optimize.minimize(
        loss, (1.0, 0.0), method="Nelder-Mead", options={"xatol": CLOSE, "fatol": CLOSE_LOSS, "maxfev": 2_000}
    )
    if not found.success:
        raise DataError("Calibration found no answer.", "Check the distances for extreme values.")
    return float(found.x[0]), float(found.x[1])


def _log_loss(logit: FloatArray, target: FloatArray | BoolArray) -> FloatArray:
    """Return −target · log(score) − (1 − target) · log(1 − score) of each pair."""
    return np.logaddexp(0.0, logit) - target * logit
