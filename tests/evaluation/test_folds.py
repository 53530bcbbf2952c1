"""LFW's view 2: by hand, and on a made-up list of ten folds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scored_pairs import random_pairs, ten_folds

from flaskapp.errors import DataError
from flaskapp.evaluation import choose_threshold, confusion_at
from flaskapp.evaluation.curves import check_folds, evaluate_folds
from flaskapp.pairs.lists import read_pairs


def test_each_fold_is_judged_by_the_other_nine(tmp_path):
    pairs = read_pairs(ten_folds(tmp_path / "pairs.txt"))
    same = np.array([pair.same for pair in pairs])
    fold = np.array([pair.fold for pair in pairs])
    scores = np.random.default_rng(5).normal(np.where(same, 1, -1) + 0.2 * fold, 1)
    found = evaluate_folds(scores, same, fold)
    for number in range(10):
        others = choose_threshold(scores[fold != number], same[fold != number])
        assert found.thresholds[number] == others
        expected = np.mean((scores >= others)[fold == number] == same[fold == number])
        assert found.accuracies[number] == expected
    assert found.pairs == (60,) * 10
    assert found.mean == pytest.approx(sum(found.accuracies) / 10)
    spread = math.sqrt(sum((part - found.mean) ** 2 for part in found.accuracies) / 9)
    assert found.standard_error == pytest.approx(spread / math.sqrt(10))


def test_a_fold_cannot_choose_for_itself():
    # The second fold's scores lie elsewhere; its own best threshold would make no mistake.
    scores = np.array([0.1, 0.2, 0.8, 0.9, 0.90, 0.91, 0.98, 0.99])
    same = np.array([False, False, True, True] * 2)
    found = evaluate_folds(scores, same, np.repeat([0, 1], 4))
    assert found.thresholds == (pytest.approx(0.945), pytest.approx(0.5))
    assert found.accuracies == (0.5, 0.5)


def test_failures_to_acquire_count_as_non_match_but_choose_nothing():
    scores, same = random_pairs(400)
    fold = np.arange(400) % 10
    with_failures = np.where(np.arange(400) % 7 == 0, np.nan, scores)
    found = evaluate_folds(with_failures, same, fold)
    here = fold == 3
    assert found.accuracies[3] == confusion_at(with_failures[here], same[here], found.thresholds[3]).accuracy


@pytest.mark.parametrize(("fold", "same"), [([0, 0, 0, 0], [1, 0, 1, 0]), ([0, 0, 1, 1], [1, 1, 0, 0])])
def test_what_cannot_choose_is_refused(fold, same):
    with pytest.raises(DataError):
        evaluate_folds([0.1, 0.2, 0.3, 0.4], np.array(same, bool), fold)


def test_the_fold_is_named_that_leaves_the_others_one_kind():
    with pytest.raises(DataError, match=r"fold 4, .* 2 genuine, 0 impostor"):
        check_folds([True, False, True, True], [4, 4, 7, 7])
    check_folds([True, False, True, False], [4, 4, 7, 7])
    check_folds([True, True], [4, 4])
