"""Several references of one person, of made-up people whose embeddings are drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from flaskapp.evaluation.calibration import Fusion, Trust
from flaskapp.evaluation.decisions import DECISIONS, sigmoid
from flaskapp.weights.info import WeightsInfo
from flaskapp.weights.runtime import certainties, weighted_l1
from research.distil import references
from research.distil.calibration import Calibration, platt
from research.distil.references import (
    NUMBERS,
    Photos,
    Trials,
    add_references,
    choose_best,
    clean_matrix,
    figures_of,
    fit_fusion,
    fit_references,
    spoiled_matrices,
)

TRUST = Trust((0.0, 1.0), 8.0)
HEAD = Calibration(-2250.0, 33.2, 0.1, 1, 1, 0.5, TRUST)
BAND, THRESHOLD = (0.3, 0.7), 0.5


def drawn(people: int, photos: int, seed: int, spread: float = 1.0) -> Photos:
    """Return photos in two sets; each person's scatter around one direction, in 24 of 4096 dimensions."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), photos)
    vectors = rng.normal(size=(people, 24))[person] + spread * rng.normal(size=(len(person), 24))
    projection = np.random.default_rng(0).normal(size=(24, 4096)).astype(np.float32)

    def lengthened(vectors: np.ndarray, length: np.ndarray) -> np.ndarray:
        embeddings = vectors.astype(np.float32) @ projection
        return embeddings * np.float32(length / np.linalg.norm(embeddings, axis=1))[:, None]

    some = np.flatnonzero(np.tile(np.arange(photos) < 5, people))
    fog = vectors[some] + 6 * rng.normal(size=24)  # alike in all of them
    spoiled = {"fog": lengthened(fog, np.full(len(some), 0.9))}
    lengths = rng.uniform(0.8, 1.0, len(person))
    return Photos(lengthened(vectors, lengths), person, person % 2, some, spoiled)


@pytest.fixture(scope="module")
def people() -> Photos:
    return drawn(24, 14, seed=1)


@pytest.fixture(scope="module")
def fitted(people) -> dict:
    return fit_references(
        people, drawn(20, 14, seed=2), drawn(16, 14, seed=3), HEAD, BAND, THRESHOLD, 0.0, replicates=50
    )


def test_the_head_says_of_two_photos_what_the_product_says(people):
    matrix, kernel = clean_matrix(people, HEAD), np.full(4096, HEAD.scale / 4096)
    for one, other in ((0, 1), (0, 28), (3, 5)):
        said = weighted_l1(people.embeddings[[one]], people.embeddings[other], kernel)[0] + HEAD.offset
        assert matrix.odds[one, other] == pytest.approx(said, abs=1e-3)
    assert np.isnan(matrix.odds[0, 14]), "people of two sets are not compared"
    np.testing.assert_array_equal(matrix.certainty, certainties(people.embeddings))


def test_trials_have_references_of_one_person_and_probes_that_are_none_of_them(people):
    matrix = clean_matrix(people, HEAD)
    tagged = replace(matrix, odds=np.where(np.isnan(matrix.odds), np.nan, np.arange(len(matrix.person))[:, None]))
    trials = tagged.trials(4)
    rows = trials.odds.astype(int)
    assert (people.person[rows] == trials.people[:, 0]).all()
    assert all(len(set(column)) == 4 for column in rows.T[::50])
    np.testing.assert_array_equal(trials.same, trials.people[:, 0] == trials.people[:, 1])
    assert trials.same.sum() == 24 * references.DRAWS * (14 - 4)
    assert not np.isnan(trials.odds).any()
    probes = replace(matrix, odds=np.where(np.isnan(matrix.odds), np.nan, np.arange(len(matrix.person)))).trials(4)
    assert not (probes.odds.astype(int) == rows).any()


def test_fewer_references_can_be_asked_about_the_same_probes(people):
    matrix = clean_matrix(people, HEAD)
    one, four = matrix.trials(1, 8), matrix.trials(4, 8)
    np.testing.assert_array_equal(one.odds[0], four.odds[0])
    np.testing.assert_array_equal(one.people, four.people)
    assert one.same.sum() == 24 * references.DRAWS * (14 - 8)


def test_people_with_too_few_photos_for_a_number_give_none():
    few = clean_matrix(drawn(6, 3, seed=4), HEAD)
    assert few.trials(4).odds.shape == (4, 0)
    assert few.trials(4).are_few


@pytest.mark.parametrize("best", [1, 3, 20])
def test_scale_and_offset_are_found(best):
    rng, count = np.random.default_rng(5), 40_000
    odds, certainty, other = rng.normal(0, 6, (4, count)), rng.uniform(0.8, 1, (4, count)), rng.uniform(0.8, 1, count)

    def chances(offset: float) -> np.ndarray:
        return sigmoid(Fusion(0.7, offset, best).fuse(odds, certainty, other, TRUST))

    # Both kinds are to be as common, as the fit takes them.
    offset = min(np.linspace(-8, 2, 101), key=lambda one: abs(chances(one).mean() - 0.5))
    same = rng.random(count) < chances(offset)
    found = fit_fusion(Trials(odds, certainty, other, same, np.zeros((count, 2), int)), Fusion(best=best), TRUST)
    assert (found.scale, found.offset / found.scale) == pytest.approx((0.7, offset / 0.7), abs=0.1)
    assert found.best == best


def test_fused_scores_are_fitted_as_well_as_those_of_pairs(people):
    matrix = clean_matrix(people, HEAD)
    trials = matrix.trials(8)

    def loss(fusion: Fusion) -> float:
        targets, weights = platt(trials.same)
        scores = trials.scores(fusion, TRUST)
        return float(-weights @ (targets * np.log(scores) + (1 - targets) * np.log1p(-scores)))

    found = fit_fusion(trials, Fusion(), TRUST)
    assert loss(found) < loss(Fusion(best=3))
    for scale, offset in ((0.05, 0), (-0.05, 0), (0, 0.2), (0, -0.2)):
        assert loss(found) < loss(Fusion(found.scale + scale, found.offset + offset, 3))


def test_the_rule_that_misses_least_is_chosen(people):
    best, told = choose_best(clean_matrix(people, HEAD), TRUST, 0.0)
    assert told[str(best)]["mean"] == min(rule["mean"] for rule in told.values())
    assert set(told["3"]) == {"2", "4", "8", "12", "mean"}


def test_what_is_stored_is_what_the_product_reads(fitted):
    stored = json.loads(json.dumps(fitted))
    assert set(stored["by_number"]) == {str(number) for number in NUMBERS}
    info = WeightsInfo(
        *("made-up", "0" * 64, THRESHOLD, BAND),
        error_counts={kind: dict.fromkeys(DECISIONS, 1) for kind in ("genuine", "impostor")},
        trust=TRUST,
        grade_bounds=(0, 0),
        by_references={int(number): told for number, told in stored["by_number"].items()},
        fusion=Fusion(best=stored["best"]),
    )
    for number in range(1, 21):
        low, high = info.for_references(number).inconclusive_band
        assert 0 <= low <= 0.4
        assert 0.6 <= high <= 1
    counts = info.for_references(4).verdict_counts("match")
    assert counts.genuine_pairs == 20 * references.DRAWS * (14 - 4)
    assert counts.genuine_with_verdict > 0.8 * counts.genuine_pairs
    assert counts.impostor_with_verdict < 0.06 * counts.impostor_pairs


def test_more_references_miss_fewer_and_scores_stay_chances(fitted):
    rows = fitted["figures"]
    assert [row["references"] for row in rows] == [1, 2, 4, 8]
    assert len({(row["people"], row["genuine"], row["impostor"]) for row in rows}) == 1
    assert rows[3]["eer"] < rows[1]["eer"] < rows[0]["eer"]
    assert max(row["ece"] for row in rows[1:]) < 0.06
    for row in rows:
        assert row["fnmr_at_fmr"]["0.01"] is None
        assert "500 people" in row["reasons"]["fnmr_at_fmr.0.01"]
        assert row["intervals"]["genuine.non_match"]["low"] <= row["intervals"]["genuine.non_match"]["high"]


def test_of_enough_people_the_misses_at_a_false_match_rate_are_told(fitted):
    crowd = drawn(520, 9, seed=6)
    kept = (crowd.person < 80) | (np.arange(len(crowd.person)) % 9 == 0)  # most have one photo, to be strangers
    crowd = Photos(crowd.embeddings[kept], crowd.person[kept], crowd.set_index[kept])
    fit = Fusion(best=fitted["best"]), fitted["by_number"], (THRESHOLD, BAND)
    rows = figures_of(clean_matrix(crowd, HEAD), TRUST, *fit, replicates=5)
    missed = [row["fnmr_at_fmr"]["0.01"] for row in rows]
    assert missed[3] < missed[2] < missed[1] < missed[0]
    assert rows[0]["fnmr_at_fmr"]["0.001"] is not None


def test_no_spoiled_photos_read_wrongly_more_often_than_singly(people, fitted):
    (_, fog) = spoiled_matrices(people, HEAD)
    for number in (2, 4):
        told = fitted["by_number"][str(number)]
        many, one = fog.trials(number), fog.trials(1)
        scores = many.scores(Fusion(told["scale"], told["offset"], fitted["best"]), TRUST)
        alone = np.mean(one.scores(Fusion(), TRUST)[~one.same] >= BAND[1])
        assert np.mean(scores[~many.same] >= told["inconclusive_band"][1]) <= max(references.WORST_MATCH, alone)


def test_one_persons_spoiled_photos_read_non_match_no_more_often_than_they_may(people):
    """A single photo never does here, so the band of several goes down until they seldom do."""
    rng = np.random.default_rng(8)
    clean = people.embeddings[people.some].astype(np.float64)
    mess = clean + 1.5 * rng.permutation(clean)  # with somebody else in it, and the network is as sure
    spoiled = replace(people, spoiled={"mess": 0.95 * mess / np.linalg.norm(mess, axis=1, keepdims=True)})
    told = fit_references(spoiled, people, people, HEAD, (0.0, 0.7), THRESHOLD, 0.0, replicates=50)["by_number"]["2"]
    trials = next(spoiled_matrices(spoiled, HEAD)).trials(2)
    scores = trials.scores(Fusion(told["scale"], told["offset"]), TRUST)[trials.same]
    may_miss = max(references.WORST_NON_MATCH, references.reachable_rate(scores.size))
    assert np.mean(scores < told["inconclusive_band"][0]) <= may_miss
    assert np.mean(scores < 0.4) > 2 * may_miss, "else this test would show nothing"


def test_nothing_is_fitted_on_too_few():
    few = drawn(2, 2, seed=7)
    assert fit_references(few, few, few, HEAD, BAND, THRESHOLD, 0.0) is None


def test_it_can_be_added_to_weights_that_are_there(people, fitted, tmp_path):
    note = {
        "calibration": asdict(HEAD),
        "inconclusive_band": BAND,
        "threshold": THRESHOLD,
        "name": "kept",
        "grade_bounds": [0, 0],
    }
    (tmp_path / "w.json").write_text(json.dumps(note))
    add_references(tmp_path / "w.h5", people.small(), drawn(20, 14, seed=2), drawn(16, 14, seed=3))
    details = json.loads((tmp_path / "w.json").read_text())
    assert details["name"] == "kept"
    assert details["references"]["best"] == fitted["best"]
    for number, told in details["references"]["by_number"].items():
        assert told["scale"] == pytest.approx(fitted["by_number"][number]["scale"], rel=0.01)
