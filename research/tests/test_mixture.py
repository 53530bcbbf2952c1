"""Pairs as they come and spoiled, of made-up people whose embeddings are their photos' own colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flaskapp.evaluation.decisions import sigmoid
from research.distil import mixture, shipping
from research.distil.bands import UNSURE, choose_band, choose_threshold_within, limits
from research.distil.calibration import NO_MATTER
from research.distil.mixture import WAYS, Mixture, mix
from research.distil.references import Photos
from research.distil.spoiling import KINDS, Kind

CONDITIONS = 1 + 2 * sum(len(kind.measured) for kind in KINDS) + len(KINDS)


def embed(faces: np.ndarray) -> np.ndarray:
    """Return the mean of each of 64 x 64 places of a face, repeated colours and all."""
    return np.float32(faces[:, 18:82, 18:82].mean(axis=3).reshape(len(faces), -1) / 255 - 0.5) / 20


@pytest.fixture(scope="module")
def mixed() -> Mixture:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(6), 3)
    faces = rng.integers(0, 256, (6, 100, 100, 3))[person] * 0.8 + rng.integers(0, 50, (18, 100, 100, 3))
    return mix(embed, faces.astype(np.uint8), person, person % 2)


def test_every_condition_has_pairs_of_both_kinds_within_sets(mixed):
    assert len(mixed.conditions) == CONDITIONS
    for kind in (mixed.same, ~mixed.same):
        assert (np.bincount(mixed.condition[kind], minlength=CONDITIONS) > 0).all()
    assert (mixed.people[:, 0] % 2 == mixed.people[:, 1] % 2).all()
    np.testing.assert_array_equal(mixed.same, mixed.people[:, 0] == mixed.people[:, 1])


def test_it_keeps_whose_pairs_they_are_in_half_precision(mixed):
    photos = mixed.photos
    assert photos.embeddings.shape == (18, 4096)
    assert len(photos.spoiled) == sum(len(kind.measured) for kind in KINDS)
    rows = [photos.embeddings, *photos.spoiled.values()]
    assert {part.dtype for part in rows} == {np.dtype(np.float16)}
    assert {len(part) for part in rows[1:]} == {len(photos.some)}
    np.testing.assert_array_equal(photos.set_index, photos.person % 2)


def test_each_way_weighs_what_it_is_to_weigh(mixed):
    ways = np.array([way for way, _ in mixed.conditions])[mixed.condition]
    for kind in (mixed.same, ~mixed.same):
        for way, share in WAYS.items():
            assert mixed.counts_for[kind & (ways == way)].sum() == pytest.approx(share)


def test_the_first_condition_is_photos_as_they_come(mixed):
    assert mixed.conditions[0][0] == "as they come"
    assert mixed.as_they_come.sum() == 2 * 36
    assert (
        mixed.distance[mixed.as_they_come & mixed.same].max() < mixed.distance[mixed.as_they_come & ~mixed.same].min()
    )


def test_it_repeats(mixed):
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(6), 3)
    faces = rng.integers(0, 256, (6, 100, 100, 3))[person] * 0.8 + rng.integers(0, 50, (18, 100, 100, 3))
    again = mix(embed, faces.astype(np.uint8), person, person % 2)
    np.testing.assert_array_equal(again.distance, mixed.distance)


def test_what_is_shared_is_drawn_anew_for_each_strength(monkeypatch):
    drawn = []
    change = lambda face, strength, rng: drawn.append((strength, rng.random())) or face  # noqa: E731
    monkeypatch.setattr(mixture, "KINDS", (Kind("cover", change, (1, 3), (1, 2, 3), draw_alike=True),))
    list(mixture._spoiled(np.zeros((4, 100, 100, 3), np.uint8), seed=1))
    assert len(drawn) == 12
    assert len(set(drawn)) == 3, "all faces of one strength share it"
    assert len({place for _, place in drawn}) == 3


@pytest.fixture(scope="module")
def fog() -> Mixture:
    """Return pairs in two conditions: people told apart, and photos so poor that strangers look alike."""
    rng, count = np.random.default_rng(1), 4000
    same = np.tile(np.repeat([True, False], count), 2)
    condition = np.repeat([0, 1], 2 * count)
    poor = condition == 1
    distance = np.where(same | poor, 1.0, 3.0) + rng.normal(0, 0.35, same.size)
    certainty = np.where(poor, 0.3, 1.0)
    people = np.stack([np.arange(same.size) % 50, np.where(same, np.arange(same.size) % 50, 50)], axis=1)
    conditions = (("as they come", ""), ("alike", "fog"))
    none = Photos(np.empty((0, 4096)), people[:0, 0], people[:0, 0])
    return Mixture(distance, certainty, certainty, same, condition, conditions, people, none)


class TestCalibrating:
    def test_strangers_in_fog_do_not_match(self, fog):
        calibration, choice, _ = shipping.calibrate(fog)
        scores = calibration.score(fog.distance, fog.certainty, fog.other)
        foggy = fog.condition == 1
        assert np.mean(scores[foggy & ~fog.same] >= choice.high) <= shipping.WORST_MATCH
        assert np.mean(scores[foggy & fog.same] < choice.low) <= shipping.WORST_NON_MATCH
        assert np.mean(scores[~foggy & fog.same] >= choice.high) > 0.95
        blind = sigmoid(calibration.scale * fog.distance + calibration.offset)
        assert np.mean(blind[foggy & ~fog.same] >= choice.high) > 0.5, "else this test would show nothing"
        assert calibration.trust.match != (0, 0)

    def test_what_certainty_does_not_know_raises_the_band(self, fog):
        """A tenth of the strangers look alike in a condition that the network is sure of."""
        sly = fog.condition == 1
        alike = ~sly | fog.same | (np.arange(fog.same.size) % 10 == 0)
        distance = np.where(alike, fog.distance, fog.distance + 2) + np.where(sly & ~fog.same, 0.4, 0)
        sure = np.ones_like(fog.certainty)
        pairs = replace(fog, distance=distance, certainty=sure, other=sure)
        calibration, choice, _ = shipping.calibrate(pairs)
        scores = calibration.score(distance, sure, sure)
        assert np.mean(scores[sly & ~fog.same] >= choice.high) <= shipping.WORST_MATCH
        assert np.mean(scores[~sly & fog.same] >= choice.high) > 0.1
        blind = choose_band(scores[~sly], fog.same[~sly], *limits(fog.same[~sly]), around=UNSURE)
        assert np.mean(scores[sly & ~fog.same] >= blind.high) > 0.05, "else this test would show nothing"

    def test_strangers_in_photos_as_they_come_seldom_match(self, fog):
        """Both kinds lie so close that a band that leaves few unanswered would let more of them match."""
        clean = fog.as_they_come
        distance = np.where(clean & ~fog.same, fog.distance - 1.1, fog.distance)
        calibration, choice, _ = shipping.calibrate(replace(fog, distance=distance))
        scores = calibration.score(distance, fog.certainty, fog.other)
        assert np.mean(scores[clean & ~fog.same] >= choice.high) <= shipping.MOST_MATCH
        blind = choose_band(scores[clean], fog.same[clean], *limits(fog.same[clean]), around=UNSURE)
        assert np.mean(scores[clean & ~fog.same] >= blind.high) > 0.01, "else this test would show nothing"

    def test_people_whom_certainty_does_not_excuse_lower_the_band(self, fog):
        """A tenth of one person's pairs look unlike in a condition that the network is sure of."""
        sly = fog.condition == 1
        unlike = sly & fog.same & (np.arange(fog.same.size) % 10 == 0)
        distance = np.where(sly & ~fog.same, fog.distance + 2, fog.distance) + np.where(unlike, 1.5, 0)
        sure = np.ones_like(fog.certainty)
        calibration, choice, _ = shipping.calibrate(replace(fog, distance=distance, certainty=sure, other=sure))
        scores = calibration.score(distance, sure, sure)
        assert np.mean(scores[sly & fog.same] < choice.low) <= shipping.WORST_NON_MATCH
        blind = choose_band(scores[~sly], fog.same[~sly], *limits(fog.same[~sly]), around=UNSURE)
        assert np.mean(scores[sly & fog.same] < blind.low) > 0.05, "else this test would show nothing"

    def test_the_threshold_is_the_most_accurate_on_all_pairs_as_they_weigh(self, fog):
        calibration, choice, threshold = shipping.calibrate(fog)
        scores, clean = calibration.score(fog.distance, fog.certainty, fog.other), fog.as_they_come
        weigh = fog.counts_for
        right = [weigh[fog.same & (scores >= cut)].sum() + weigh[~fog.same & (scores < cut)].sum()
                 for cut in (threshold, *np.linspace(*choice.band, 200))]  # fmt: skip
        assert right[0] == pytest.approx(max(right), abs=1e-3)
        assert threshold != choose_threshold_within(scores[clean], fog.same[clean], choice.band, 0.5)

    def test_what_listening_costs_is_seen_beside_not_listening(self):
        assert shipping.TRUSTS[0] == NO_MATTER

    def test_verdicts_are_counted_by_grade(self, fog):
        calibration, choice, _ = shipping.calibrate(fog)
        scores = calibration.score(fog.distance, fog.certainty, fog.other)
        told = shipping.counted(scores, fog, choice.band, (0.5, 0.9))
        assert list(told["counts_by_grades"]) == ["good and good", "poor and poor"]
        poor = told["counts_by_grades"]["poor and poor"]
        assert sum(poor["impostor"].values()) == 4000
        assert poor["impostor"]["inconclusive"] > 3900
        assert sum(told["error_counts"]["genuine"].values()) == 4000
