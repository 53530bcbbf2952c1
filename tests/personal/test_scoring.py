"""What a network says of kept-back photos: of each whether it is the owner, and whether what was learned may decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flaskapp.evaluation.calibration import Trust
from flaskapp.personal.data import OwnData
from flaskapp.personal.scoring import Network, ask, ask_by_one_photo, excess_of, tail_error, tells_better
from flaskapp.weights.info import WeightsInfo

INFO = WeightsInfo("w", "0" * 64, 0.5, (0.4, 0.6), {}, Trust((0.0, 0.0), 0.0), (0.0, 0.0))
SIZE = 4


class Photos:
    """Photos whose features are given; a person is a direction."""

    def __init__(self, *vectors: tuple[float, ...]) -> None:
        self.vectors = np.array(vectors, np.float32)
        self.names = [str(number) for number in range(len(vectors))]
        self.people = np.arange(len(vectors))

    def __len__(self) -> int:
        return len(self.vectors)

    def features(self, trunk: object) -> np.ndarray:  # noqa: ARG002 - as an album's
        return self.vectors


def network(stretch: float = 1.0) -> Network:
    """Return a network that compares directions; it looks at the first number that much more closely."""
    kernel = np.diag([stretch, 1, 1, 1]).astype(np.float32)
    return Network(lambda _: None, kernel, np.zeros(SIZE, np.float32), np.full(SIZE, -10, np.float32), 6.0, INFO)


def owner(
    mine: Photos, strangers: Photos, validation: Photos | None = None, moments: list[int] | None = None
) -> OwnData:
    """Return an owner of whom the first photos are learned from, and the last are tested."""
    parts = {"training": mine, "validation": validation or Photos((1, 0, 0, 0)), "test": Photos((1, 0.1, 0, 0))}
    count = sum(map(len, parts.values()))
    numbers = np.arange(count) if moments is None else np.array(moments)
    return OwnData(parts, dict.fromkeys(parts, strangers), 0, numbers)  # type: ignore[arg-type]


ME, NEAR, FAR = (1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0)


class TestAsking:
    def test_no_photo_is_held_against_itself_or_its_copies(self):
        data = owner(Photos(ME, ME, FAR), Photos(FAR), moments=[0, 0, 1, 2, 3])
        own, _ = ask(network(), data, ("test",))
        net = network()
        all_mine = np.concatenate([net.embed(data.mine[part]) for part in data.mine])
        for row, moment in enumerate(data.moments):
            assert own[row] == net.person_odds(all_mine[data.moments != moment], all_mine[row][None])[0]
        assert own[2] == own.min()

    def test_strangers_are_held_against_all_photos_of_the_owner(self):
        data = owner(Photos(ME, ME, NEAR), Photos(ME, FAR, FAR))
        own, strangers = ask(network(), data, ("test",))
        assert (len(own), len(strangers)) == (5, 3)
        assert strangers[0] > 0 > strangers[1] == strangers[2]

    def test_by_one_photo_all_pairs_of_two_moments_count_and_each_stranger_once(self):
        data = owner(Photos(ME, ME, NEAR), Photos(ME, FAR, FAR), moments=[0, 0, 1, 2, 3])
        own, strangers = ask_by_one_photo(network(), data, ("test",))
        assert (len(own), len(strangers)) == (10 - 1, 3)
        assert own.max() == pytest.approx(6.0) and strangers[0] == pytest.approx(6.0)

    def test_a_score_is_that_of_the_runtime(self):
        """One way from embeddings to a person's log-odds, whoever asks."""
        from flaskapp.weights.runtime import person_log_odds

        references, probes = np.random.default_rng(0).normal(size=(2, 5, SIZE)).astype(np.float32)
        net = network()
        expected = person_log_odds(references, probes, net.score_kernel, net.score_bias, INFO)
        np.testing.assert_array_equal(net.person_odds(references, probes), expected)


class TestDeciding:
    """What was trained decides where it is surer of the owner and no less sure of strangers."""

    @pytest.fixture
    def data(self) -> OwnData:
        return owner(Photos(ME, ME, (1, 0.05, 0, 0)), Photos(NEAR, FAR), Photos((1, 0.3, 0, 0), (1, 0.2, 0, 0)))

    @pytest.mark.parametrize(("gain", "said"), [(0.1, True), (0.0, False), (1e-5, False), (-0.1, False)])
    def test_by_how_sure_it_is_of_the_owner(self, data, gain, said):
        """Where strangers are far for both, a hair's breadth is a tie, and that is the shipped network's."""
        far = replace(data, others=dict.fromkeys(data.mine, Photos((-9, 0, 0, 0))))
        unsure = replace(network(), score_bias=4.0)
        assert tells_better(replace(unsure, score_bias=4.0 + gain), unsure, far) == said

    def test_but_not_where_strangers_came_nearer_too(self, data):
        unsure = replace(network(), score_bias=4.0)
        assert not tells_better(replace(unsure, score_bias=5.0), unsure, data)
        stretched = replace(unsure, score_kernel=unsure.score_kernel * 1.2, score_bias=5.0)
        assert tells_better(stretched, unsure, data), "surer of both"


class TestExcess:
    """How many times too sure of its owner what was trained is."""

    @pytest.fixture
    def data(self) -> OwnData:
        return owner(Photos(ME, (1, 0.05, 0, 0)), Photos(FAR), Photos((1, 0.3, 0, 0), (1, 0.2, 0, 0)))

    @pytest.mark.parametrize(("times", "excess"), [(3.0, 3.0), (1.0, 1.0), (0.5, 1.0)])
    def test_by_the_log_odds_of_the_owners_pairs(self, data, times, excess):
        shipped = network()
        trained = replace(shipped, score_kernel=times * shipped.score_kernel, score_bias=times * shipped.score_bias)
        assert excess_of(trained, shipped, data) == pytest.approx(excess)

    def test_where_the_owner_was_not_known_nothing_is_too_sure(self, data):
        unsure = replace(network(), score_bias=-1.0)
        assert excess_of(network(), unsure, data) == 1


def test_the_tail_error_is_that_of_normal_curves():
    rng = np.random.default_rng(0)
    odds = np.append(rng.normal(2, 1, 20000), rng.normal(-1, 2, 20000))
    same = np.arange(40000) < 20000
    found = tail_error(odds, same)
    assert found == pytest.approx(0.1587, abs=0.005)  # one deviation from either mean, at 1
    assert found == pytest.approx(np.mean(odds[same] < 1), abs=0.01)
    assert tail_error(odds * 3 + 5, same) == pytest.approx(found)
