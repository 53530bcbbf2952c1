"""What a network says of the photos that were kept back, and whether what it learned may decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from flaskapp.personal.album import Album
from flaskapp.personal.data import Embed, OwnData
from flaskapp.personal.split import PARTS
from flaskapp.personal.stand_in import Drawn
from flaskapp.weights.info import WeightsInfo
from flaskapp.weights.runtime import certainties, pair_log_odds, person_log_odds, surest

IMPOSTORS_AT_MOST = 4_000  # enough for mean and spread, and asked after each epoch


@dataclass(frozen=True, eq=False)
class Network:
    """A network: its trunk, and its last layers in plain numbers."""

    trunk: Embed  # from crops uint8 (N, 100, 100, 3) to features float32 (N, d)
    kernel: np.ndarray  # float32 (d, 4096), Dense
    bias: np.ndarray  # float32 (4096,)
    score_kernel: np.ndarray  # float32 (4096,)
    score_bias: float  # float
    info: WeightsInfo  # what is known of the weights that it started from: what log-odds count for, and from where on

    def embed(self, photos: Album | Drawn) -> np.ndarray:
        """Return the embeddings (N, 4096) of photos."""
        return photos.features(self.trunk) @ self.kernel + self.bias

    def pair_odds(self, embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the log-odds of pairs of embeddings (N, 4096), given int (M,) rows of either: float64 (M,)."""
        odds, sure = pair_log_odds(embeddings, self.score_kernel, first, second), certainties(embeddings)
        return self.info.trust.weigh(odds + self.score_bias, sure[first], sure[second])

    def person_odds(self, references: np.ndarray, probes: np.ndarray) -> np.ndarray:
        """Return the log-odds that probes (M, 4096) show whom references (N, 4096) show: float64 (M,)."""
        return person_log_odds(references, probes, self.score_kernel, self.score_bias, self.info)


class Seen(NamedTuple):
    """Log-odds of pairs, float64 (M,), and whether both photos show one person, bool (M,)."""

    odds: np.ndarray
    same: np.ndarray


def look(network: Network, data: OwnData) -> Seen:
    """Score the photos for validation: all pairs of mine with my training photos, and of both with the others."""
    albums = data.mine["training"], data.mine["validation"], data.others["validation"]
    embeddings = np.concatenate([network.embed(photos) for photos in albums])
    learned, own = len(albums[0]), len(albums[0]) + len(albums[1])
    genuine = np.array(list(product(range(learned), range(learned, own))))
    impostor = np.array(list(product(range(own), range(own, len(embeddings)))))
    rng = np.random.default_rng((data.seed, 0))
    impostor = impostor[np.sort(rng.permutation(len(impostor))[:IMPOSTORS_AT_MOST])]
    first, second = np.concatenate([genuine, impostor]).T
    return Seen(network.pair_odds(embeddings, first, second), np.arange(len(first)) < len(genuine))


def excess_of(trained: Network, shipped: Network, data: OwnData) -> float:
    """Return how many times too sure what was trained is of my photos: by their pairs' mean log-odds, 1 or more.

    Few photos of mine are soon told from those learned from by any margin. Strangers drawn from the stand-in are
    too, but real ones follow the scale: of FairFace's 22 in 5,730 read match with three such models as they were
    (with earlier weights).
    """

    def mean_of_mine(network: Network) -> float:
        learned, new = (network.embed(data.mine[part]) for part in PARTS[:2])
        first, second = np.indices((len(learned), len(new))).reshape(2, -1)
        return float(network.pair_odds(np.concatenate([learned, new]), first, len(learned) + second).mean())

    before = mean_of_mine(shipped)
    return max(1.0, mean_of_mine(trained) / before) if before > 0 else 1.0


def tells_better(trained: Network, shipped: Network, data: OwnData) -> bool:
    """Say whether what was trained is surer of the owner, and no less sure that strangers are none.

    That is by the mean cross-entropy of the photos for validation, held against those learned from, to three
    decimals: a tie is the shipped network's. Of 13 people of CelebA, who each had 2 such photos, what was trained
    decided for two. Of their 14 new photos the shipped network missed two by the band, the trained one none, and of
    1,576 strangers' photos they took 19 and 13 for the owner (drawn people alone had been learned from, with earlier
    weights).
    """

    def losses(network: Network) -> tuple[float, float]:
        references = network.embed(data.mine["training"])
        references = references[surest(references)]
        mine, others = (
            network.person_odds(references, network.embed(photos["validation"])) for photos in (data.mine, data.others)
        )
        return round(float(np.logaddexp(0, -mine).mean()), 3), round(float(np.logaddexp(0, others).mean()), 3)

    (mine, others), (mine_before, others_before) = losses(trained), losses(shipped)
    return mine < mine_before and others <= others_before


def ask(network: Network, data: OwnData, strangers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Ask whether it is me of each photo of mine, by all others of mine, and of the strangers' of these parts, by all.

    Returns:
        Log-odds, float64 (N,), part by part, and (K,).
    """
    mine = np.concatenate([network.embed(data.mine[part]) for part in PARTS])
    own = [
        network.person_odds(rest[surest(rest)], mine[row][None])
        for row, rest in enumerate(mine[data.moments != moment] for moment in data.moments)
    ]
    others = np.concatenate([network.embed(data.others[part]) for part in strangers])
    return np.concatenate(own), network.person_odds(mine[surest(mine)], others)


def ask_by_one_photo(network: Network, data: OwnData, strangers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Ask the same by one photo: log-odds, float64, of all pairs of mine and of each stranger's with one of mine."""
    mine = np.concatenate([network.embed(data.mine[part]) for part in PARTS])
    embeddings = np.concatenate([mine, *(network.embed(data.others[part]) for part in strangers)])
    first, second = np.triu_indices(len(mine), 1)
    new = data.moments[first] != data.moments[second]
    others = np.arange(len(mine), len(embeddings))
    own = network.pair_odds(embeddings, first[new], second[new])
    return own, network.pair_odds(embeddings, others % len(mine), others)


def tail_error(odds: np.ndarray, same: np.ndarray) -> float:
    """Return the error where both normal tails weigh the same: Φ(−(difference of means) / (sum of spreads))."""
    genuine, impostor = odds[same], odds[~same]
    spreads = max(float(genuine.std() + impostor.std()), 1e-6)
    return NormalDist().cdf(-float(genuine.mean() - impostor.mean()) / spreads)
