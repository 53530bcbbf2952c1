"""Bars above the band, and how often strangers' faces reach them."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from flaskapp.evaluation.calibration import Fusion, Trust
from flaskapp.quality import GRADES, grades_of
from flaskapp.weights.runtime import certainties
from research.distil.calibration import Calibration
from research.distil.references import Photos
from research.distil.searching import Counter, Search, add_searching, cuts_above, measure, searches

CALIBRATION = Calibration(-3000.0, 40.0, 0.1, 1, 1, 0.5, Trust((0.0, 1.0), 8.0))
BOUNDS = (0.7, 0.9)
FUSIONS = {1: Fusion(), 3: Fusion(0.9, -1.0, 2)}


def photos_of(people: int, photos: int, seed: int, sets: int = 1) -> Photos:
    """Return people whose photos lie near each other, every second one spoiled in two ways too."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), photos)
    vectors = rng.normal(size=(people, 24))[person] + rng.normal(0, 0.6, (len(person), 24))
    spread, some = rng.normal(size=(24, 4096)), np.arange(0, len(person), 2)

    def embedded(rows: np.ndarray, least: float, most: float) -> np.ndarray:
        long = rows @ spread
        return (long / np.linalg.norm(long, axis=1, keepdims=True) * rng.uniform(least, most, (len(rows), 1))).astype(
            np.float16
        )

    worse = {name: embedded(vectors[some] + rng.normal(0, 0.8, (len(some), 24)), 0.5, 1.0) for name in ("fog", "rain")}
    return Photos(embedded(vectors, 0.85, 1.05), person, person % sets, some, worse)


def score_of(photos: Photos, references: list[int], face: np.ndarray, fusion: Fusion) -> float:
    """Return the score of one face with references, by itself."""

    def unit(embedding: np.ndarray) -> np.ndarray:
        return embedding.astype(np.float64) / np.linalg.norm(embedding.astype(np.float64))

    known = photos.embeddings[references]
    odds = [[CALIBRATION.scale * np.abs(unit(one) - unit(face)).mean() + CALIBRATION.offset] for one in known]
    fused = fusion.fuse(odds, certainties(known), certainties(face[None]), CALIBRATION.trust)
    return float(1 / (1 + np.exp(-fused[0])))


def found(photos: Photos, number: int, *, spoiled: bool = True) -> list[Search]:
    return list(searches(photos, CALIBRATION, {number: FUSIONS[number]}, spoiled=spoiled))


def test_everybody_is_looked_for_among_all_others_of_their_set():
    photos = photos_of(6, 4, seed=1, sets=2)
    for number, times in ((1, 24), (3, 6 * 3)):
        one = found(photos, number)
        assert len(one) == times, "each photo in turn, or three draws of each person"
        assert {len(search.scores) for search in one} == {2 * (4 + 2 + 2)}, "as they come, and half of them in two ways"
        for search in one:
            assert search.sought not in search.shown
            assert set(search.shown % 2) == {search.sought % 2}
        assert {len(search.scores) for search in found(photos, number, spoiled=False)} == {2 * 4}


def test_scores_are_those_of_the_program():
    photos = photos_of(3, 3, seed=2)
    faces = np.concatenate(
        [photos.embeddings[3:], *(rows[photos.person[photos.some] != 0] for rows in photos.spoiled.values())]
    )
    for number, references in ((1, [0]), (3, [0, 1, 2])):
        scores = found(photos, number)[0].scores
        assert scores == pytest.approx(
            [score_of(photos, references, face, FUSIONS[number]) for face in faces], abs=1e-4
        )


def test_people_with_too_few_photos_lend_no_references():
    assert found(photos_of(4, 2, seed=2), 3) == []


def test_a_bar_is_the_lowest_that_keeps_its_share():
    scores = np.random.default_rng(3).normal(size=50_000)
    cuts = cuts_above(scores, high=2.0)
    assert list(cuts) == [3e-3, 1e-3, 3e-4], "fewer than ten of fifty thousand say nothing"
    for share, cut in cuts.items():
        assert np.mean(scores >= cut) == pytest.approx(share, abs=1 / 50_000)
    assert list(cuts_above(scores, high=3.0)) == [1e-3, 3e-4]
    assert list(cuts_above(scores, high=2.0, fewest=20)) == [3e-3, 1e-3]
    assert cuts_above(np.ones(50_000), high=0.5) == {}
    assert cuts_above(np.empty(0), high=0.5) == {}


def test_equal_scores_stay_on_one_side_of_a_bar():
    scores = np.repeat(np.random.default_rng(3).normal(size=25_001), 2)
    for share, cut in cuts_above(scores, high=0.0).items():
        assert np.mean(scores >= cut) == pytest.approx(share, abs=2 / 50_000)
        assert np.mean(scores >= cut) <= share


def test_faces_are_counted_by_grade():
    photos = photos_of(8, 3, seed=4)
    all_of = found(photos, 1)
    counter = Counter(photos.person, BOUNDS, 0.01)
    for search in all_of:
        counter.add(search)
    scores = np.concatenate([search.scores for search in all_of])
    grades = grades_of(np.concatenate([search.certainty for search in all_of]), BOUNDS)
    for bar in (0.01, float(np.quantile(scores[scores > 0.01], 0.5))):
        for place, grade in enumerate(GRADES):
            told = counter.told(bar)[grade]
            assert told["faces"] == np.sum(grades == place) > 0
            assert told["match"] == np.sum((grades == place) & (scores >= bar))
            low, high = told["interval"]
            assert 0 <= low <= told["match"] / told["faces"] <= high <= 1


def test_where_no_stranger_reaches_the_bar_the_bound_counts_pairs_of_people():
    photos = photos_of(5, 6, seed=5)
    counter = Counter(photos.person, (0.0, 0.0), 0.5)
    for search in found(photos, 1):
        counter.add(search)
    told = counter.told(2.0)
    assert told["good"] == {"match": 0, "faces": 30 * 48, "interval": [0.0, pytest.approx(1 - 0.05 ** (1 / 20))]}
    assert told["poor"] == told["good"], "a grade without faces gets the counts of all"


def test_intervals_draw_both_people():
    """Where one person alone is taken for everybody, the rate depends on whether they are drawn."""
    counter = Counter(np.arange(30), (0.0, 0.0), 0.5)
    for sought in range(30):
        shown = np.delete(np.arange(30), sought)
        counter.add(Search(1, sought, shown, (shown == 0).astype(float), np.ones(29)))
    low, high = counter.told(0.5)["good"]["interval"]
    assert low == 0
    assert 2 / 30 < high < 4 / 30


@pytest.fixture(scope="module")
def note() -> dict[str, object]:
    """Return what was fitted of weights, for three references and for nine, which nobody has."""
    fitted = {"scale": 0.9, "offset": -1.0, "inconclusive_band": [0.2, 0.4]}
    return {
        "name": "kept",
        "inconclusive_band": [0.3, 0.5],
        "grade_bounds": list(BOUNDS),
        "calibration": asdict(CALIBRATION),
        "references": {"best": 2, "by_number": {"3": fitted, "9": fitted}},
    }


def test_the_note_tells_bars_in_order_from_the_band_s_end_on(note):
    told = measure(photos_of(60, 3, seed=8), photos_of(40, 3, seed=9), CALIBRATION, note)
    assert {number: (bars[0]["fmr"], bars[0]["score"]) for number, bars in told.items()} == {
        "1": (None, 0.5),
        "3": (None, 0.4),
    }
    for bars in told.values():
        scores = [bar["score"] for bar in bars]
        assert scores == sorted(scores)
        matches = [bar["strangers"]["good"]["match"] for bar in bars]
        assert matches == sorted(matches, reverse=True)
        for grade in GRADES:
            most = [bar["strangers"][grade]["interval"][1] for bar in bars]
            assert most == sorted(most, reverse=True), "of few people the bound for none lies above what some showed"
    assert len(told["1"]) > 1


def test_it_can_be_added_to_weights_that_are_there(note, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(note | {"searching": "of before"}))
    photos = photos_of(20, 3, seed=8), photos_of(15, 3, seed=9)
    add_searching(tmp_path / "w.h5", *photos)
    told = json.loads((tmp_path / "w.json").read_text())
    assert told.pop("searching") == json.loads(json.dumps(measure(*photos, CALIBRATION, note)))
    assert told == json.loads(json.dumps(note))
