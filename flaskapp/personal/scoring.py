"""What a network says of the photos that were kept back, and what threshold, band and scope follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np

from flaskapp.evaluation.calibration import Trust
from flaskapp.evaluation.curves import MAX_FMR, MAX_FNMR
from flaskapp.evaluation.decisions import Band, sigmoid
from flaskapp.personal.album import Album
from flaskapp.personal.data import Embed, OwnData
from flaskapp.personal.model import nearness
from flaskapp.personal.stand_in import Drawn
from flaskapp.weights.runtime import certainties, pair_log_odds

# Of the way from the strangers' mean nearness to the owner's. Beyond the middle, because
# out_of_scope takes two photos that are far: the owner may be missed in one, strangers in none.
SCOPE_PLACE = 0.6
IMPOSTORS_PASSING = 1 / 200
IMPOSTORS_AT_MOST = 20_000


@dataclass(frozen=True, eq=False)
class Network:
    """A network: its trunk, and its last layers in plain numbers.

    Attributes:
        trunk: from crops uint8 (N, 100, 100, 3) to features float32 (N, d).
        kernel: float32 (d, 4096), Dense.
        bias: float32 (4096,).
        score_kernel: float32 (4096,).
        score_bias: float.
        trust: what log-odds count for where the network is less sure.
    """

    trunk: Embed
    kernel: np.ndarray
    bias: np.ndarray
    score_kernel: np.ndarray
    score_bias: float
    trust: Trust

    def embed(self, photos: Album | Drawn) -> np.ndarray:
        """Return the embeddings (N, 4096) of photos."""
        return photos.features(self.trunk) @ self.kernel + self.bias


@dataclass(frozen=True)
class Choice:
    """What validation chose; from ``scope`` on, a sigmoid of nearness, a photo counts as the owner's."""

    threshold: float
    band: Band
    scope: float


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network says of my N training photos, L of mine that were kept back, and K of others, in this order.

    Attributes:
        templates: float32 (N, 4096), embeddings of my training photos.
        own: N + L.
        near: float64 (N + L + K,), log-odds of each photo's nearness to the owner.
        first: int (M,), rows of the pairs' references, which are mine.
        second: int (M,), rows of their probes.
        same: bool (M,).
        odds: float64 (M,), log-odds of the pairs.
    """

    templates: np.ndarray
    own: int
    near: np.ndarray
    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    odds: np.ndarray

    def choose(self) -> Choice:
        """Choose threshold, band and scope."""
        return choose(self.odds, self.same, self.near[len(self.templates) : self.own], self.near[self.own :])


def look(network: Network, data: OwnData, part: str) -> Seen:
    """Score a part's photos: all pairs of mine with my training photos, and of both with the others.

    For the test there are as many impostor pairs as genuine ones, drawn from all.
    """
    albums = data.mine["training"], data.mine[part], data.others[part]
    templates, *kept_back = (network.embed(photos) for photos in albums)
    embeddings = np.concatenate([templates, *kept_back])
    own = len(templates) + len(albums[1])
    genuine = np.array(list(product(range(len(templates)), range(len(templates), own))))
    impostor = np.array(list(product(range(own), range(own, len(embeddings)))))
    most = len(genuine) if part == "test" else IMPOSTORS_AT_MOST
    rng = np.random.default_rng((data.seed, part == "test"))
    impostor = impostor[np.sort(rng.permutation(len(impostor))[:most])]
    first, second = np.concatenate([genuine, impostor]).T
    odds, sure = pair_log_odds(embeddings, network.score_kernel, first, second), certainties(embeddings)
    odds = network.trust.weigh(odds + network.score_bias, sure[first], sure[second])
    near = nearness(templates, embeddings, network.score_kernel, network.score_bias)
    return Seen(templates, own, near, first, second, np.arange(len(first)) < len(genuine), odds)


def choose(odds: np.ndarray, same: np.ndarray, mine: np.ndarray, strangers: np.ndarray) -> Choice:
    """Choose threshold, band and scope from means and spreads of log-odds.

    A handful of photos of one person is too few to count errors at the limits of
    ``evaluation.curves``; log-odds of either kind are nearly normal, so their tails stand in
    for counts. The threshold is where both normal tails weigh the same, but never stricter than
    to let ``IMPOSTORS_PASSING`` in: of impostors there are many, while four photos of the owner
    say little of how far a fifth may lie. The band is where the tails reach ``MAX_FNMR`` and
    ``MAX_FMR``, and closes where these ends cross.

    Args:
        odds: float (M,), log-odds of the validation pairs.
        same: bool (M,).
        mine: float (L,), log-odds of the owner's validation photos' nearness.
        strangers: float (K,), that of other people's.
    """
    genuine, impostor = odds[same], odds[~same]
    spreads = max(float(genuine.std()), 1e-6), max(float(impostor.std()), 1e-6)

    def most_let_in(share: float) -> float:
        return impostor.mean() + NormalDist().inv_cdf(1 - share) * spreads[1]

    centre = (impostor.mean() * spreads[0] + genuine.mean() * spreads[1]) / sum(spreads)
    centre = min(centre, most_let_in(IMPOSTORS_PASSING))
    low, high = genuine.mean() + NormalDist().inv_cdf(MAX_FNMR) * spreads[0], most_let_in(MAX_FMR)
    low, high = (centre, centre) if low >= high else (min(centre, low), max(centre, high))
    scope = strangers.mean() + SCOPE_PLACE * (mine.mean() - strangers.mean())
    threshold, low, high, scope = sigmoid([centre, low, high, scope]).tolist()
    return Choice(threshold, (low, high), scope)


def tail_error(odds: np.ndarray, same: np.ndarray) -> float:
    """Return the error where both normal tails weigh the same: Φ(−(difference of means) / (sum of spreads))."""
    genuine, impostor = odds[same], odds[~same]
    spreads = max(float(genuine.std() + impostor.std()), 1e-6)
    return NormalDist().cdf(-float(genuine.mean() - impostor.mean()) / spreads)
