"""One evaluation: every figure, or the reason why not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scored_pairs import NAN, SAME, SCORES, random_pairs, sources_for

from flaskapp.errors import DataError
from flaskapp.evaluation import auc, confusion_at, eer, error_curve, evaluate, fnmr_at_fmr, sources_by
from flaskapp.evaluation.curves import evaluate_folds
from flaskapp.evaluation.decisions import count_verdicts, decide_all
from flaskapp.evaluation.intervals import bootstrap_intervals, verdict_intervals
from flaskapp.evaluation.quality import score_quality

KEYS = {
    "pairs", "genuine", "impostor", "failures_to_acquire", "threshold", "accuracy", "precision", "recall",
    "f1", "fmr", "fnmr", "eer", "auc", "fnmr_at_fmr", "decisions", "intervals", "weights", "reasons",
    "threshold_chosen_here",
}  # fmt: skip
KEYS_WITH_INTERVALS = ("accuracy", "precision", "recall", "f1", "fmr", "fnmr", "eer", "auc")
QUALITY = ("brier", "ece", "cllr", "min_cllr", "calibration_loss")


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
            assert found[name] == confusion.figures()[name]
        assert (found["eer"], found["auc"]) == (eer(curve), auc(curve))
        assert found["fnmr_at_fmr"].keys() == {"0.1", "0.01", "0.001", "0.0001"}
        assert found["fnmr_at_fmr"]["0.01"] == fnmr_at_fmr(curve, 0.01)
        assert found["fnmr_at_fmr"]["0.001"] is None
        assert "at least 10000 impostor pairs" in found["reasons"]["fnmr_at_fmr.0.001"]
        verdicts = count_verdicts(scores, same, (0.4, 0.6))
        assert found["decisions"] == {kind: vars(counts) for kind, counts in verdicts.items()}
        quality = score_quality(scores, same)
        assert [found[name] for name in QUALITY] == [getattr(quality, name) for name in QUALITY]
        assert len(found["reliability"]) == 15
        expected = bootstrap_intervals(
            scores, same, 0.5, sources, stated_fmrs=["0.1", "0.01"], chances=True, replicates=50, seed=3
        )
        assert expected.keys() == {*QUALITY, *KEYS_WITH_INTERVALS, "fnmr_at_fmr.0.1", "fnmr_at_fmr.0.01"}
        expected |= verdict_intervals(decide_all(scores, (0.4, 0.6)), same, sources, 50, 3)
        assert found["intervals"] == {name: vars(interval) for name, interval in expected.items()}
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
        assert {key for key in QUALITY if found[key] is None} == {*QUALITY}
        assert set(found["reasons"]) == missing | {
            f"fnmr_at_fmr.{rate}" for rate in ("0.1", "0.01", "0.001", "0.0001")
        } | {*QUALITY}

    def test_scores_of_another_scale_are_no_chances_and_lose_nothing_else(self):
        scores, same = random_pairs(400)
        moved = 30 * scores - 7
        first, other = (
            evaluate(values, same, threshold=at, band=(at, at), sources=sources_for(same), replicates=20).to_json()
            for values, at in ((scores, 0.5), (moved, 8.0))
        )
        assert [other[name] for name in QUALITY] == [None] * 5
        assert "scores from 0 to 1" in other["reasons"]["ece"]
        for name in KEYS_WITH_INTERVALS:
            assert other[name] == pytest.approx(first[name], abs=1e-12)
            ends = [[told["intervals"][name][end] for end in ("low", "high")] for told in (other, first)]
            assert ends[0] == pytest.approx(ends[1], abs=1e-12)

    def test_a_certain_score_that_is_wrong_has_no_cllr(self):
        found = evaluate([0.0, 0.9, 0.1, 0.2], [1, 1, 0, 0], threshold=0.5, band=(0.5, 0.5), sources=sources_for(
            np.array([True, True, False, False])), replicates=20).to_json()  # fmt: skip
        assert (found["cllr"], found["calibration_loss"]) == (None, None)
        assert "infinite" in found["reasons"]["cllr"]
        assert found["min_cllr"] is not None
        assert "cllr" not in found["intervals"]
        json.dumps(found, allow_nan=False)

    def test_folds_are_measured_where_the_list_has_some(self):
        scores, same = random_pairs(400)
        fold = np.arange(400) % 10
        assert evaluate(scores, same, threshold=0.5, band=(0.5, 0.5)).folds is None
        found = evaluate(scores, same, threshold=0.5, band=(0.5, 0.5), folds=fold)
        assert found.folds == evaluate_folds(scores, same, fold)
        assert found.to_json()["view_2"]["standard_error"] == found.folds.standard_error
        # A list whose fold is always the same is no view 2, and everything else can be said of it.
        assert evaluate(scores, same, threshold=0.5, band=(0.5, 0.5), folds=fold * 0).folds is None

    def test_folds_that_failures_leave_one_kind_take_no_other_figure_along(self):
        found = evaluate([0.9, 0.1, NAN, 0.2], [1, 0, 1, 0], threshold=0.5, band=(0.5, 0.5), folds=[0, 0, 1, 1])
        assert (found.folds, found.to_json()["view_2"], found.confusion.accuracy) == (None, None, 0.75)
        assert "fold 0" in found.reasons["view_2"]

    def test_too_few_people_make_no_claim(self):
        scores, same = random_pairs(3000)
        found = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources_for(same), replicates=5)
        assert set(found.fnmr_at_fmr.values()) == {None}
        assert "500 people" in found.reasons["fnmr_at_fmr.0.1"]

    def test_photos_of_people_without_names_make_no_claim(self):
        """They may all show the same few, who are too few where they are named."""
        rng = np.random.default_rng(0)
        first, second = rng.integers(0, 600, (2, 3000))
        sources = sources_by("photo", first.tolist(), (second + 600).tolist())
        scores, same = random_pairs(3000)
        found = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources, replicates=5)
        assert set(found.fnmr_at_fmr.values()) == {None}
        assert "photos, and no word of who is on them" in found.reasons["fnmr_at_fmr.0.1"]

    def test_people_are_counted_of_these_pairs_not_of_those_that_they_were_taken_from(self):
        scores, same = random_pairs(400)
        everyone = sources_for(same)
        few = everyone.taken(np.array([0, 1]))
        found = evaluate(scores[:2], same[:2], threshold=0.5, band=(0.5, 0.5), sources=few, replicates=5)
        assert found.to_json()["interval_method"]["count"] == few.among(np.ones(2, bool)) < everyone.count

    def test_threshold_lies_within_the_band(self):
        with pytest.raises(ValueError, match="low ≤ threshold ≤ high"):
            evaluate(SCORES, SAME, threshold=0.3, band=(0.4, 0.6))
        with pytest.raises(DataError):
            evaluate([], [], threshold=0.5, band=(0.4, 0.6))
