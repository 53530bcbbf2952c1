"""The band: nothing better exists, and the same scores give the same one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scored_pairs import NAN, random_pairs

from flaskapp.errors import UnreachableRateError
from flaskapp.evaluation import choose_threshold, confusion_at, pairs_needed
from flaskapp.evaluation.decisions import count_verdicts
from research.distil.bands import BandChoice, choose_band, choose_threshold_within, reachable_rate


def test_keeps_its_limits():
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


def test_errs_as_little_as_a_band_of_its_width_can():
    scores, same = random_pairs(20_000, apart=1.5, decimals=2, seed=6)
    choice = choose_band(scores, same, max_fmr=0.002, max_fnmr=0.01, max_inconclusive=0.05)
    best = choose_threshold_within(scores, same, (0, 1), 0.5)
    assert choice.relaxed
    assert choice.low <= best <= choice.high
    assert choice.inconclusive_genuine <= 0.05 * choice.genuine
    assert choice.inconclusive_impostor <= 0.05 * choice.impostor
    assert choice.relaxed_by == pytest.approx(max(choice.fmr / 0.002, choice.fnmr / 0.01))
    cuts = np.unique(scores)
    fmr = np.array([np.mean(scores[~same] >= cut) for cut in cuts])
    fnmr = np.array([np.mean(scores[same] < cut) for cut in cuts])
    errors = [
        fnmr[low] + fmr[high]
        for low in np.flatnonzero(cuts - 0.005 <= best)
        for high in np.flatnonzero(cuts + 0.005 > best)
        if low <= high and max(fnmr[high] - fnmr[low], fmr[low] - fmr[high]) <= 0.05 + 1e-12
    ]
    assert choice.fmr + choice.fnmr == pytest.approx(min(errors))


def test_vanishes_where_both_kinds_lie_apart():
    scores = np.concatenate((np.linspace(0, 0.3, 1000), np.linspace(0.7, 1, 1000)))
    choice = choose_band(scores, np.repeat([False, True], 1000), max_fmr=0.01, max_fnmr=0.01)
    assert choice.low == choice.high == pytest.approx(0.5)
    assert (choice.false_matches, choice.false_non_matches, choice.relaxed_by) == (0, 0, 1)


def test_where_the_limits_cross_both_kinds_weigh_the_same():
    # Of 1,000 impostor and 100 genuine pairs, 0.5 makes two errors of the one kind (0.2 %)
    # and 0.7 one of the other (1 %): more errors, and yet the lower rates.
    scores = np.concatenate((np.linspace(0, 0.4, 998), [0.61, 0.62], [0.6], np.linspace(0.8, 1, 99)))
    choice = choose_band(scores, np.arange(1100) >= 1000, max_fmr=0.01, max_fnmr=0.1)
    assert choice.low == choice.high == pytest.approx(0.5)


@pytest.mark.parametrize("crowded", ["genuine", "impostor"])
def test_neither_kind_may_crowd_the_band(crowded):
    lower, upper = np.linspace(0, 0.5, 1000), np.linspace(0.5, 1, 1000)
    # A tenth of one kind lies among the outermost hundredth of the other.
    (lower if crowded == "impostor" else upper)[:100] = np.linspace(0.45, 0.55, 100)
    lower[500:510], upper[500:510] = 0.7, 0.3
    choice = choose_band(np.concatenate((lower, upper)), np.repeat([False, True], 1000), max_fmr=0.01, max_fnmr=0.01)
    assert choice.inconclusive_genuine <= 50
    assert choice.inconclusive_impostor <= 50


def test_too_few_pairs_raise():
    scores, same = random_pairs(2000)
    with pytest.raises(UnreachableRateError, match="at least 10000 impostor pairs"):
        choose_band(scores, same)
    with pytest.raises(UnreachableRateError, match="at least 1000 genuine pairs"):
        choose_band(scores, same, max_fmr=0.01)


def test_failures_take_no_part():
    scores, same = random_pairs(4000)
    padded = np.append(scores, [NAN] * 50), np.append(same, [True] * 25 + [False] * 25)
    assert choose_band(*padded, 0.01, 0.01) == choose_band(scores, same, 0.01, 0.01)


def test_same_scores_same_band_and_threshold_inside():
    scores, same = random_pairs(4000, decimals=2)
    choice = choose_band(scores, same, 0.01, 0.01)
    assert choice == choose_band(scores[::-1], same[::-1], 0.01, 0.01)
    assert choice.low <= choose_threshold_within(scores, same, choice.band, same.mean()) <= choice.high


def test_json_says_what_was_asked_and_reached():
    found = choose_band(*random_pairs(4000), 0.01, 0.01).to_json()
    assert json.loads(json.dumps(found)) == found
    assert {"low", "high", "max_fmr", "fmr", "max_fnmr", "fnmr", "relaxed", "relaxed_by"} <= found.keys()


def test_validates_itself():
    with pytest.raises(ValueError, match="low ≤ high"):
        BandChoice(0.6, 0.5, 0.1, 0.1, 0.1, 1, 0, 0, 0, 0, 1, 1)
    with pytest.raises(ValueError, match="no more verdicts on impostor"):
        BandChoice(0.4, 0.5, 0.1, 0.1, 0.1, 1, 1, 0, 0, 1, 1, 1)
    with pytest.raises(ValueError, match="no more verdicts on genuine"):
        BandChoice(0.4, 0.5, 0.1, 0.1, 0.1, 1, 0, 1, 1, 0, 1, 1)
    with pytest.raises(ValueError, match="relaxed_by"):
        BandChoice(0.4, 0.5, 0.1, 0.1, 0.1, 0.5, 0, 0, 0, 0, 1, 1)


class TestThreshold:
    def test_share_of_genuine_pairs_moves_it(self):
        scores, same = random_pairs(4000)
        rare, even, common = (choose_threshold_within(scores, same, (0, 1), share) for share in (0.01, 0.5, 0.99))
        assert rare > even > common
        assert choose_threshold_within(scores, same, (0, 1), same.mean()) == choose_threshold(scores, same)
        with pytest.raises(ValueError, match="genuine_share"):
            choose_threshold_within(scores, same, (0, 1), 1)

    def test_pairs_count_for_what_they_weigh(self):
        scores, same = random_pairs(4000)
        # Half of the pairs with all the weight, scores of the others being wrong.
        weight = np.tile([1.0, 0.0], 2000)
        mixed = np.where(weight > 0, scores, 1 - scores)
        even = choose_threshold_within(scores[::2], same[::2], (0, 1), 0.5)
        assert choose_threshold_within(mixed, same, (0, 1), 0.5, weight) == pytest.approx(even, abs=1e-3)
        assert choose_threshold_within(mixed, same, (0, 1), 0.5) != pytest.approx(even, abs=1e-3)

    def test_pairs_without_a_score_take_no_part(self):
        scores, same = random_pairs(4000)
        known, weight = np.arange(4000) % 7 > 0, np.arange(4000) % 5 + 1.0
        chosen = choose_threshold_within(np.where(known, scores, np.nan), same, (0, 1), 0.5, weight)
        assert chosen == choose_threshold_within(scores[known], same[known], (0, 1), 0.5, weight[known])

    @pytest.mark.parametrize("band", [(0.1, 0.2), (0.45, 0.55), (0.8, 0.9), (0.5, 0.5)])
    def test_stays_within_the_band(self, band):
        scores, same = random_pairs()
        chosen = choose_threshold_within(scores, same, band, same.mean())
        assert band[0] <= chosen <= band[1]
        within = [*scores[(scores >= band[0]) & (scores <= band[1])], *band]
        best = max(confusion_at(scores, same, cut).accuracy for cut in within)
        assert confusion_at(scores, same, chosen).accuracy == best


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.07, 0.01, 1e-3, 1e-4])
def test_needed_pairs_and_reachable_rate_agree(rate):
    assert reachable_rate(pairs_needed(rate)) <= rate * (1 + 1e-9)
    assert reachable_rate(pairs_needed(rate) - 1) > rate
