from __future__ import annotations

import numpy as np
import pytest

from research.measure.near_training import near_training


def test_all_photos_of_a_person_are_near_when_one_of_them_is():
    learned = np.array([[1, 0, 0]], np.float32)
    embeddings = np.array([[0.6, 0.8, 0], [0, 1, 0], [0.4, 0, np.sqrt(0.84)], [0, 0, 1]], np.float32)
    near = near_training(["anna", "anna", "ben", "ben"], embeddings, learned)
    assert near.tolist() == [True, True, False, False]


def test_a_photo_without_an_embedding_is_near_nobody():
    embeddings = np.array([[np.nan, np.nan], [1, 0]], np.float32)
    near = near_training(["anna", "ben"], embeddings, np.array([[1, 0]], np.float32))
    assert near.tolist() == [False, True]


def test_the_csv_sorts_photos_for_evaluate(tmp_path, write_teacher_file):
    from click.testing import CliRunner

    from research.measure.near_training import main

    folder = tmp_path / "faces"
    for name in ("a.jpg", "b.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    write_teacher_file(tmp_path / "faces.npz", ["a.jpg", "b.jpg"], [[1, 0], [0.8, 0.6]])
    write_teacher_file(tmp_path / "lfw.npz", ["Anna/1.jpg", "Anna/2.jpg", "Ben/1.jpg"], [[1, 0], [-1, 0], [0, -1]])
    (tmp_path / "sets.toml").write_text('[[set]]\nname="faces"\nfolder="faces"\nterms="own"\nteacher="faces.npz"\n')
    out = tmp_path / "near.csv"
    told = CliRunner().invoke(
        main, [str(tmp_path / "sets.toml"), "--teacher", str(tmp_path / "lfw.npz"), "--out", str(out)]
    )
    assert told.exit_code == 0, told.output
    assert "2 of 3 photos, 1 of 2 people are near" in told.output
    assert out.read_text().splitlines() == ["path,training", "Anna/1.jpg,near", "Anna/2.jpg,near", "Ben/1.jpg,far"]


@pytest.fixture
def write_teacher_file():
    def write(path, names, vectors):
        embedding = np.zeros((len(names), 128), np.float32)
        embedding[:, :2] = vectors
        landmarks = np.zeros((len(names), 5, 2), np.float32)
        np.savez(path, paths=names, landmarks=landmarks, embedding=embedding, ok=np.ones(len(names), bool))

    return write
