"""Intervals over people: each replicate counted pair by pair, and what cannot be drawn."""

from __future__ import annotations

from math import lgamma

import numpy as np
import pytest
from scored_pairs import CASES, random_pairs, sources_for

from flaskapp.evaluation import Interval, Sources, auc, confusion_at, eer, error_curve, no_errors_bound, sources_by
from flaskapp.evaluation.decisions import decide_all
from flaskapp.evaluation.intervals import bootstrap_intervals, exact_interval, resampled_weights, verdict_intervals
from flaskapp.evaluation.quality import Ladder, score_quality

DECISIONS = ("accuracy", "precision", "recall", "f1", "fmr", "fnmr")
STATED = ("fnmr_at_fmr.0.1", "fnmr_at_fmr.0.03")
QUALITY = ("brier", "ece", "cllr", "min_cllr", "calibration_loss")


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
    def test_the_list_itself_is_the_replicate_that_counts_each_pair_once(self, case):
        scores, same = random_pairs(300, **case)
        values = np.where(np.isnan(scores), -np.inf, scores)
        ladder = Ladder(values, same, 0.5, ["0.1", "0.03"], chances=True)
        found = {name: figure[0] for name, figure in ladder.figures(np.ones((1, 300))).items()}
        curve, quality = error_curve(scores, same), score_quality(scores, same)
        assert {name: found[name] for name in DECISIONS} == confusion_at(scores, same, 0.5).figures()
        assert found["auc"] == auc(curve)
        assert found["eer"] == pytest.approx(eer(curve), abs=1e-15)
        for name in STATED:
            fmr = float(name.removeprefix("fnmr_at_fmr."))
            assert found[name] == curve.fnmr[np.argmax(curve.fmr <= fmr * (1 + 1e-12))]
        for name in QUALITY:
            assert found[name] == pytest.approx(getattr(quality, name), abs=1e-14)

    @pytest.mark.parametrize("case", CASES)
    def test_equals_evaluating_each_replicate_pair_by_pair(self, case):
        scores, same = random_pairs(300, **case)
        sources = sources_for(same)
        [weights] = resampled_weights(sources, 60, seed=7)
        figures = {name: [] for name in (*DECISIONS, "eer", "auc", *STATED, *QUALITY)}
        share = same.mean()
        for row in weights.astype(int):
            again, kinds = np.repeat(scores, row), np.repeat(same, row)
            found = confusion_at(again, kinds, 0.5).figures()
            figures["fmr"].append(found["fmr"])
            figures["fnmr"].append(found["fnmr"])
            matched, let_in = share * (1 - found["fnmr"]), (1 - share) * found["fmr"]
            figures["accuracy"].append(matched + 1 - share - let_in)
            figures["precision"].append(matched / (matched + let_in))
            figures["recall"].append(found["recall"])
            figures["f1"].append(2 * matched / (matched + let_in + share))
            curve, quality = error_curve(again, kinds), score_quality(again, kinds)
            figures["eer"].append(eer(curve))
            figures["auc"].append(auc(curve))
            for name in STATED:
                fmr = float(name.removeprefix("fnmr_at_fmr."))
                figures[name].append(curve.fnmr[np.argmax(curve.fmr <= fmr * (1 + 1e-12))])
            for name in QUALITY:
                figures[name].append(getattr(quality, name))
        intervals = bootstrap_intervals(
            scores, same, 0.5, sources, stated_fmrs=["0.1", "0.03"], chances=True, replicates=60, seed=7
        )
        assert intervals.keys() == figures.keys()
        for name, drawn in figures.items():
            ends = (intervals[name].low, intervals[name].high)
            assert ends == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-12), name

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
        found = bootstrap_intervals(scores, same, 0.5, sources, stated_fmrs=["0.2"], replicates=10)
        assert found.keys() == {*DECISIONS, "eer", "auc", "fnmr_at_fmr.0.2"}
        assert {interval.method for interval in found.values()} == {"no errors seen"}
        assert found["fmr"].high == no_errors_bound(sources.combinations(~same))
        assert found["fnmr"].high == no_errors_bound(sources.combinations(same))
        assert found["accuracy"].high == 1 > found["accuracy"].low
        assert found["eer"].high == max(found["fmr"].high, found["fnmr"].high)
        assert found["auc"].low == (1 - found["eer"].high) ** 2
        assert found["recall"].low == 1 - found["fnmr"].high
        assert found["precision"].low == pytest.approx(1 / (1 + found["fmr"].high))
        assert 0 < found["f1"].low < 2 * 0.5 / (1 + 1 - found["accuracy"].low)
        assert found["fnmr_at_fmr.0.2"] == found["fnmr"]

    def test_errors_only_give_a_lower_bound(self):
        same = np.repeat([True, False], 30)
        sources = sources_for(same)
        found = bootstrap_intervals(np.where(same, 0.1, 0.9), same, 0.5, sources, replicates=10)
        assert (found["fnmr"].method, found["fnmr"].high) == ("only errors seen", 1)
        assert found["fnmr"].low == 1 - no_errors_bound(sources.combinations(same)) < 1
        assert found["fmr"].low == 1 - no_errors_bound(sources.combinations(~same)) < 1
        assert (found["recall"].low, found["recall"].high) == (0, pytest.approx(1 - found["fnmr"].low))

    def test_shares_of_verdicts_equal_counting_each_replicate_pair_by_pair(self):
        scores, same = random_pairs(300, failures=0.1)
        sources, decided = sources_for(same), np.array(decide_all(scores, (0.4, 0.6)))
        [weights] = resampled_weights(sources, 60, seed=7)
        found = verdict_intervals(decided.tolist(), same, sources, 60, 7)
        for kind, among in (("genuine", same), ("impostor", ~same)):
            again = [np.repeat(decided[among], row) for row in weights[:, among].astype(int)]
            for verdict in ("match", "inconclusive", "non_match"):
                ends = np.quantile([np.mean(drawn == verdict) for drawn in again], [0.025, 0.975])
                told = found.pop(f"{kind}.{verdict}")
                assert (told.low, told.high) == pytest.approx(ends.tolist(), abs=1e-12)
        assert not found

    def test_a_verdict_that_none_or_all_got_has_a_bound(self):
        same = np.repeat([True, False], 30)
        sources = sources_for(same)
        found = verdict_intervals(["match"] * 60, same, sources, 10, 0)
        bound = no_errors_bound(sources.combinations(same))
        assert found["genuine.match"] == Interval(1 - bound, 1.0, method="only errors seen")
        assert found["genuine.non_match"] == Interval(0.0, bound, method="no errors seen")
        assert verdict_intervals(["match"] * 60, ~same | same, sources_by("person", [0] * 60, [0] * 60), 10, 0) == {}

    @pytest.mark.parametrize("trials", [1, 10, 500, 10**6])
    def test_the_bound_is_clopper_and_pearsons(self, trials):
        stats = pytest.importorskip("scipy.stats")
        assert no_errors_bound(trials) == pytest.approx(stats.beta.ppf(0.95, 1, trials), rel=1e-9)

    def test_pairs_of_the_same_two_people_count_once_for_the_bound(self):
        sources = Sources("person", np.array([0, 1, 0, 2]), np.array([1, 0, 1, 2]), 3)
        assert sources.combinations(np.ones(4, bool)) == 2
        assert sources.among(np.array([False, False, False, True])) == 1

    @pytest.mark.parametrize("kind", [True, False])
    def test_one_kind_has_its_own_figures_only(self, kind):
        same = np.full(60, kind)
        scores = np.linspace(0, 1, 60)
        found = bootstrap_intervals(scores, same, 0.5, sources_for(same), replicates=40)
        assert found.keys() == ({"fnmr", "recall", "f1", "accuracy"} if kind else {"fmr", "accuracy"})
        perfect = bootstrap_intervals(scores, same, 0.0 if kind else 2.0, sources_for(same), replicates=40)
        assert perfect["accuracy"].method == "no errors seen"

    def test_nothing_can_be_drawn_from_one_person(self):
        alone = Sources("person", np.zeros(3, int), np.zeros(3, int), 1)
        assert bootstrap_intervals([0.1, 0.2, 0.9], [True] * 3, 0.5, alone) == {}

    def test_where_all_draws_agree_nothing_is_claimed(self):
        scores, same = np.array([0.9, 0.2, 0.1, 0.8]), np.array([True, True, False, False])
        two = Sources("person", np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]), 2)
        found = bootstrap_intervals(scores, same, 0.5, two, chances=True)
        assert all(interval.low < interval.high for interval in found.values()), found
        assert "accuracy" not in found


def test_names_are_numbered_as_they_come():
    sources = sources_by("person", ["b", "a"], ["b", "c"])
    assert (sources.reference.tolist(), sources.probe.tolist(), sources.count) == ([0, 1], [0, 2], 3)


class TestExact:
    @pytest.mark.parametrize(("hits", "trials"), [(1, 2), (6, 10_000), (14, 15), (5000, 10_000), (9_990, 10_000)])
    def test_at_either_end_what_was_seen_is_just_not_rare(self, hits, trials):
        """By the definition of Clopper and Pearson: 2.5 % for so many or more, at the high end so many or fewer."""
        found = exact_interval(hits, trials)
        numbers = np.arange(trials + 1)
        ways = np.array([lgamma(trials + 1) - lgamma(n + 1) - lgamma(trials - n + 1) for n in numbers])
        for share, rare in ((found.low, numbers >= hits), (found.high, numbers <= hits)):
            chances = np.exp(ways + numbers * np.log(share) + (trials - numbers) * np.log1p(-share))
            assert chances[rare].sum() == pytest.approx(0.025, rel=1e-6)

    def test_none_and_all_have_a_one_sided_bound(self):
        assert exact_interval(0, 3) == Interval(0.0, no_errors_bound(3), method="no errors seen")
        assert exact_interval(3, 3) == Interval(1 - no_errors_bound(3), 1.0, method="only errors seen")
