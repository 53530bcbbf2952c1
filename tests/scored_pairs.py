"""Scored pairs for the tests of error rates: drawn from a seed, with ties and failures."""

from __future__ import annotations

import numpy as np
import pytest

from flaskapp.evaluation import Sources, sigmoid

NAN = float("nan")
# Worked by hand: two impostor pairs, two genuine ones, one of each in the wrong order.
SCORES, SAME = [0.2, 0.6, 0.4, 0.9], [False, False, True, True]


def random_pairs(pairs=400, decimals=None, failures=0.0, seed=3, apart=1.0):
    """Draw scores of which the genuine ones lie higher; ``decimals`` makes ties."""
    generator = np.random.default_rng(seed)
    same = generator.random(pairs) < 0.4
    scores = sigmoid(generator.normal(size=pairs) + np.where(same, apart, -apart))
    scores = scores if decimals is None else scores.round(decimals)
    scores[generator.random(pairs) < failures] = NAN
    return scores, same


CASES = [
    pytest.param({}, id="distinct"),
    pytest.param({"decimals": 1}, id="ties"),
    pytest.param({"decimals": 2, "failures": 0.2}, id="failures"),
]


def sources_for(same, people=80, seed=2):
    """Give every pair two people: one person for a genuine pair, two for an impostor pair."""
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, people, same.size)
    other = (reference + generator.integers(1, people, same.size)) % people
    return Sources("person", reference, np.where(same, reference, other), people)


def ten_folds(path, each=30):
    """Write a list as LFW's view 2 lays it out: ten folds of so many genuine and as many impostor pairs."""
    lines = [f"10\t{each}"]
    for fold in range(10):
        lines += [f"Person_{fold}_{number}\t1\t2" for number in range(each)]
        lines += [f"Person_{fold}_{number}\t1\tOther_{fold}_{number}\t1" for number in range(each)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
