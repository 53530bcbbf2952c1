"""Verdicts and what they got right: at the ends of the band, and beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scored_pairs import CASES, NAN, SAME, SCORES, random_pairs

from flaskapp.errors import DataError
from flaskapp.evaluation import confusion_at, decide_all
from flaskapp.evaluation.decisions import Confusion, Verdicts, count_verdicts, decide


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


class TestConfusion:
    def test_by_hand(self):
        found = confusion_at(SCORES, SAME, 0.5)
        assert found == Confusion(true_matches=1, false_matches=1, true_non_matches=1, false_non_matches=1)
        assert found.accuracy == 0.5
        assert found.figures() == dict.fromkeys(("accuracy", "precision", "recall", "f1", "fmr", "fnmr"), 0.5)

    def test_a_score_at_the_threshold_matches(self):
        assert confusion_at([0.5], [True], 0.5).true_matches == 1

    @pytest.mark.parametrize("case", CASES)
    def test_equals_scikit_learn(self, case):
        metrics = pytest.importorskip("sklearn.metrics")
        scores, same = random_pairs(**case)
        found = confusion_at(scores, same, 0.5)
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(same, scores >= 0.5, average="binary")
        figures = found.figures()
        assert (figures["precision"], figures["recall"], figures["f1"]) == pytest.approx(
            (precision, recall, f1), abs=1e-12
        )
        assert found.accuracy == np.mean((scores >= 0.5) == same)

    def test_what_is_divided_by_nothing_is_none(self):
        none_matched = confusion_at([0.1, 0.2], [True, False], 0.5).figures()
        assert none_matched["precision"] is None
        assert (none_matched["recall"], none_matched["f1"], none_matched["accuracy"]) == (0, 0, 0.5)
        only_impostors = confusion_at([0.1], [False], 0.5).figures()
        assert [only_impostors[name] for name in ("recall", "fnmr", "f1")] == [None, None, None]
        assert confusion_at([0.1], [True], 0.5).figures()["fmr"] is None

    def test_refuses_nonsense(self):
        with pytest.raises(ValueError, match="finite threshold"):
            confusion_at(SCORES, SAME, NAN)
        with pytest.raises(DataError):
            confusion_at([], [], 0.5)
