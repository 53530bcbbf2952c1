from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flaskapp.errors import DataError

pytest.importorskip("sklearn")


def people(rng: np.random.Generator, count: int, photos: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings of ring and middle people, whom no plane tells apart, their numbers and labels."""
    person = np.repeat(np.arange(count), photos)
    outer = person % 2 == 0
    embeddings = rng.normal(size=(len(person), 2))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings *= np.where(outer, 3, 0.5)[:, None]
    return embeddings, person, np.where(outer, "ring", "middle")


def test_groups_that_no_plane_tells_apart_are_guessed():
    from research.measure.guessed_groups import Photos, guess_groups

    rng = np.random.default_rng(0)
    embeddings, person, labels = people(rng, 60, 5)
    others, who, expected = people(rng, 20, 3)
    guess, right = guess_groups(Photos(embeddings, person), labels, Photos(others, who + 100))
    assert guess.tolist() == expected.tolist()
    assert right == 1


def test_a_person_gets_one_guess_from_all_photos():
    from research.measure.guessed_groups import Photos, guess_groups

    embeddings, person, labels = people(np.random.default_rng(1), 60, 5)
    three, who = np.array([[3.0, 0], [0, 3.0], [0.1, 0]]), np.array([7, 7, 7])
    guess, _ = guess_groups(Photos(embeddings, person), labels, Photos(three, who))
    assert set(guess) == {"ring"}


def test_labels_that_name_no_photo_are_refused(tmp_path, make_table):
    from research.measure.guessed_groups import labelled_rows

    (tmp_path / "labels.csv").write_text("path,gender\nnobody.jpg,Female\n")
    with pytest.raises(DataError, match="names no photo of faces"):
        labelled_rows(make_table(), "faces", tmp_path / "labels.csv", tmp_path, ["gender"])


def test_only_training_photos_with_labels_are_learned_from(tmp_path, make_table):
    from research.measure.guessed_groups import labelled_rows

    table = make_table()
    lines = [f"{name}.jpg,{'Female' if name < 3 else 'Male'}" for name in range(5)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,gender", *lines]))
    rows, values = labelled_rows(table, "faces", tmp_path / "labels.csv", Path("photos"), ["gender"])
    assert rows.tolist() == [0, 1, 3, 4]
    assert values[:, 0].tolist() == ["Female", "Female", "Male", "Male"]


def test_a_photo_of_nobody_named_is_a_person_of_its_own(make_table):
    from research.measure.guessed_groups import people_of

    assert people_of(make_table(), np.array([0, 1, 4])).tolist() == [0, 0, -5]


@pytest.fixture
def make_table():
    """Six photos: the third reports, the fifth's person is not known, the sixth has no label."""
    from research.sets import table as sets

    def make() -> sets.FaceTable:
        count = 6
        role = np.full(count, sets.TRAINING)
        role[2] = sets.REPORTING
        return sets.FaceTable(
            ("faces",),
            tuple(Path("photos") / f"{name}.jpg" for name in range(count)),
            np.zeros(count, np.int64),
            np.array([0, 0, 1, 2, sets.UNKNOWN_PERSON, 3]),
            role,
            np.zeros((count, 5, 2), np.float32),
            np.eye(count, 128, dtype=np.float32),
        )

    return make
