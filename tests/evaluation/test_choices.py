"""The threshold: none is more accurate, and the same scores give the same one."""

from __future__ import annotations

import numpy as np
import pytest
from scored_pairs import CASES, NAN, SAME, random_pairs

from flaskapp.errors import DataError
from flaskapp.evaluation import choose_threshold, confusion_at


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

    def test_pairs_that_all_failed_are_told_from_no_pairs(self):
        with pytest.raises(DataError, match="None of 3 pairs has a score"):
            choose_threshold([NAN] * 3, [True, False, False])
