"""Threshold, band and scope of a personal model, chosen from a handful of validation pairs."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from flaskapp.evaluation import sigmoid
from flaskapp.personal.scoring import choose, tail_error


class TestChoosing:
    def test_threshold_where_both_normal_tails_weigh_the_same(self):
        rng = np.random.default_rng(0)
        same = np.arange(40000) < 20000
        odds = np.append(rng.normal(3, 2, 20000), rng.normal(-3, 1, 20000))
        choice = choose(odds, same, np.array([8.0, 6.0]), np.array([-3.0, -5.0]))
        low, middle, high = (np.log(end / (1 - end)) for end in (choice.band[0], choice.threshold, choice.band[1]))
        assert middle == pytest.approx(-1, abs=0.1)  # two deviations from either mean
        assert low == pytest.approx(3 + 2 * NormalDist().inv_cdf(0.01), abs=0.1)
        assert high == pytest.approx(-3 - NormalDist().inv_cdf(0.001), abs=0.1)
        assert choice.scope == pytest.approx(float(sigmoid(-4 + 0.6 * 11)))

    def test_but_it_lets_one_in_two_hundred_impostors_in(self):
        rng = np.random.default_rng(0)
        odds = np.append(rng.normal(20, 2, 20000), rng.normal(-3, 1, 20000))
        choice = choose(odds, np.arange(40000) < 20000, odds[:4], odds[-4:])
        assert np.mean(sigmoid(odds[20000:]) >= choice.threshold) == pytest.approx(1 / 200, rel=0.2)

    def test_the_tail_error_is_that_of_normal_curves(self):
        rng = np.random.default_rng(0)
        odds = np.append(rng.normal(2, 1, 20000), rng.normal(-1, 2, 20000))
        same = np.arange(40000) < 20000
        found = tail_error(odds, same)
        assert found == pytest.approx(0.1587, abs=0.005)  # one deviation from either mean, at 1
        assert found == pytest.approx(np.mean(odds[same] < 1), abs=0.01)
        assert tail_error(odds * 3 + 5, same) == pytest.approx(found)

    def test_the_band_opens_where_both_kinds_overlap_and_closes_where_they_do_not(self):
        rng = np.random.default_rng(0)
        same = np.arange(2000) < 1000
        for distance, is_open in ((2.0, True), (20.0, False)):
            odds = np.append(rng.normal(distance, 1, 1000), rng.normal(-distance, 1, 1000))
            low, high = choose(odds, same, odds[:4], odds[-4:]).band
            assert (low < high) == is_open
