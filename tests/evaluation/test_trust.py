"""What certainty does to log-odds."""

from __future__ import annotations

import numpy as np
import pytest

from flaskapp.evaluation.calibration import Trust

TRUST = Trust((0.2, 0.7), 6.0, 0.1)
ODDS = np.linspace(-20, 20, 401)
SURE = np.linspace(0, 1, 101)


def test_less_certainty_never_moves_a_score_away_from_the_middle_nor_over_it():
    weighed = TRUST.weigh(ODDS, SURE[:, None], 1.0)
    assert (np.diff(np.abs(weighed), axis=0) >= 0).all()
    assert (weighed * ODDS >= 0).all()
    assert (np.diff(weighed, axis=1) >= 0).all(), "and of two pairs the one more alike stays so"


def test_both_faces_weigh_the_same():
    other = SURE[::-1, None]
    np.testing.assert_array_equal(TRUST.weigh(ODDS, SURE[:, None], other), TRUST.weigh(ODDS, other, SURE[:, None]))


@pytest.mark.parametrize("sure, lost", [(1.0, 0.0), (0.75, 1.5), (0.5, 3.0), (0.0, 6.0)])
def test_below_zero_as_much_is_taken_off_whatever_there_is_but_for_the_least(sure, lost):
    odds = np.array([-20.0, -7.0, -2.0])
    assert TRUST.weigh(odds, sure, 1.0).tolist() == pytest.approx(np.minimum(odds + lost, 0.1 * sure**2 * odds))


@pytest.mark.parametrize("sure, part", [(1.0, 1.0), (0.7, 1.0), (0.45, 0.5), (0.2, 0.02), (0.1, 0.01), (0.0, 0.0)])
def test_above_zero_a_part_of_what_there_is_counts(sure, part):
    assert TRUST.weigh([2.0, 7.0, 20.0], sure, 1.0).tolist() == pytest.approx([2 * part, 7 * part, 20 * part])


def test_poor_photos_keep_their_order():
    assert (np.diff(TRUST.weigh(ODDS, 0.1, 1.0)) > 0).all()


def test_lines_at_zero_and_no_doubt_change_nothing():
    np.testing.assert_array_equal(Trust((0.0, 0.0), 0.0).weigh(ODDS, 0.0, 0.5), ODDS)


@pytest.mark.parametrize(
    "wrong", [((0.5, 0.4), 1), ((0, 1.1), 1), ((0, 1), -1), ((0, 1), np.nan), ((0, 1), 0, -0.1), ((0, 1), 0, 1.1)]
)
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="expects"):
        Trust(*wrong)
