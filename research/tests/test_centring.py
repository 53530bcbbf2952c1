"""The part that all faces have in common, and taking it off."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from flaskapp.errors import DataError
from research.sets.table import TRAINING, VALIDATION, FaceTable


@pytest.fixture
def table() -> FaceTable:
    """Return two sets of 40 vectors each around a direction of their own; the second is the centre."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 128)) + 3 * np.repeat(rng.normal(size=(2, 128)), 40, axis=0)
    vectors[79] = np.nan
    return FaceTable(
        set_names=("celebrities", "everybody"),
        paths=tuple(Path(f"{number}.png") for number in range(80)),
        set_index=np.repeat([0, 1], 40),
        person=np.full(80, -1),
        role=np.where(np.arange(80) == 78, VALIDATION, TRAINING),
        landmarks=np.zeros((80, 5, 2), np.float32),
        teacher=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        set_centres=(False, True),
    )


def strangers_cosine(vectors: np.ndarray) -> float:
    cosines = vectors @ vectors.T
    return float(cosines[np.triu_indices(len(vectors), 1)].mean())


def test_strangers_of_the_centre_are_no_longer_alike(table):
    from research.distil.centring import centred_teacher

    before, after = table.teacher[40:78], centred_teacher(table)[40:78]
    assert strangers_cosine(before) > 0.8
    assert abs(strangers_cosine(after)) < 0.05
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-6)


def test_only_training_photos_of_the_named_sets_with_an_embedding_make_the_centre(table):
    from research.distil.centring import centre_rows

    assert centre_rows(table).tolist() == list(range(40, 78))


def test_without_a_centre_the_teacher_stays_as_it_is(table):
    from research.distil.centring import centred_teacher

    np.testing.assert_array_equal(centred_teacher(dataclasses.replace(table, set_centres=())), table.teacher)


def test_photos_without_an_embedding_stay_without(table):
    from research.distil.centring import centred_teacher

    assert np.isnan(centred_teacher(table)[79]).all()


def test_a_centre_without_photos_to_learn_from_is_refused(table):
    from research.distil.centring import centre_rows

    with pytest.raises(DataError, match="centre have no training photo"):
        centre_rows(dataclasses.replace(table, role=np.full(80, VALIDATION)))


class TestCentresOfPeople:
    @pytest.fixture
    def crowds(self) -> FaceTable:
        """Return two sets around sixteen directions: 5,200 people, and one of them 3,000 times more, a named one."""
        rng = np.random.default_rng(1)
        directions = rng.normal(size=(16, 128))
        vectors = directions[rng.integers(16, size=8_200)] + 0.3 * rng.normal(size=(8_200, 128))
        vectors[5_200:] = vectors[0] + 0.01 * rng.normal(size=(3_000, 128))
        return FaceTable(
            set_names=("named", "everybody"),
            paths=tuple(Path(f"{number}.png") for number in range(8_200)),
            set_index=np.repeat([1, 0], [5_200, 3_000]),
            person=np.repeat([-1, 7], [5_200, 3_000]),
            role=np.full(8_200, TRAINING),
            landmarks=np.zeros((8_200, 5, 2), np.float32),
            teacher=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
            set_centres=(False, True),
        )

    def test_they_lie_where_people_do(self, crowds):
        from research.distil.centring import centred_teacher, centres_of_people

        centres, people = centres_of_people(crowds), centred_teacher(crowds)[:5_200]
        assert centres.shape == (256, 128)
        assert (np.linalg.norm(centres, axis=1) < 1).all()
        assert np.median((people @ centres.T).max(axis=1)) > 0.8

    def test_many_photos_of_one_person_count_once(self, crowds):
        from research.distil.centring import centred_teacher, centres_of_people

        one = centred_teacher(crowds)[5_200:].mean(axis=0)
        assert np.sum(centres_of_people(crowds) @ one > 0.95) == 0

    def test_no_centre_is_a_single_person(self, crowds):
        from research.distil.centring import centred_teacher, centres_of_people

        lone = crowds.teacher.copy()
        lone[0], lone[5_200:] = -lone.mean(axis=0), lone[1]
        crowds = dataclasses.replace(crowds, teacher=lone / np.linalg.norm(lone, axis=1, keepdims=True))
        assert (centres_of_people(crowds) @ centred_teacher(crowds)[0]).max() < 0.9

    def test_few_people_have_none(self, crowds):
        from research.distil.centring import centres_of_people

        few = dataclasses.replace(crowds, role=np.where(np.arange(8_200) < 5_119, TRAINING, VALIDATION))
        assert not centres_of_people(few).any()
