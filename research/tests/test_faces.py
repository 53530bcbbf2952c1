from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flaskapp.errors import DataError
from research.distil.faces import Batches, Changes, read_times, training_faces
from research.sets.table import TRAINING


@pytest.fixture
def batches(table, faces) -> Batches:
    rows, targets = training_faces(table)
    return Batches(faces, targets, rows, 8, Changes(), seed=3)


def test_only_training_photos_with_an_answer_are_learned_from(table):
    teacher = table.teacher.copy()
    teacher[0] = np.nan
    rows, targets = training_faces(replace(table, teacher=teacher))
    assert set(rows) == set(np.flatnonzero(table.role == TRAINING)) - {0}
    assert np.isfinite(targets).all()


def test_no_answers_are_no_data(table):
    with pytest.raises(DataError, match="teacher's embedding"):
        training_faces(replace(table, teacher=np.full_like(table.teacher, np.nan)))


def test_a_pass_goes_once_through_all_faces_and_twice_through_those_named(table, faces, tmp_path):
    file = tmp_path / "times.csv"
    file.write_text("photo,times\npeople/3.png,2\npeople/5.png,3\n")
    rows, _ = training_faces(table, read_times(file))
    assert {row: int(np.sum(rows == row)) for row in (2, 3, 5)} == {2: 1, 3: 2, 5: 3}


def test_a_times_file_that_is_none_is_told(tmp_path):
    (tmp_path / "times.csv").write_text("face,often\na,2\n")
    with pytest.raises(DataError, match="photo and times"):
        read_times(tmp_path / "times.csv")


def test_a_stream_can_start_anywhere(batches):
    stream = batches.ahead(0)
    first = [next(stream) for _ in range(6)]
    for (faces, targets), (again, targets_again) in zip(first[4:], (batches.batch(4), batches.batch(5)), strict=True):
        np.testing.assert_array_equal(faces, again)
        np.testing.assert_array_equal(targets, targets_again)
    assert not np.array_equal(first[0][0], first[4][0]), "the next pass has another order"


def test_a_pass_holds_every_face_with_its_own_target(batches):
    seen = np.concatenate([batches.batch(step)[1] for step in range(4)])
    np.testing.assert_array_equal(np.unique(seen, axis=0), np.unique(batches.targets[batches.rows], axis=0))


def test_shares_say_how_many_faces_are_changed(faces):
    def changed(changes: Changes) -> np.ndarray:
        gentle, given = Changes(0, 0), np.random.default_rng
        return np.array(
            [
                np.abs(changes.apply(face, given(i)).astype(int) - gentle.apply(face, given(i))).mean() > 1
                for i, face in enumerate(np.tile(faces, (8, 1, 1, 1)))
            ]
        )

    assert not changed(Changes(0, 0)).any()
    assert 0.25 < changed(Changes(0.35, 0)).mean() < 0.45
    assert 0.4 < changed(Changes(0, 0.5)).mean() < 0.6


def test_half_of_the_spoiled_faces_are_spoiled_as_their_photos_would_be_before_they_are_moved(faces, monkeypatch):
    face, untouched = faces[0], []
    monkeypatch.setattr("research.distil.faces.spoil", lambda given, _: untouched.append(given is face) or given)
    for seed in range(400):
        Changes(0.5, 0).apply(face, np.random.default_rng(seed))
    assert 160 < len(untouched) < 240
    assert 0.4 < np.mean(untouched) < 0.6
