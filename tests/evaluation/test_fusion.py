from __future__ import annotations

import numpy as np
import pytest

from flaskapp.evaluation.calibration import Fusion, Trust

TRUST = Trust((0.0, 1.0), 24.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 20])
def test_the_three_highest_log_odds_are_averaged(rng, count):
    odds, sure, other = rng.normal(0, 5, (count, 6)), rng.random(count), rng.random(6)
    fusion = Fusion(scale=0.8, offset=-1.5)
    for photo, found in enumerate(fusion.fuse(odds, sure, other, TRUST)):
        trusted = [TRUST.weigh(0.8 * o - 1.5, s, other[photo]) for o, s in zip(odds[:, photo], sure, strict=True)]
        assert found == pytest.approx(np.mean(sorted(trusted)[-3:]))


def test_the_order_of_references_changes_no_bit(rng):
    odds, sure, other = rng.normal(0, 5, (7, 40)), rng.random(7), rng.random(40)
    expected = Fusion().fuse(odds, sure, other, TRUST)
    for _ in range(5):
        order = rng.permutation(7)
        np.testing.assert_array_equal(Fusion().fuse(odds[order], sure[order], other, TRUST), expected)


def test_an_offset_says_nothing_of_a_face_that_nobody_can_see():
    found = Fusion(scale=0.9, offset=-2.0).fuse(np.full((5, 1), 3.0), np.ones(5), [0.0], TRUST)
    np.testing.assert_array_equal(found, [0.0])


def test_poor_references_count_only_where_all_are_poor(rng):
    odds, sure, other = rng.normal(-6, 2, (4, 9)), np.array([0.9, 0.5, 0.6, 0.95]), np.ones(9)
    for best in (1, 3):
        fusion, plain = Fusion(best=best, poor_below=0.8), Fusion(best=best)
        found = fusion.fuse(odds, sure, other, TRUST)
        np.testing.assert_array_equal(found, plain.fuse(odds[[0, 3]], sure[[0, 3]], other, TRUST))
        assert (found < plain.fuse(odds, sure, other, TRUST)).all()
        poor = slice(1, 3)
        np.testing.assert_array_equal(
            fusion.fuse(odds[poor], sure[poor], other, TRUST), plain.fuse(odds[poor], sure[poor], other, TRUST)
        )
        broken = fusion.fuse(odds, np.array([0.9, np.nan, 0.6, 0.95]), other, TRUST)
        assert np.isnan(broken).all()


def test_one_reference_and_nothing_fitted_is_trust_alone(rng):
    odds, other = rng.normal(0, 5, 9), rng.random(9)
    np.testing.assert_array_equal(Fusion().fuse(odds[None], [0.7], other, TRUST), TRUST.weigh(odds, 0.7, other))


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": np.nan}, {"offset": np.inf}, {"best": 0}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="Fusion expects"):
        Fusion(**wrong)
