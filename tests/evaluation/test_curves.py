"""Error curves: beside their definition in plain Python, scikit-learn and by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scored_pairs import CASES, NAN, SAME, SCORES, random_pairs

from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation import auc, eer, error_curve, fnmr_at_fmr


class TestCurve:
    def test_by_hand(self):
        curve = error_curve(SCORES, SAME)
        assert curve.thresholds.tolist() == [0.2, 0.4, 0.6, 0.9, np.inf]
        assert curve.fmr.tolist() == [1, 0.5, 0.5, 0, 0]
        assert curve.fnmr.tolist() == [0, 0, 0.5, 0.5, 1]

    @pytest.mark.parametrize("case", CASES)
    def test_is_its_definition_at_every_threshold(self, case):
        scores, same = random_pairs(**case)
        curve = error_curve(scores, same)
        for threshold, fmr, fnmr in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True):
            assert fmr == np.mean([score >= threshold for score in scores[~same]])
            assert fnmr == np.mean([not score >= threshold for score in scores[same]])

    @pytest.mark.parametrize("case", CASES[:2])
    def test_equals_scikit_learn(self, case):
        metrics = pytest.importorskip("sklearn.metrics")
        scores, same = random_pairs(**case)
        curve = error_curve(scores, same)
        fpr, tpr, thresholds = metrics.roc_curve(same, scores, drop_intermediate=False)
        np.testing.assert_allclose(curve.thresholds[::-1], thresholds, atol=1e-9)
        np.testing.assert_allclose(curve.fmr[::-1], fpr, atol=1e-9)
        np.testing.assert_allclose(curve.fnmr[::-1], 1 - tpr, atol=1e-9)
        fpr, fnr, thresholds = metrics.det_curve(same, scores)
        shown = np.isin(curve.thresholds, thresholds)
        np.testing.assert_allclose(curve.fmr[shown], fpr, atol=1e-9)
        np.testing.assert_allclose(curve.fnmr[shown], fnr, atol=1e-9)

    @pytest.mark.parametrize("case", CASES)
    def test_auc_equals_scikit_learn_and_mann_whitney(self, case):
        metrics = pytest.importorskip("sklearn.metrics")
        scores, same = random_pairs(**case)
        scores_or_lowest = np.where(np.isnan(scores), -1.0, scores)
        wins = [
            (genuine > impostor) + (genuine == impostor) / 2
            for genuine, impostor in product(scores_or_lowest[same], scores_or_lowest[~same])
        ]
        area = auc(error_curve(scores, same))
        assert area == pytest.approx(np.mean(wins), abs=1e-12)
        assert area == pytest.approx(metrics.roc_auc_score(same, scores_or_lowest), abs=1e-9)

    @pytest.mark.parametrize("case", CASES)
    def test_eer_is_where_the_roc_meets_the_diagonal(self, case):
        optimize = pytest.importorskip("scipy.optimize")
        metrics = pytest.importorskip("sklearn.metrics")
        scores, same = random_pairs(**case)
        fpr, tpr, _ = metrics.roc_curve(same, np.where(np.isnan(scores), -1.0, scores), drop_intermediate=False)
        crossing = optimize.brentq(lambda rate: 1 - rate - np.interp(rate, fpr, tpr), 0, 1, xtol=1e-13)
        assert eer(error_curve(scores, same)) == pytest.approx(crossing, abs=1e-9)

    def test_by_hand_single_figures(self):
        curve = error_curve(SCORES, SAME)
        assert (eer(curve), auc(curve)) == (0.5, 0.75)
        perfect = error_curve([0.1, 0.2, 0.8, 0.9], SAME)
        assert (eer(perfect), auc(perfect)) == (0, 1)
        useless = error_curve([0.5] * 4, SAME)
        assert (eer(useless), auc(useless)) == (0.5, 0.5)
        reversed_ = error_curve([0.8, 0.9, 0.1, 0.2], SAME)
        assert (eer(reversed_), auc(reversed_)) == (1, 0)
        failed = error_curve([NAN] * 4, SAME)
        assert (eer(failed), auc(failed)) == (0.5, 0.5)

    @pytest.mark.parametrize("case", CASES)
    def test_swapping_roles_swaps_the_rates(self, case):
        scores, same = random_pairs(**(case | {"failures": 0}))
        curve, mirrored = error_curve(scores, same), error_curve(-scores, ~same)
        assert eer(curve) == pytest.approx(eer(mirrored), abs=1e-12)
        assert auc(curve) == pytest.approx(auc(mirrored), abs=1e-12)

    def test_order_and_a_rising_map_change_nothing(self):
        scores, same = random_pairs(decimals=2)
        order = np.random.default_rng(0).permutation(scores.size)
        curve, other = error_curve(scores, same), error_curve(np.exp(5 * scores[order]), same[order])
        np.testing.assert_array_equal(curve.fmr, other.fmr)
        np.testing.assert_array_equal(curve.fnmr, other.fnmr)

    def test_a_failure_to_acquire_never_matches(self):
        curve = error_curve([0.5, NAN, 0.4, NAN], SAME)
        assert curve.fmr.max() == 0.5
        assert curve.fnmr.min() == 0.5

    @pytest.mark.parametrize("same", [[True, True], [False, False]])
    def test_one_kind_of_pairs_has_no_curve(self, same):
        with pytest.raises(DataError, match="genuine and impostor pairs"):
            error_curve([0.1, 0.9], same)

    def test_no_pairs_have_no_curve(self):
        with pytest.raises(DataError, match="no pair"):
            error_curve([], [])

    @pytest.mark.parametrize(
        ("scores", "same"), [([0.1], [True, False]), ([[0.1]], [[True]]), ([np.inf, 0], [1, 0]), ([0.1, 0.2], [1, 2])]
    )
    def test_wrong_arrays_are_refused(self, scores, same):
        with pytest.raises(ValueError, match="Received"):
            error_curve(scores, same)


class TestFnmrAtFmr:
    scores, same = random_pairs(4000)

    @pytest.mark.parametrize("fmr", [0.5, 0.1, 0.01])
    def test_equals_the_best_point_of_scikit_learn(self, fmr):
        metrics = pytest.importorskip("sklearn.metrics")
        fpr, tpr, _ = metrics.roc_curve(self.same, self.scores, drop_intermediate=False)
        assert fnmr_at_fmr(error_curve(self.scores, self.same), fmr) == pytest.approx(
            np.min(1 - tpr[fpr <= fmr]), abs=1e-9
        )

    def test_ten_over_the_rate_impostor_pairs_are_needed(self):
        scores = np.linspace(0, 1, 1100)
        same = np.arange(1100) >= 1000
        assert fnmr_at_fmr(error_curve(scores, same), 0.01) == 0
        with pytest.raises(UnreachableRateError, match=r"at least 1000 impostor pairs\. Received: 999"):
            fnmr_at_fmr(error_curve(scores[1:], same[1:]), 0.01)

    def test_a_rate_is_not_missed_by_a_rounding_error(self):
        # 0.29 × 100 is a little less than 29 in floating point.
        scores, same = np.append(np.arange(100.0), [70.5]), np.arange(101) == 100
        assert fnmr_at_fmr(error_curve(scores, same), 0.29) == 0.0
        scores[100] = 69.5
        assert fnmr_at_fmr(error_curve(scores, same), 0.29) == 1.0

    def test_five_hundred_people_are_needed(self):
        curve = error_curve(self.scores, self.same)
        assert fnmr_at_fmr(curve, 0.1, people=500) == fnmr_at_fmr(curve, 0.1)
        with pytest.raises(UnreachableRateError, match=r"500 people\. Received: 499"):
            fnmr_at_fmr(curve, 0.1, people=499)

    def test_photos_are_no_people_however_many(self):
        with pytest.raises(UnreachableRateError, match=r"500 people\. Received: 9000 photos, and no word of who"):
            fnmr_at_fmr(error_curve(self.scores, self.same), 0.1, people=9000, named=False)

    def test_ties_that_hide_the_errors_are_no_proof(self):
        scores, same = np.repeat([0.0, 1.0], 1000), np.repeat([False, True], 1000)
        with pytest.raises(UnreachableRateError, match=r"at least 10 false matches\. Received: 0"):
            fnmr_at_fmr(error_curve(scores, same), 0.1)

    @pytest.mark.parametrize("rate", [0, 1, -0.1, 2])
    def test_a_rate_lies_between_zero_and_one(self, rate):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fnmr_at_fmr(error_curve(SCORES, SAME), rate)
