"""Error rates: each formula beside its definition in plain Python, scikit-learn or by hand."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import det_curve, precision_recall_fscore_support, roc_auc_score, roc_curve

from flaskapp.dataset.pairs import PhotoPair, read_pairs
from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation import (
    BandChoice,
    Calibration,
    Confusion,
    ErrorCurve,
    Evaluation,
    Interval,
    Sources,
    Verdicts,
    auc,
    bootstrap_intervals,
    choose_band,
    choose_threshold,
    confusion_at,
    count_verdicts,
    decide,
    decide_all,
    eer,
    error_curve,
    evaluate,
    fit_calibration,
    fnmr_at_fmr,
    no_errors_bound,
    pairs_needed,
    reachable_rate,
    resampled_weights,
    sigmoid,
    sources_by,
    sources_of,
    write_scores_csv,
)

NAN = float("nan")
# Worked by hand: two impostor pairs, two genuine ones, one of each in the wrong order.
SCORES, SAME = [0.2, 0.6, 0.4, 0.9], [False, False, True, True]


def random_pairs(pairs=400, decimals=None, failures=0.0, seed=3, apart=1.0):
    """Draw scores of which the genuine ones lie higher; ``decimals`` makes ties."""
    generator = np.random.default_rng(seed)
    same = generator.random(pairs) < 0.4
    scores = sigmoid(generator.normal(size=pairs) + np.where(same, apart, -apart))
    scores = scores if decimals is None else scores.round(decimals)
    scores[generator.random(pairs) < failures] = NAN
    return scores, same


CASES = [
    pytest.param({}, id="distinct"),
    pytest.param({"decimals": 1}, id="ties"),
    pytest.param({"decimals": 2, "failures": 0.2}, id="failures"),
]


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
        scores, same = random_pairs(**case)
        curve = error_curve(scores, same)
        fpr, tpr, thresholds = roc_curve(same, scores, drop_intermediate=False)
        np.testing.assert_allclose(curve.thresholds[::-1], thresholds, atol=1e-9)
        np.testing.assert_allclose(curve.fmr[::-1], fpr, atol=1e-9)
        np.testing.assert_allclose(curve.fnmr[::-1], 1 - tpr, atol=1e-9)
        fpr, fnr, thresholds = det_curve(same, scores)
        shown = np.isin(curve.thresholds, thresholds)
        np.testing.assert_allclose(curve.fmr[shown], fpr, atol=1e-9)
        np.testing.assert_allclose(curve.fnmr[shown], fnr, atol=1e-9)

    @pytest.mark.parametrize("case", CASES)
    def test_auc_equals_scikit_learn_and_mann_whitney(self, case):
        scores, same = random_pairs(**case)
        scores_or_lowest = np.where(np.isnan(scores), -1.0, scores)
        wins = [
            (genuine > impostor) + (genuine == impostor) / 2
            for genuine, impostor in product(scores_or_lowest[same], scores_or_lowest[~same])
        ]
        area = auc(error_curve(scores, same))
        assert area == pytest.approx(np.mean(wins), abs=1e-12)
        assert area == pytest.approx(roc_auc_score(same, scores_or_lowest), abs=1e-9)

    @pytest.mark.parametrize("case", CASES)
    def test_eer_is_where_the_roc_meets_the_diagonal(self, case):
        scores, same = random_pairs(**case)
        fpr, tpr, _ = roc_curve(same, np.where(np.isnan(scores), -1.0, scores), drop_intermediate=False)
        crossing = brentq(lambda rate: 1 - rate - np.interp(rate, fpr, tpr), 0, 1, xtol=1e-13)
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

    def test_validates_itself(self):
        zeros = np.zeros(2, np.int64)
        with pytest.raises(ValueError, match="ascending"):
            ErrorCurve(np.array([1.0, 0.0]), zeros, zeros, 1, 1)
        with pytest.raises(ValueError, match="one shape"):
            ErrorCurve(np.array([1.0, np.inf]), zeros, np.zeros(3, np.int64), 1, 1)
        with pytest.raises(ValueError, match="infinite threshold"):
            ErrorCurve(np.array([1.0, np.inf]), zeros, zeros, 1, 1)


class TestFnmrAtFmr:
    scores, same = random_pairs(4000)

    @pytest.mark.parametrize("fmr", [0.5, 0.1, 0.01])
    def test_equals_the_best_point_of_scikit_learn(self, fmr):
        fpr, tpr, _ = roc_curve(self.same, self.scores, drop_intermediate=False)
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

    def test_ties_that_hide_the_errors_are_no_proof(self):
        scores, same = np.repeat([0.0, 1.0], 1000), np.repeat([False, True], 1000)
        with pytest.raises(UnreachableRateError, match=r"at least 10 false matches\. Received: 0"):
            fnmr_at_fmr(error_curve(scores, same), 0.1)

    @pytest.mark.parametrize("rate", [0, 1, -0.1, 2])
    def test_a_rate_lies_between_zero_and_one(self, rate):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fnmr_at_fmr(error_curve(SCORES, SAME), rate)

    @pytest.mark.parametrize("rate", [0.3, 0.1, 0.07, 0.01, 1e-3, 1e-4])
    def test_needed_pairs_and_reachable_rate_agree(self, rate):
        assert reachable_rate(pairs_needed(rate)) <= rate * (1 + 1e-9)
        assert reachable_rate(pairs_needed(rate) - 1) > rate


class TestDecisions:
    band = (0.4, 0.7)

    @pytest.mark.parametrize(
        ("score", "decision"),
        [(0.0, "non_match"), (0.3999, "non_match"), (0.4, "inconclusive"), (0.6999, "inconclusive"),
         (0.7, "match"), (1.0, "match")],
    )  # fmt: skip
    def test_the_ends_of_the_band(self, score, decision):
        assert decide(score, self.band) == decision

    def test_many_at_once_are_decided_as_one_by_one(self):
        scores = np.linspace(0, 1, 101)
        assert decide_all(scores, self.band) == [decide(score, self.band) for score in scores]
        assert decide_all([], self.band) == []

    def test_a_failure_is_a_non_match_in_a_list_and_refused_alone(self):
        assert decide_all([NAN], self.band) == ["non_match"]
        with pytest.raises(ValueError, match="NaN"):
            decide(NAN, self.band)

    def test_an_empty_band_leaves_nothing_inconclusive(self):
        assert decide_all([0.4999, 0.5], (0.5, 0.5)) == ["non_match", "match"]

    @pytest.mark.parametrize("band", [(0.7, 0.4), (NAN, 0.5), (0.5, np.inf)])
    def test_a_band_upside_down_is_refused(self, band):
        with pytest.raises(ValueError, match="low ≤ high"):
            decide(0.5, band)

    def test_verdicts_are_counted_by_kind(self):
        scores = [0.9, 0.5, 0.1, NAN, 0.8, 0.1, NAN]
        counts = count_verdicts(scores, [1, 1, 1, 1, 0, 0, 0], self.band)
        assert counts == {"genuine": Verdicts(1, 1, 2), "impostor": Verdicts(1, 0, 2)}
        assert counts["genuine"].to_json() == {"match": 1, "inconclusive": 1, "non_match": 2}
        with pytest.raises(ValueError, match="at least 0"):
            Verdicts(-1, 0, 0)


class TestConfusion:
    def test_by_hand(self):
        found = confusion_at(SCORES, SAME, 0.5)
        assert found == Confusion(true_matches=1, false_matches=1, true_non_matches=1, false_non_matches=1)
        assert (found.accuracy, found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5, 0.5)
        assert (found.fmr, found.fnmr) == (0.5, 0.5)

    def test_a_score_at_the_threshold_matches(self):
        assert confusion_at([0.5], [True], 0.5).true_matches == 1

    @pytest.mark.parametrize("case", CASES)
    def test_equals_scikit_learn(self, case):
        scores, same = random_pairs(**case)
        found = confusion_at(scores, same, 0.5)
        precision, recall, f1, _ = precision_recall_fscore_support(same, scores >= 0.5, average="binary")
        assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1), abs=1e-12)
        assert found.accuracy == np.mean((scores >= 0.5) == same)

    def test_what_is_divided_by_nothing_is_none(self):
        none_matched = confusion_at([0.1, 0.2], [True, False], 0.5)
        assert none_matched.precision is None
        assert (none_matched.recall, none_matched.f1, none_matched.accuracy) == (0, 0, 0.5)
        only_impostors = confusion_at([0.1], [False], 0.5)
        assert (only_impostors.recall, only_impostors.fnmr, only_impostors.f1) == (None, None, None)
        assert confusion_at([0.1], [True], 0.5).fmr is None

    def test_refuses_nonsense(self):
        with pytest.raises(ValueError, match="finite threshold"):
            confusion_at(SCORES, SAME, NAN)
        with pytest.raises(ValueError, match="not all 0"):
            Confusion(0, 0, 0, 0)
        with pytest.raises(DataError):
            confusion_at([], [], 0.5)


class TestThreshold:
    def test_lies_halfway(self):
        assert choose_threshold([0.1, 0.3, 0.7, 0.9], SAME) == 0.5

    @pytest.mark.parametrize("case", CASES)
    def test_nothing_is_more_accurate(self, case):
        scores, same = random_pairs(**case)
        acquired = ~np.isnan(scores)
        chosen = confusion_at(scores[acquired], same[acquired], choose_threshold(scores, same))
        for threshold in (*scores[acquired], 2.0):
            assert confusion_at(scores[acquired], same[acquired], threshold).accuracy <= chosen.accuracy

    def test_of_equal_ones_the_balanced_then_the_highest(self):
        # Cuts at 0.15 and 0.35 err once each, one on either side.
        assert choose_threshold([0.1, 0.3, 0.2, 0.4], SAME) == pytest.approx(0.35)
        assert choose_threshold([0.4, 0.2, 0.3, 0.1], SAME[::-1]) == pytest.approx(0.35)
        # One error at 0.4 (FMR 1/4) and one at 0.7 (FNMR 1/2): the first is the more balanced.
        assert choose_threshold([0.1, 0.2, 0.3, 0.6, 0.5, 0.8], [0, 0, 0, 0, 1, 1]) == pytest.approx(0.4)
        # Five of six right at 0.2 (one false match, FMR 1/2) and at 0.5 (one false non-match,
        # FNMR 1/4): the second is the more balanced.
        assert choose_threshold([0.1, 0.4, 0.3, 0.6, 0.7, 0.8], [0, 0, 1, 1, 1, 1]) == pytest.approx(0.5)

    def test_share_of_genuine_pairs_moves_it(self):
        scores, same = random_pairs(4000)
        rare, even, common = (choose_threshold(scores, same, genuine_share=share) for share in (0.01, 0.5, 0.99))
        assert rare > even > common
        assert choose_threshold(scores, same, genuine_share=same.mean()) == choose_threshold(scores, same)
        with pytest.raises(ValueError, match="genuine_share"):
            choose_threshold(scores, same, genuine_share=1)

    @pytest.mark.parametrize("band", [(0.1, 0.2), (0.45, 0.55), (0.8, 0.9), (0.5, 0.5)])
    def test_stays_within_the_band(self, band):
        scores, same = random_pairs()
        chosen = choose_threshold(scores, same, band)
        assert band[0] <= chosen <= band[1]
        within = [*scores[(scores >= band[0]) & (scores <= band[1])], *band]
        best = max(confusion_at(scores, same, cut).accuracy for cut in within)
        assert confusion_at(scores, same, chosen).accuracy == best

    def test_neighbouring_floats_are_still_told_apart(self):
        low = 0.5
        high = np.nextafter(low, 1)
        assert confusion_at([low, high], [False, True], choose_threshold([low, high], [False, True])).accuracy == 1

    def test_everything_or_nothing_may_match(self):
        assert choose_threshold([0.9, 0.1, 0.1, 0.2], [False, True, True, True]) == 0.1
        assert choose_threshold([0.9, 0.8, 0.7, 0.1], [False, False, False, True]) > 0.9

    @pytest.mark.parametrize("pairs", [([], []), ([0.5], [True]), ([NAN, 0.5], [True, False])])
    def test_both_kinds_are_needed(self, pairs):
        with pytest.raises(DataError):
            choose_threshold(*pairs)


class TestBand:
    def test_keeps_its_limits(self):
        scores, same = random_pairs(40_000, apart=2.2, seed=5)
        choice = choose_band(scores, same, max_fmr=0.002, max_fnmr=0.004, max_inconclusive=0.2)
        verdicts = count_verdicts(scores, same, choice.band)
        assert not choice.relaxed
        assert choice.fmr == verdicts["impostor"].match / np.sum(~same) <= 0.002
        assert choice.fnmr == verdicts["genuine"].non_match / np.sum(same) <= 0.004
        assert choice.inconclusive_genuine == verdicts["genuine"].inconclusive
        assert choice.inconclusive_impostor == verdicts["impostor"].inconclusive
        # One more pair outside the band on either side would break a limit.
        assert np.sum(scores[~same] >= choice.high) + 1 > 0.002 * np.sum(~same)
        assert np.sum(scores[same] < choice.low) + 1 > 0.004 * np.sum(same)

    def test_grows_its_limits_as_little_as_needed(self):
        scores, same = random_pairs(20_000, apart=1.5, decimals=3, seed=6)
        choice = choose_band(scores, same, max_fmr=0.002, max_fnmr=0.01, max_inconclusive=0.05)
        assert choice.relaxed
        assert choice.inconclusive_genuine <= 0.05 * choice.genuine
        assert choice.inconclusive_impostor <= 0.05 * choice.impostor
        assert choice.fmr <= 0.002 * choice.relaxed_by * (1 + 1e-9)
        assert choice.fnmr <= 0.01 * choice.relaxed_by * (1 + 1e-9)
        tighter = choice.relaxed_by * (1 - 1e-6)
        low = max(cut for cut in np.unique(scores) if np.mean(scores[same] < cut) <= 0.01 * tighter)
        high = min(cut for cut in np.unique(scores) if np.mean(scores[~same] >= cut) <= 0.002 * tighter)
        inside = (scores >= low) & (scores < high)
        assert max(inside[same].mean(), inside[~same].mean()) > 0.05

    def test_vanishes_where_both_kinds_lie_apart(self):
        scores = np.concatenate((np.linspace(0, 0.3, 1000), np.linspace(0.7, 1, 1000)))
        choice = choose_band(scores, np.repeat([False, True], 1000), max_fmr=0.01, max_fnmr=0.01)
        assert choice.low == choice.high == pytest.approx(0.5)
        assert (choice.false_matches, choice.false_non_matches, choice.relaxed_by) == (0, 0, 1)

    def test_where_the_limits_cross_both_kinds_weigh_the_same(self):
        # Of 1,000 impostor and 100 genuine pairs, 0.5 makes two errors of the one kind (0.2 %)
        # and 0.7 one of the other (1 %): more errors, and yet the lower rates.
        scores = np.concatenate((np.linspace(0, 0.4, 998), [0.61, 0.62], [0.6], np.linspace(0.8, 1, 99)))
        choice = choose_band(scores, np.arange(1100) >= 1000, max_fmr=0.01, max_fnmr=0.1)
        assert choice.low == choice.high == pytest.approx(0.5)

    @pytest.mark.parametrize("crowded", ["genuine", "impostor"])
    def test_neither_kind_may_crowd_the_band(self, crowded):
        lower, upper = np.linspace(0, 0.5, 1000), np.linspace(0.5, 1, 1000)
        # A tenth of one kind lies among the outermost hundredth of the other.
        (lower if crowded == "impostor" else upper)[:100] = np.linspace(0.45, 0.55, 100)
        lower[500:510], upper[500:510] = 0.7, 0.3
        choice = choose_band(
            np.concatenate((lower, upper)), np.repeat([False, True], 1000), max_fmr=0.01, max_fnmr=0.01
        )
        assert choice.inconclusive_genuine <= 50
        assert choice.inconclusive_impostor <= 50

    def test_too_few_pairs_raise(self):
        scores, same = random_pairs(2000)
        with pytest.raises(UnreachableRateError, match="at least 10000 impostor pairs"):
            choose_band(scores, same)
        with pytest.raises(UnreachableRateError, match="at least 1000 genuine pairs"):
            choose_band(scores, same, max_fmr=0.01)

    def test_failures_take_no_part(self):
        scores, same = random_pairs(4000)
        padded = np.append(scores, [NAN] * 50), np.append(same, [True] * 25 + [False] * 25)
        assert choose_band(*padded, 0.01, 0.01) == choose_band(scores, same, 0.01, 0.01)

    def test_same_scores_same_band_and_threshold_inside(self):
        scores, same = random_pairs(4000, decimals=2)
        choice = choose_band(scores, same, 0.01, 0.01)
        assert choice == choose_band(scores[::-1], same[::-1], 0.01, 0.01)
        assert choice.low <= choose_threshold(scores, same, choice.band) <= choice.high

    def test_json_says_what_was_asked_and_reached(self):
        found = choose_band(*random_pairs(4000), 0.01, 0.01).to_json()
        assert json.loads(json.dumps(found)) == found
        assert {"low", "high", "max_fmr", "fmr", "max_fnmr", "fnmr", "relaxed", "relaxed_by"} <= found.keys()

    def test_validates_itself(self):
        with pytest.raises(ValueError, match="low ≤ high"):
            BandChoice(0.6, 0.5, 0.1, 0.1, 0.1, 1, 0, 0, 0, 0, 1, 1)
        with pytest.raises(ValueError, match="no more verdicts on impostor"):
            BandChoice(0.4, 0.5, 0.1, 0.1, 0.1, 1, 1, 0, 0, 1, 1, 1)
        with pytest.raises(ValueError, match="no more verdicts on genuine"):
            BandChoice(0.4, 0.5, 0.1, 0.1, 0.1, 1, 0, 1, 1, 0, 1, 1)
        with pytest.raises(ValueError, match="relaxed_by"):
            BandChoice(0.4, 0.5, 0.1, 0.1, 0.1, 0.5, 0, 0, 0, 0, 1, 1)


class TestCalibration:
    @staticmethod
    def distances(pairs=3000, seed=4, apart=1.0):
        generator = np.random.default_rng(seed)
        same = generator.random(pairs) < 0.3
        return 40 + 3 * generator.normal(size=pairs) - apart * 6 * same, same

    @pytest.mark.parametrize("share", [None, 0.5, 0.2])
    def test_equals_scikit_learn_on_platts_targets(self, share):
        distance, same = self.distances()
        found = fit_calibration(distance, same, share)
        genuine, impostor = same.sum(), (~same).sum()
        kept = same.mean() if share is None else share
        target = np.where(same, (genuine + 1) / (genuine + 2), 1 / (impostor + 2))
        weight = np.where(same, kept / genuine, (1 - kept) / impostor) * same.size
        twin = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
            np.tile((distance - 40) / 3, 2)[:, None],
            np.repeat([1, 0], same.size),
            np.concatenate((weight * target, weight * (1 - target))),
        )
        assert found.scale == pytest.approx(twin.coef_[0, 0] / 3, rel=1e-4)
        assert found.offset == pytest.approx(twin.intercept_[0] - twin.coef_[0, 0] * 40 / 3, rel=1e-4)

    def test_the_gradient_is_zero(self):
        distance, same = self.distances()
        found = fit_calibration(distance, same)
        target = np.where(same, (same.sum() + 1) / (same.sum() + 2), 1 / ((~same).sum() + 2))
        error = (found.score(distance) - target) * np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
        assert abs(error.sum()) < 1e-12
        assert abs(error @ distance) < 1e-10

    def test_recovers_the_odds_of_two_normals(self):
        # Two normals of one spread σ, δ apart: the log odds fall by δ/σ² a unit of distance.
        found = fit_calibration(*self.distances(200_000))
        assert found.scale == pytest.approx(-6 / 9, rel=0.03)
        assert found.score(37.0) == pytest.approx(0.5, abs=0.01)

    def test_moving_or_stretching_the_distance_changes_no_score(self):
        distance, same = self.distances()
        scores = fit_calibration(distance, same).score(distance)
        moved = distance * 1e-3 - 7
        np.testing.assert_allclose(fit_calibration(moved, same).score(moved), scores, atol=1e-9)

    def test_kinds_that_lie_apart_still_have_an_answer(self):
        found = fit_calibration([1.0, 1.1, 5.0, 5.2], [True, True, False, False])
        assert found.score(1.0) > 0.7 > 0.3 > found.score(5.0)

    def test_log_loss_is_its_definition(self):
        distance, same = self.distances()
        found = fit_calibration(distance, same)
        score = found.score(distance)
        expected = (-np.log(score[same]).mean() - np.log(1 - score[~same]).mean()) / 2
        assert found.log_loss == pytest.approx(expected, rel=1e-9)

    def test_is_deterministic_and_fits_json(self):
        found = fit_calibration(*self.distances())
        assert found == fit_calibration(*self.distances())
        assert Calibration(**json.loads(json.dumps(found.to_json()))) == found

    def test_refuses_distances_that_tell_nothing(self):
        with pytest.raises(DataError, match="fall as the distance grows"):
            fit_calibration([5.0, 4.0, 1.0, 2.0], [True, True, False, False])
        with pytest.raises(DataError, match="all the same"):
            fit_calibration([5.0, 5.0], [True, False])
        with pytest.raises(DataError, match="genuine and impostor"):
            fit_calibration([5.0, 4.0], [True, True])
        with pytest.raises(ValueError, match="finite distances"):
            fit_calibration([5.0, NAN], [True, False])

    def test_sigmoid_never_overflows(self):
        assert sigmoid([-1e4, 0, 1e4]).tolist() == [0, 0.5, 1]
        logits = np.linspace(-30, 30, 61)
        np.testing.assert_allclose(sigmoid(logits), 1 / (1 + np.exp(-logits)), rtol=1e-12)
        np.testing.assert_allclose(sigmoid(-logits), 1 - sigmoid(logits), atol=1e-15)


def sources_for(same, people=80, seed=2):
    """Give every pair two people: one person for a genuine pair, two for an impostor pair."""
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, people, same.size)
    other = (reference + generator.integers(1, people, same.size)) % people
    return Sources("person", reference, np.where(same, reference, other), people)


class TestBootstrap:
    def test_weights_are_products_of_how_often_people_were_drawn(self):
        sources = Sources("person", np.array([0, 1, 2, 0]), np.array([0, 2, 1, 1]), 3)
        [weights] = resampled_weights(sources, 500, seed=1)
        drawn = np.random.default_rng(1).multinomial(3, [1 / 3] * 3, size=500)
        expected = [[a, b * c, c * b, a * b] for a, b, c in drawn]
        np.testing.assert_array_equal(weights, expected)

    def test_draws_do_not_depend_on_the_chunk(self, monkeypatch):
        sources = sources_for(np.arange(50) < 25)
        [whole] = resampled_weights(sources, 20, seed=1)
        monkeypatch.setattr("flaskapp.evaluation.intervals.WEIGHTS_AT_ONCE", 300)
        parts = list(resampled_weights(sources, 20, seed=1))
        assert len(parts) > 1
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    @pytest.mark.parametrize("case", CASES)
    def test_equals_evaluating_each_replicate_pair_by_pair(self, case):
        scores, same = random_pairs(300, **case)
        sources = sources_for(same)
        [weights] = resampled_weights(sources, 60, seed=7)
        figures = {"accuracy": [], "fmr": [], "fnmr": [], "eer": []}
        for row in weights.astype(int):
            again, kinds = np.repeat(scores, row), np.repeat(same, row)
            found = confusion_at(again, kinds, 0.5)
            figures["fmr"].append(found.fmr)
            figures["fnmr"].append(found.fnmr)
            figures["accuracy"].append(1 - same.mean() * found.fnmr - (1 - same.mean()) * found.fmr)
            figures["eer"].append(eer(error_curve(again, kinds)))
        intervals = bootstrap_intervals(scores, same, 0.5, sources, replicates=60, seed=7)
        assert intervals.keys() == figures.keys()
        for name, drawn in figures.items():
            ends = (intervals[name].low, intervals[name].high)
            assert ends == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-12)

    def test_the_seed_decides(self):
        scores, same = random_pairs()
        sources = sources_for(same)
        first, again, other = (
            bootstrap_intervals(scores, same, 0.5, sources, replicates=50, seed=seed) for seed in (0, 0, 1)
        )
        assert first == again != other

    def test_people_who_are_confused_often_widen_the_interval(self):
        # Forty people with ten genuine pairs each; all pairs of four of them fail.
        person = np.repeat(np.arange(40), 10)
        scores, same = np.where(person < 4, 0.1, 0.9), np.ones(400, bool)
        by_people, by_pair = (
            bootstrap_intervals(scores, same, 0.5, Sources("person", who, who, who.max() + 1))["fnmr"]
            for who in (person, np.arange(400))
        )
        assert by_people.high - by_people.low > 2 * (by_pair.high - by_pair.low)

    def test_independent_pairs_come_near_the_binomial_interval(self):
        same = np.ones(1000, bool)
        scores = np.where(np.arange(1000) < 100, 0.1, 0.9)
        found = bootstrap_intervals(scores, same, 0.5, Sources("person", np.arange(1000), np.arange(1000), 1000))
        ends = (found["fnmr"].low, found["fnmr"].high)
        assert ends == pytest.approx((0.1 - 1.96 * 0.0095, 0.1 + 1.96 * 0.0095), abs=0.003)

    def test_no_errors_give_an_upper_bound(self):
        scores, same = np.repeat([0.1, 0.9], 50), np.repeat([False, True], 50)
        sources = sources_for(same)
        found = bootstrap_intervals(scores, same, 0.5, sources, replicates=10)
        assert {interval.method for interval in found.values()} == {"no errors seen"}
        assert found["fmr"].high == no_errors_bound(sources.combinations(~same))
        assert found["fnmr"].high == no_errors_bound(sources.combinations(same))
        assert found["accuracy"].high == 1 > found["accuracy"].low
        assert found["eer"].high == max(found["fmr"].high, found["fnmr"].high)

    @pytest.mark.parametrize("trials", [1, 10, 500, 10**6])
    def test_the_bound_is_clopper_and_pearsons(self, trials):
        assert no_errors_bound(trials) == pytest.approx(beta.ppf(0.95, 1, trials), rel=1e-9)
        with pytest.raises(ValueError, match="at least one trial"):
            no_errors_bound(0)

    def test_pairs_of_the_same_two_people_count_once_for_the_bound(self):
        sources = Sources("person", np.array([0, 1, 0, 2]), np.array([1, 0, 1, 2]), 3)
        assert sources.combinations(np.ones(4, bool)) == 2
        assert sources.among(np.array([False, False, False, True])) == 1

    @pytest.mark.parametrize("kind", [True, False])
    def test_one_kind_has_its_own_rate_only(self, kind):
        same = np.full(60, kind)
        scores = np.linspace(0, 1, 60)
        found = bootstrap_intervals(scores, same, 0.5, sources_for(same), replicates=40)
        assert found.keys() == {"fnmr" if kind else "fmr", "accuracy"}
        perfect = bootstrap_intervals(scores, same, 0.0 if kind else 2.0, sources_for(same), replicates=40)
        assert perfect["accuracy"].method == "no errors seen"

    def test_nothing_can_be_drawn_from_one_person(self):
        alone = Sources("person", np.zeros(3, int), np.zeros(3, int), 1)
        assert bootstrap_intervals([0.1, 0.2, 0.9], [True] * 3, 0.5, alone) == {}

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match="sources of 4 pairs"):
            bootstrap_intervals(SCORES, SAME, 0.5, sources_for(np.array([True])))
        with pytest.raises(ValueError, match="one shape"):
            Sources("person", np.array([0]), np.array([0, 1]), 2)
        with pytest.raises(ValueError, match="from 0 to 1"):
            Sources("person", np.array([0]), np.array([2]), 2)
        with pytest.raises(ValueError, match="0 ≤ low ≤ high ≤ 1"):
            Interval(0.5, 0.4)
        with pytest.raises(ValueError, match="at least one replicate"):
            next(resampled_weights(sources_for(np.array([True])), 0, 0))


class TestSources:
    genuine = PhotoPair("Ann/1.jpg", "Ann/2.jpg", True)
    impostor = PhotoPair("Ann/1.jpg", "Bob/1.jpg", False)

    def test_folders_that_agree_with_the_list_are_people(self):
        sources = sources_of([self.genuine, self.impostor])
        assert (sources.unit, sources.count) == ("person", 2)
        assert sources.reference.tolist() == [0, 0]
        assert sources.probe.tolist() == [0, 1]

    @pytest.mark.parametrize(
        "pair",
        [PhotoPair("ref/1.jpg", "probe/1.jpg", True), PhotoPair("Ann/1.jpg", "Ann/3.jpg", False),
         PhotoPair("1.jpg", "2.jpg", True)],
    )  # fmt: skip
    def test_otherwise_photos_stand_in(self, pair):
        sources = sources_of([self.genuine, self.impostor, pair])
        assert sources.unit == "photo"
        assert sources.count == len({"Ann/1.jpg", "Ann/2.jpg", "Bob/1.jpg", pair.reference, pair.probe})

    def test_one_kind_proves_nothing_about_folders(self):
        assert sources_of([self.impostor]).unit == "photo"
        assert sources_of([]).count == 0

    def test_names_are_numbered_as_they_come(self):
        sources = sources_by("person", ["b", "a"], ["b", "c"])
        assert (sources.reference.tolist(), sources.probe.tolist(), sources.count) == ([0, 1], [0, 2], 3)


KEYS = {
    "pairs", "genuine", "impostor", "failures_to_acquire", "threshold", "accuracy", "precision", "recall",
    "f1", "fmr", "fnmr", "eer", "auc", "fnmr_at_fmr", "decisions", "intervals", "weights", "reasons",
}  # fmt: skip


class TestEvaluate:
    def test_gathers_what_the_parts_say(self):
        scores, same = random_pairs(3000, failures=0.01)
        sources = sources_for(same, people=700)
        found = evaluate(
            scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources, weights="abc", replicates=50, seed=3
        ).to_json()
        confusion, curve = confusion_at(scores, same, 0.5), error_curve(scores, same)
        assert found.keys() >= KEYS
        assert (found["pairs"], found["genuine"], found["impostor"]) == (3000, same.sum(), (~same).sum())
        assert found["failures_to_acquire"] == np.isnan(scores).sum() > 0
        for name in ("accuracy", "precision", "recall", "f1", "fmr", "fnmr"):
            assert found[name] == getattr(confusion, name)
        assert (found["eer"], found["auc"]) == (eer(curve), auc(curve))
        assert found["fnmr_at_fmr"].keys() == {"0.1", "0.01", "0.001"}
        assert found["fnmr_at_fmr"]["0.01"] == fnmr_at_fmr(curve, 0.01)
        assert found["fnmr_at_fmr"]["0.001"] is None
        assert "at least 10000 impostor pairs" in found["reasons"]["fnmr_at_fmr.0.001"]
        verdicts = count_verdicts(scores, same, (0.4, 0.6))
        assert found["decisions"] == {kind: counts.to_json() for kind, counts in verdicts.items()}
        expected = bootstrap_intervals(scores, same, 0.5, sources, replicates=50, seed=3)
        assert found["intervals"] == {name: interval.to_json() for name, interval in expected.items()}
        assert found["weights"] == "abc"

    def test_json_holds_no_nan(self):
        scores, same = random_pairs(50, failures=0.3)
        found = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources_for(same), replicates=20)
        assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()

    @pytest.mark.parametrize(
        ("scores", "same", "missing"),
        [
            ([0.9, 0.8], [True, True], {"fmr", "eer", "auc"}),
            ([0.1, 0.2], [False, False], {"precision", "recall", "f1", "fnmr", "eer", "auc"}),
            ([NAN, NAN], [True, False], {"precision"}),
        ],
    )
    def test_what_cannot_be_said_is_null_with_a_reason(self, scores, same, missing):
        evaluation = evaluate(scores, same, threshold=0.5, band=(0.5, 0.5))
        found = evaluation.to_json()
        assert {key for key in KEYS - {"weights"} if found[key] is None} == missing
        assert set(found["reasons"]) == missing | {f"fnmr_at_fmr.{rate}" for rate in ("0.1", "0.01", "0.001")}

    def test_too_few_people_make_no_claim(self):
        scores, same = random_pairs(3000)
        found = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources_for(same), replicates=5)
        assert set(found.fnmr_at_fmr.values()) == {None}
        assert "500 people" in found.reasons["fnmr_at_fmr.0.1"]

    def test_threshold_lies_within_the_band(self):
        with pytest.raises(ValueError, match="low ≤ threshold ≤ high"):
            evaluate(SCORES, SAME, threshold=0.3, band=(0.4, 0.6))
        with pytest.raises(DataError):
            evaluate([], [], threshold=0.5, band=(0.4, 0.6))

    def test_in_words_counts_pairs(self):
        said = evaluate(SCORES, SAME, threshold=0.5, band=(0.3, 0.7)).in_words()
        assert said[0] == "Of 2 same-person pairs, 1 (50.0 %) read match."
        assert said[-1] == "Of 2 stranger pairs, 1 (50.0 %) read non-match."

    def test_validates_itself(self):
        confusion = Confusion(1, 0, 1, 0)
        verdicts = {"genuine": Verdicts(1, 0, 0), "impostor": Verdicts(0, 0, 1)}
        none = {"genuine": 0, "impostor": 0}
        Evaluation(0.5, (0.5, 0.5), confusion, verdicts, none, 0.0, 1.0, {})
        with pytest.raises(ValueError, match="Missing: \\['eer'\\]"):
            Evaluation(0.5, (0.5, 0.5), confusion, verdicts, none, None, 1.0, {})
        with pytest.raises(ValueError, match="1 impostor verdicts"):
            Evaluation(0.5, (0.5, 0.5), confusion, verdicts | {"impostor": Verdicts(1, 0, 1)}, none, 0.0, 1.0, {})
        with pytest.raises(ValueError, match="failures among the non-matches"):
            Evaluation(0.5, (0.5, 0.5), confusion, verdicts, {"genuine": 1, "impostor": 0}, 0.0, 1.0, {})


class TestScoresCsv:
    pairs = (PhotoPair("Ann/1.jpg", "Ann/2.jpg", True), PhotoPair("Ann/1.jpg", "B, ob/ü.jpg", False))

    def test_rows(self, tmp_path):
        path = tmp_path / "scores.csv"
        write_scores_csv(path, self.pairs, [np.float32(0.1), NAN], (0.05, 0.6))
        assert path.read_text(encoding="utf-8").splitlines() == [
            "reference,probe,same,similarity_score,decision",
            "Ann/1.jpg,Ann/2.jpg,1,0.10000000149011612,inconclusive",
            'Ann/1.jpg,"B, ob/ü.jpg",0,,non_match',
        ]

    def test_reads_back_as_pairs(self, tmp_path):
        path = tmp_path / "scores.csv"
        write_scores_csv(path, self.pairs, [0.9, 0.2], (0.5, 0.6))
        assert tuple(read_pairs(path)) == self.pairs

    def test_a_score_for_each_pair(self, tmp_path):
        with pytest.raises(ValueError, match="2 scores"):
            write_scores_csv(tmp_path / "scores.csv", self.pairs, [0.9], (0.5, 0.6))
