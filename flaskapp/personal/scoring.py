"""Which pairs choose and which are scored, and what a network says of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np

from flaskapp.evaluation.curves import MAX_FMR, MAX_FNMR
from flaskapp.evaluation.decisions import Band, sigmoid
from flaskapp.personal.model import nearness
from flaskapp.weights.runtime import pair_log_odds

# Of the way from the strangers' mean nearness to the owner's. Beyond the middle, because
# out_of_scope takes two photos that are far: the owner may be missed in one, strangers in none.
SCOPE_PLACE = 0.6
IMPOSTORS_PASSING = 1 / 200
IMPOSTORS_AT_MOST = 20_000


@dataclass(frozen=True, eq=False)
class Head:
    """The last layers of a network in plain numbers.

    Attributes:
        kernel: float32 (d, 4096), Dense.
        bias: float32 (4096,).
        score_kernel: float32 (4096,).
        score_bias: float.
        certainty: exponent and full length of ``layers.CertaintyLength``.
    """

    kernel: np.ndarray
    bias: np.ndarray
    score_kernel: np.ndarray
    score_bias: float
    certainty: tuple[float, float]

    def embed(self, features: np.ndarray) -> np.ndarray:
        """Return embeddings (N, 4096) of features (N, d)."""
        exponent, full = self.certainty
        vectors = features @ self.kernel + self.bias
        length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors / length * (length / full) ** exponent

    def nearness(self, templates: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
        """Return how near each embedding (N, 4096) is to the owner of templates, float64 (N,)."""
        return nearness(templates, embeddings, self.score_kernel, self.score_bias)

    def log_odds(self, embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the log-odds float64 (M,) of pairs of rows."""
        return pair_log_odds(embeddings, self.score_kernel, first, second) + self.score_bias


@dataclass(frozen=True, eq=False)
class PairList:
    """Pairs of rows of [my training, mine of the part, the others of the part], stacked.

    Attributes:
        first: int (M,), rows of references: my training photos, or mine of the part.
        second: int (M,), rows of probes.
        same: bool (M,).
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


def validation_pairs(training: int, mine: int, others: int, rng: np.random.Generator) -> PairList:
    """Return all pairs of my part's photos with my training photos, and of both with the others."""
    genuine, impostor = _all_pairs(training, mine, others)
    if len(impostor) > IMPOSTORS_AT_MOST:
        impostor = impostor[np.sort(rng.permutation(len(impostor))[:IMPOSTORS_AT_MOST])]
    return _listed(genuine, impostor)


def scored_pairs(training: int, mine: int, others: int, rng: np.random.Generator) -> PairList:
    """Return all test × training pairs of mine, and as many of mine with somebody else's."""
    genuine, impostor = _all_pairs(training, mine, others)
    return _listed(genuine, impostor[np.sort(rng.permutation(len(impostor))[: len(genuine)])])


def _all_pairs(training: int, mine: int, others: int) -> tuple[np.ndarray, np.ndarray]:
    own = range(training + mine)
    genuine = list(product(range(training), range(training, training + mine)))
    impostor = list(product(own, range(training + mine, training + mine + others)))
    return np.array(genuine), np.array(impostor)


def _listed(genuine: np.ndarray, impostor: np.ndarray) -> PairList:
    both = np.concatenate([genuine, impostor])
    return PairList(both[:, 0], both[:, 1], np.arange(len(both)) < len(genuine))


@dataclass(frozen=True)
class Choice:
    """What the validation pairs chose.

    Attributes:
        threshold: score that forces a two-way answer.
        band: (low, high).
        scope: sigmoid of the nearness from which a photo counts as the owner's.
    """

    threshold: float
    band: Band
    scope: float


def choose(log_odds_of_pairs: np.ndarray, same: np.ndarray, mine: np.ndarray, strangers: np.ndarray) -> Choice:
    """Choose threshold, band and scope from means and spreads of log-odds.

    A handful of photos of one person is too few to count errors at the limits of
    ``evaluation.curves``; log-odds of either kind are nearly normal, so their tails stand in
    for counts. The threshold is where both normal tails weigh the same, but never stricter than
    to let ``IMPOSTORS_PASSING`` in: of impostors there are many, while four photos of the owner
    say little of how far a fifth may lie. The band is where the tails reach ``MAX_FNMR`` and
    ``MAX_FMR``, and closes where these ends cross.

    Args:
        log_odds_of_pairs: float (M,), of the validation pairs.
        same: bool (M,).
        mine: float (L,), log-odds of the owner's validation photos' nearness.
        strangers: float (K,), that of other people's.
    """
    genuine, impostor = log_odds_of_pairs[same], log_odds_of_pairs[~same]
    spreads = max(float(genuine.std()), 1e-6), max(float(impostor.std()), 1e-6)
    centre = (impostor.mean() * spreads[0] + genuine.mean() * spreads[1]) / sum(spreads)
    centre = min(centre, impostor.mean() + _deviations(IMPOSTORS_PASSING) * spreads[1])
    low = min(centre, genuine.mean() - _deviations(MAX_FNMR) * spreads[0])
    high = max(centre, impostor.mean() + _deviations(MAX_FMR) * spreads[1])
    if genuine.mean() - _deviations(MAX_FNMR) * spreads[0] >= impostor.mean() + _deviations(MAX_FMR) * spreads[1]:
        low = high = centre
    scope = strangers.mean() + SCOPE_PLACE * (mine.mean() - strangers.mean())
    threshold, lowest, highest, nearest = (float(value) for value in sigmoid([centre, low, high, scope]))
    return Choice(threshold, (lowest, highest), nearest)


def tail_error(log_odds_of_pairs: np.ndarray, same: np.ndarray) -> float:
    """Return the error where both normal tails weigh the same: Φ(−(difference of means) / (sum of spreads))."""
    genuine, impostor = log_odds_of_pairs[same], log_odds_of_pairs[~same]
    spreads = max(float(genuine.std() + impostor.std()), 1e-6)
    return NormalDist().cdf(-float(genuine.mean() - impostor.mean()) / spreads)


def _deviations(share: float) -> float:
    """Return how many standard deviations above the mean a normal distribution's tail has a share."""
    return NormalDist().inv_cdf(1 - share)
