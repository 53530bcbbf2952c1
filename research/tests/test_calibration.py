"""Two numbers by logistic regression: beside scikit-learn, and where it has no answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scored_pairs import NAN

from flaskapp.errors import DataError
from flaskapp.evaluation import sigmoid
from flaskapp.evaluation.calibration import Trust
from research.distil.calibration import Calibration, fit_calibration


class TestCalibration:
    @staticmethod
    def distances(pairs=3000, seed=4, apart=1.0):
        generator = np.random.default_rng(seed)
        same = generator.random(pairs) < 0.3
        return 40 + 3 * generator.normal(size=pairs) - apart * 6 * same, same

    @pytest.mark.parametrize("share", [None, 0.5, 0.2])
    def test_equals_scikit_learn_on_platts_targets(self, share):
        linear_model = pytest.importorskip("sklearn.linear_model")
        distance, same = self.distances()
        found = fit_calibration(distance, same, share)
        genuine, impostor = same.sum(), (~same).sum()
        kept = same.mean() if share is None else share
        target = np.where(same, (genuine + 1) / (genuine + 2), 1 / (impostor + 2))
        weight = np.where(same, kept / genuine, (1 - kept) / impostor) * same.size
        twin = linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
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
        assert abs(error.sum()) < 1e-6
        assert abs(error @ distance) < 1e-5

    def test_recovers_the_odds_of_two_normals(self):
        # Two normals of one spread σ, δ apart: the log odds fall by δ/σ² a unit of distance.
        found = fit_calibration(*self.distances(200_000))
        assert found.scale == pytest.approx(-6 / 9, rel=0.03)
        assert found.score(37.0) == pytest.approx(0.5, abs=0.01)

    def test_moving_or_stretching_the_distance_changes_no_score(self):
        distance, same = self.distances()
        scores = fit_calibration(distance, same).score(distance)
        moved = distance * 1e-3 - 7
        np.testing.assert_allclose(fit_calibration(moved, same).score(moved), scores, atol=1e-6)

    def test_kinds_that_lie_apart_still_have_an_answer(self):
        found = fit_calibration([1.0, 1.1, 5.0, 5.2], [True, True, False, False])
        assert found.score(1.0) > 0.7 > 0.3 > found.score(5.0)

    def test_where_the_network_is_unsure_it_finds_the_same_numbers_again(self):
        # Pairs that keep their odds as far as the network is sure, as ``Trust`` says.
        generator, trust = np.random.default_rng(6), Trust((0.2, 0.8), 3.0, 0.1)
        distance, certainty = generator.uniform(0, 4, 300_000), generator.uniform(0.3, 1, 300_000)
        odds = trust.weigh(4 - 2 * distance, certainty, 1.0)
        same = generator.random(odds.size) < sigmoid(odds)
        found = fit_calibration(distance, same, None, trust=trust, certainty=certainty)
        assert (found.scale, found.offset) == (pytest.approx(-2, abs=0.05), pytest.approx(4, abs=0.1))
        blind = fit_calibration(distance, same, None)
        assert blind.log_loss > found.log_loss
        assert json.loads(json.dumps(found.to_json()))["trust"] == {"match": [0.2, 0.8], "doubt": 3.0, "least": 0.1}

    def test_pairs_count_as_often_as_they_are_told_to(self):
        distance, same = self.distances(600)
        twice = fit_calibration(np.append(distance, distance[:50]), np.append(same, same[:50]), None)
        counts = np.append(np.full(50, 2.0), np.ones(550))
        found = fit_calibration(distance, same, twice.genuine_share, counts_for=counts)
        assert found.scale == pytest.approx(twice.scale, rel=0.01)

    def test_log_loss_is_its_definition(self):
        distance, same = self.distances()
        found = fit_calibration(distance, same)
        score = found.score(distance)
        expected = (-np.log(score[same]).mean() - np.log(1 - score[~same]).mean()) / 2
        assert found.log_loss == pytest.approx(expected, rel=1e-9)

    def test_is_deterministic_and_fits_json(self):
        found = fit_calibration(*self.distances())
        assert found == fit_calibration(*self.distances())
        told = json.loads(json.dumps(found.to_json()))
        assert Calibration(**told | {"trust": Trust.from_json(told["trust"])}) == found

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
