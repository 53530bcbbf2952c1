"""The part that all faces have in common, and taking it off."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from flaskapp.dataset.sets import TRAINING, VALIDATION, FaceTable
from flaskapp.errors import DataError


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
    from flaskapp.training.centring import centred_teacher

    before, after = table.teacher[40:78], centred_teacher(table)[40:78]
    assert strangers_cosine(before) > 0.8
    assert abs(strangers_cosine(after)) < 0.05
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-6)


def test_only_training_photos_of_the_named_sets_with_an_embedding_make_the_centre(table):
    from flaskapp.training.centring import centre_rows

    assert centre_rows(table).tolist() == list(range(40, 78))


def test_without_a_centre_the_teacher_stays_as_it_is(table):
    from flaskapp.training.centring import centred_teacher

    np.testing.assert_array_equal(centred_teacher(dataclasses.replace(table, set_centres=())), table.teacher)


def test_photos_without_an_embedding_stay_without(table):
    from flaskapp.training.centring import centred_teacher

    assert np.isnan(centred_teacher(table)[79]).all()


def test_a_centre_without_photos_to_learn_from_is_refused(table):
    from flaskapp.training.centring import centre_rows

    with pytest.raises(DataError, match="centre have no training photo"):
        centre_rows(dataclasses.replace(table, role=np.full(80, VALIDATION)))


def test_the_projection_is_the_one_that_made_the_targets():
    from flaskapp.training.centring import fit_projection

    rng = np.random.default_rng(0)
    features, kernel, bias = rng.normal(size=(500, 20)), rng.normal(size=(20, 7)), rng.normal(size=7)
    found, level = fit_projection(features, features @ kernel + bias)
    np.testing.assert_allclose(found, kernel, atol=0.02)
    np.testing.assert_allclose(level, bias, atol=0.02)


def test_features_that_never_vary_do_no_harm():
    from flaskapp.training.centring import fit_projection

    rng = np.random.default_rng(0)
    features = np.hstack([rng.normal(size=(50, 3)), np.ones((50, 2))])
    kernel, bias = fit_projection(features, features[:, :1])
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
    np.testing.assert_allclose(features @ kernel + bias, features[:, :1], atol=0.01)
