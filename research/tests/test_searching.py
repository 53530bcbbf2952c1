"""Bars above the band, and how often strangers' faces reach them."""

from __future__ import annotations

import numpy as np
import pytest

from flaskapp.evaluation.calibration import Fusion, Trust
from flaskapp.quality import GRADES, grades_of
from flaskapp.weights.runtime import certainties
from research.distil.calibration import Calibration
from research.distil.searching import (
    Compared,
    Crowd,
    compare_strangers,
    count_strangers,
    crowd_of,
    cuts_above,
    measure,
)

CALIBRATION = Calibration(-3000.0, 40.0, 0.1, 1, 1, 0.5, Trust(1.0, 2.0))
BOUNDS = (0.7, 0.9)
FUSIONS = {1: Fusion(), 3: Fusion(0.9, -1.0, 2)}


def crowd(people: int, photos: int, seed: int, sets: int = 1) -> Crowd:
    """Return people whose photos lie near each other, as they come and spoiled."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), photos)
    vectors = rng.normal(size=(people, 24))[person] + rng.normal(0, 0.6, (len(person), 24))
    spread = rng.normal(size=(24, 4096))
    clean, worse = (of @ spread for of in (vectors, vectors + rng.normal(0, 0.8, vectors.shape)))
    unit = [of / np.linalg.norm(of, axis=1, keepdims=True) for of in (clean, worse)]
    clean = (unit[0] * rng.uniform(0.85, 1.05, (len(person), 1))).astype(np.float32)
    worse = (unit[1] * rng.uniform(0.5, 1.0, (len(person), 1))).astype(np.float32)
    return Crowd(clean, np.concatenate([clean, worse]), person, person % sets)


def score_of(one: Crowd, references: np.ndarray, face: int, fusion: Fusion) -> float:
    """Return the score of a face with references, by itself."""

    def unit(embedding: np.ndarray) -> np.ndarray:
        return embedding.astype(np.float64) / np.linalg.norm(embedding.astype(np.float64))

    apart = [np.abs(unit(one.references[row]) - unit(one.faces[face])).mean() for row in references]
    odds = CALIBRATION.scale * np.array(apart)[:, None] + CALIBRATION.offset
    sure = certainties(one.references[references]), certainties(one.faces[face][None])
    return float(1 / (1 + np.exp(-fusion.fuse(odds, *sure, CALIBRATION.trust)[0])))


def test_everybody_is_looked_for_among_all_others_of_their_set():
    one = crowd(6, 4, seed=1, sets=2)
    found = compare_strangers(one, CALIBRATION, FUSIONS)
    assert len(found[1].scores) == 24 * 16, "each photo with both versions of eight others' of its set"
    assert len(found[3].scores) == 6 * 3 * 16, "three draws of each person"
    for compared in found.values():
        whose = one.person[compared.face % 24]
        assert not (whose == compared.sought).any()
        assert (whose % 2 == compared.sought % 2).all()


def test_scores_are_those_of_the_program():
    one = crowd(4, 3, seed=2)
    found = compare_strangers(one, CALIBRATION, FUSIONS)
    all_three = [score_of(one, np.arange(3), face, FUSIONS[3]) for face in found[3].face[:18]]
    assert found[3].scores[:18] == pytest.approx(all_three, abs=1e-4)
    alone = [score_of(one, np.array([0]), face, FUSIONS[1]) for face in found[1].face[:18]]
    assert found[1].scores[:18] == pytest.approx(alone, abs=1e-4)


def test_people_with_too_few_photos_lend_no_references():
    assert compare_strangers(crowd(4, 2, seed=2), CALIBRATION, FUSIONS).keys() == {1}


def test_a_bar_is_the_lowest_that_keeps_its_share():
    scores = np.random.default_rng(3).normal(size=50_000)
    cuts = cuts_above(scores, high=2.0)
    assert list(cuts) == [3e-3, 1e-3, 3e-4], "of five strangers nothing is said, and 3e-3 is the first above the band"
    for share, cut in cuts.items():
        assert np.mean(scores >= cut) == pytest.approx(share, abs=1 / 50_000)
    assert list(cuts_above(scores, high=3.0)) == [1e-3, 3e-4]
    assert cuts_above(np.ones(50_000), high=0.5) == {}


def test_faces_are_counted_by_grade():
    one = crowd(8, 3, seed=4)
    compared = compare_strangers(one, CALIBRATION, FUSIONS)[1]
    cut = float(np.quantile(compared.scores, 0.9))
    told = count_strangers(one, compared, cut, BOUNDS)
    grades = grades_of(certainties(one.faces), BOUNDS)[compared.face]
    for place, grade in enumerate(GRADES):
        assert told[grade]["faces"] == np.sum(grades == place) > 0
        assert told[grade]["match"] == np.sum((grades == place) & (compared.scores >= cut))
        low, high = told[grade]["interval"]
        assert 0 <= low <= told[grade]["match"] / told[grade]["faces"] <= high <= 1


def test_where_no_stranger_reaches_the_bar_the_bound_counts_pairs_of_people():
    one = crowd(5, 6, seed=5)
    compared = compare_strangers(one, CALIBRATION, FUSIONS)[1]
    told = count_strangers(one, compared, 2.0, (0.0, 0.0))
    assert told["good"] == {"match": 0, "faces": 30 * 48, "interval": [0.0, pytest.approx(1 - 0.05 ** (1 / 20))]}
    assert told["poor"] == told["good"], "a grade without faces gets the counts of all"


def test_intervals_draw_both_people():
    """Where one person alone is taken for everybody, the rate depends on whether they are drawn."""
    one = crowd(30, 1, seed=6)
    sought, face = np.divmod(np.arange(900), 30)
    apart = sought != face
    scores = (face == 0).astype(float)
    told = count_strangers(one, Compared(scores[apart], face[apart], sought[apart]), 0.5, (0.0, 0.0))
    low, high = told["good"]["interval"]
    assert low == 0
    assert 2 / 30 < high < 4 / 30


def test_spoiled_faces_stand_behind_those_that_come():
    def embed(faces: np.ndarray) -> np.ndarray:
        return faces.reshape(len(faces), -1)[:, ::7].astype(np.float32)

    faces = np.random.default_rng(7).integers(0, 256, (9, 100, 100, 3)).astype(np.uint8)
    plain, both = (crowd_of(embed, faces, np.arange(9), np.zeros(9), spoiled=spoiled) for spoiled in (False, True))
    np.testing.assert_array_equal(plain.faces, embed(faces))
    np.testing.assert_array_equal(both.faces[:9], embed(faces))
    assert (both.faces[9:] != embed(faces)).any(axis=1).all()


def test_the_note_tells_bars_in_order_from_the_band_s_end_on():
    fitted = {number: (fusion, 0.5) for number, fusion in FUSIONS.items()}
    told = measure(crowd(60, 3, seed=8), crowd(50, 3, seed=9), CALIBRATION, fitted, BOUNDS)
    assert told.keys() == {"1", "3"}
    for bars in told.values():
        assert bars[0]["fmr"] is None
        assert bars[0]["score"] == 0.5
        scores = [bar["score"] for bar in bars]
        assert scores == sorted(scores)
        matches = [bar["strangers"]["good"]["match"] for bar in bars]
        assert matches == sorted(matches, reverse=True)
    assert len(told["1"]) > 1
