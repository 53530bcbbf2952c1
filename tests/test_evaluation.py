"""One evaluation: every figure, or the reason why not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scored_pairs import NAN, SAME, SCORES, random_pairs, sources_for

from flaskapp.dataset.pairs import PhotoPair, read_pairs
from flaskapp.errors import DataError
from flaskapp.evaluation import (
    Confusion,
    Evaluation,
    Verdicts,
    auc,
    bootstrap_intervals,
    confusion_at,
    count_verdicts,
    eer,
    error_curve,
    evaluate,
    fnmr_at_fmr,
    write_scores_csv,
)

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
