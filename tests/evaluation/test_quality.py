"""Scores as probabilities: each figure beside its definition, by hand and beside scikit-learn."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scored_pairs import CASES, NAN, SAME, random_pairs

from flaskapp.errors import DataError
from flaskapp.evaluation import sigmoid
from flaskapp.evaluation.quality import score_quality


def halves(same):
    """Return weights by which both kinds count one half."""
    return np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())


def acquired(**case):
    scores, same = random_pairs(**case)
    kept = ~np.isnan(scores)
    scores = np.clip(scores[kept], 0.001, 0.999)  # rounding to tenths gives zeros, whose Cllr is infinite
    return scores, same[kept]


@pytest.mark.parametrize("case", CASES)
class TestBesideOthers:
    def test_brier_score(self, case):
        metrics = pytest.importorskip("sklearn.metrics")
        scores, same = acquired(**case)
        expected = metrics.brier_score_loss(same, scores, sample_weight=halves(same))
        assert score_quality(scores, same).brier == pytest.approx(expected, abs=1e-12)

    def test_cllr_is_the_log_loss_in_bits(self, case):
        metrics = pytest.importorskip("sklearn.metrics")
        scores, same = acquired(**case)
        expected = metrics.log_loss(same, scores, sample_weight=halves(same)) / np.log(2)
        assert score_quality(scores, same).cllr == pytest.approx(expected, abs=1e-12)

    def test_cllr_is_its_definition_by_likelihood_ratios(self, case):
        scores, same = acquired(**case)
        ratio = scores / (1 - scores)
        expected = np.log2(1 + 1 / ratio[same]).mean() / 2 + np.log2(1 + ratio[~same]).mean() / 2
        assert score_quality(scores, same).cllr == pytest.approx(expected, abs=1e-12)

    def test_min_cllr_is_that_of_isotonic_regression(self, case):
        isotonic = pytest.importorskip("sklearn.isotonic")
        scores, same = acquired(**case)
        weights = halves(same)
        best = isotonic.IsotonicRegression().fit_transform(scores, same.astype(float), sample_weight=weights)
        chance = np.where(same, best, 1 - best)
        expected = -(weights * np.log2(chance)).sum()
        assert score_quality(scores, same).min_cllr == pytest.approx(expected, abs=1e-9)

    def test_ece_is_its_definition(self, case):
        scores, same = acquired(**case)
        weights, expected = halves(same), 0.0
        for number in range(15):
            low, high = number / 15, (number + 1) / 15
            chosen = (scores >= low) & ((scores < high) | (number == 14))
            expected += abs(np.sum(weights[chosen] * (scores[chosen] - same[chosen])))
        assert score_quality(scores, same).ece == pytest.approx(expected, abs=1e-12)


def test_a_pair_that_counts_twice_is_as_two():
    scores, same = acquired(**CASES[0].values[0])
    times = np.random.default_rng(0).integers(1, 4, len(same))
    once, again = score_quality(scores, same, times), score_quality(scores.repeat(times), same.repeat(times))
    assert once.genuine == same.sum()  # pairs are told as they are
    for name in ("brier", "ece", "cllr", "min_cllr"):
        assert getattr(once, name) == pytest.approx(getattr(again, name))
    for one, other in zip(once.bins, again.bins, strict=True):
        assert (one.mean_score, one.observed) == (pytest.approx(other.mean_score), pytest.approx(other.observed))


class TestFigures:
    def test_by_hand(self):
        found = score_quality([0.2, 0.6, 0.4, 0.8], SAME)
        assert found.brier == pytest.approx((0.04 + 0.36 + 0.36 + 0.04) / 4)
        assert found.cllr == pytest.approx(-np.log2([0.8, 0.4, 0.4, 0.8]).mean())
        # 0.4 and 0.6 stand in the wrong order: their pool is half genuine and costs one bit a pair.
        assert found.min_cllr == 0.5
        assert found.calibration_loss == pytest.approx(found.cllr - 0.5)
        assert found.ece == pytest.approx((0.2 + 0.6 + 0.6 + 0.2) / 4)

    def test_kinds_weigh_the_same_however_many_pairs_they_have(self):
        scores, same = random_pairs(500)
        many = np.concatenate([np.flatnonzero(same), np.repeat(np.flatnonzero(~same), 7)])
        first, other = score_quality(scores, same), score_quality(scores[many], same[many])
        for name in ("brier", "ece", "cllr", "min_cllr"):
            assert getattr(other, name) == pytest.approx(getattr(first, name), abs=1e-12)

    def test_true_log_odds_are_calibrated_and_false_ones_are_not(self):
        generator = np.random.default_rng(0)
        same = np.arange(40_000) < 20_000
        log_odds = generator.normal(np.where(same, 2, -2), 2)  # normals whose log likelihood ratio is themselves
        honest = score_quality(sigmoid(log_odds), same)
        assert honest.ece < 0.01
        assert honest.calibration_loss < 0.005
        for changed in (2.5 * log_odds, 0.3 * log_odds, log_odds + 1.5):
            wrong = score_quality(sigmoid(changed), same)
            assert wrong.ece > 0.05
            assert wrong.calibration_loss > 0.05
            assert wrong.min_cllr == pytest.approx(honest.min_cllr, abs=1e-9)

    def test_perfect_useless_and_reversed_scores(self):
        same = np.arange(100) < 50
        perfect = score_quality(same.astype(float), same)
        assert (perfect.brier, perfect.ece, perfect.cllr, perfect.min_cllr) == (0, 0, 0, 0)
        useless = score_quality(np.full(100, 0.5), same)
        assert (useless.brier, useless.ece, useless.cllr, useless.min_cllr) == (0.25, 0, 1, 1)
        reversed_ = score_quality(np.where(same, 0.1, 0.9), same)
        assert (reversed_.ece, reversed_.min_cllr) == (pytest.approx(0.9), 1)

    def test_min_cllr_is_the_same_after_any_rising_map(self):
        scores, same = random_pairs(300, decimals=2)
        mapped = np.exp(9 * scores) / np.exp(9)
        assert score_quality(mapped, same).min_cllr == pytest.approx(score_quality(scores, same).min_cllr, abs=1e-12)

    def test_failures_to_acquire_take_no_part(self):
        scores, same = random_pairs(300)
        more = np.append(scores, [NAN] * 9), np.append(same, [True] * 9)
        assert score_quality(*more) == score_quality(scores, same)

    def test_one_certain_mistake_is_infinitely_bad(self):
        found = score_quality([0.0, 0.9, 0.1], [True, True, False])
        assert (found.cllr, found.calibration_loss) == (None, None)
        json.dumps(asdict(found), allow_nan=False)


class TestReliability:
    def test_bins_count_every_pair_with_a_score(self):
        scores, same = random_pairs(2000, failures=0.1)
        bins = score_quality(scores, same).bins
        kept = ~np.isnan(scores)
        assert sum(part.genuine for part in bins) == np.sum(same & kept)
        assert sum(part.impostor for part in bins) == np.sum(~same & kept)
        assert [part.low for part in bins[1:]] == [part.high for part in bins[:-1]]
        assert all(part.low <= part.mean_score <= part.high for part in bins if part.mean_score is not None)

    def test_observed_is_the_share_of_genuine_pairs_were_both_equally_common(self):
        # One genuine pair of two and one impostor pair of four share the middle bin.
        found = score_quality([0.5, 0.99, 0.5, 0.01, 0.02, 0.03], [1, 1, 0, 0, 0, 0]).bins[7]
        assert (found.genuine, found.impostor, found.mean_score) == (1, 1, 0.5)
        assert found.observed == pytest.approx((1 / 2) / (1 / 2 + 1 / 4))

    def test_an_empty_bin_says_nothing(self):
        bins = score_quality([0.99, 1.0, 0.0], [True, True, False]).bins
        assert (bins[7].mean_score, bins[7].observed) == (None, None)
        assert (bins[-1].genuine, bins[0].impostor) == (2, 1)


@pytest.mark.parametrize(
    ("scores", "same", "said"),
    [
        ([0.5, 1.01], [True, False], "scores from 0 to 1"),
        ([-0.1, 0.5], [True, False], "scores from 0 to 1"),
        ([0.5, 0.6], [True, True], "genuine and impostor pairs"),
        ([NAN, 0.6], [True, False], "genuine and impostor pairs"),
        ([NAN, NAN], [True, False], "genuine and impostor pairs"),
    ],
)
def test_what_is_no_chance_is_refused(scores, same, said):
    with pytest.raises(DataError, match=said):
        score_quality(scores, same)
