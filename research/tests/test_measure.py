from __future__ import annotations

import numpy as np
import pytest

from research.distil.faces import training_faces
from research.distil.measure import Looks
from research.distil.spoiling import KINDS


@pytest.fixture
def looks(table, faces) -> Looks:
    return Looks(table, faces, training_faces(table)[1])


def pixels(faces: np.ndarray) -> np.ndarray:
    """Stand in for a network: it says of a face what its squares look like, less the mean grey."""
    squares = faces[:, 5::10, 5::10, 1].reshape(len(faces), -1).astype(np.float32) - 128
    return np.pad(squares, ((0, 0), (0, 28)))


def test_figures_are_those_of_people_told_apart_by_what_the_network_says(looks):
    figures = looks.figures(pixels)
    assert figures["fnmr_at_fmr_0.01"] == figures["fnmr_at_fmr_0.001"] == 0
    assert -1 <= figures["cosine_unseen"] <= 1
    assert looks.figures(lambda faces: np.ones((len(faces), 128)))["fnmr_at_fmr_0.01"] == 1


def test_the_teachers_own_answers_have_a_cosine_of_one(looks):
    answers = {face.tobytes(): 3 * target for face, target in zip(looks.faces, looks.targets, strict=True)}
    answers |= {face.tobytes(): target for face, target in zip(looks.known_faces, looks.known_targets, strict=True)}
    figures = looks.figures(lambda faces: np.stack([answers[face.tobytes()] for face in faces]))
    assert figures["cosine_unseen"] == pytest.approx(1)
    assert figures["cosine_training"] == pytest.approx(1)


def test_the_table_has_clean_photos_and_each_kind_at_three_strengths(looks):
    rows = looks.spoiled(pixels)
    assert [(row.kind, row.strength) for row in rows] == [
        ("clean", 0),
        *((kind.name, strength) for kind in KINDS for strength in kind.measured),
    ]
    assert rows[0].strangers <= 0.007
    assert rows[0].genuine == 1
    assert rows[0].length == 1


def test_what_cannot_be_seen_is_counted_as_strangers_who_look_alike(looks):
    rows = {(row.kind, row.strength): row for row in looks.spoiled(lambda faces: pixels(faces) + 1e-3)}
    worst = rows["covered", 65]
    assert worst.strangers > rows["covered", 35].strangers
    assert rows["blur", 6].length < rows["blur", 2].length < 1, "a blur takes contrast away, so these vectors get short"
    assert rows["blur", 6].shorter > 0.5
