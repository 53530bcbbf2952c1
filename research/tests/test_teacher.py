from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from flaskapp.preprocess import TEMPLATE
from research.measure import teacher
from research.sets.blends import LANDMARKS, LANDMARKS_FILE, SIZE
from research.sets.table import read_teacher

MARKS = np.array(TEMPLATE)


def colours(face: np.ndarray) -> np.ndarray:
    """A teacher that knows a face by its colours and by how bright its left and right are."""
    halves = face[:, :56].mean(), face[:, 56:].mean()
    return np.pad(np.array([*face.mean(axis=(0, 1)), *halves], np.float32) + 1, (0, 123))


@pytest.fixture(autouse=True)
def taught(monkeypatch):
    monkeypatch.setattr(teacher, "teacher_of", lambda _: colours)


def ask(photos, out, *options):
    arguments = [str(photos), str(out), "--model", "any", "--workers", "1", *options]
    result = CliRunner().invoke(teacher.main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


class TestViews:
    def test_one_view_is_the_face_as_the_teacher_expects_it(self, hopper_pixels):
        (view,) = teacher.views_of(hopper_pixels, MARKS, more=False)
        assert view.shape == (112, 112, 3)

    def test_the_others_are_mirrored_and_moved(self, hopper_pixels):
        face, mirrored, lower, higher = teacher.views_of(hopper_pixels, MARKS, more=True)
        assert np.array_equal(mirrored, face[:, ::-1])
        for moved, pixels in ((lower, 2), (higher, -2)):
            there = np.roll(face, pixels, axis=0)[4:-4]
            assert np.abs(moved[4:-4].astype(int) - there).mean() < 0.5


class TestAsking:
    def test_faces_are_found_where_nothing_is_known(self, hopper, tmp_path):
        photos = tmp_path / "photos"
        (photos / "somebody").mkdir(parents=True)
        (photos / "somebody" / "one.jpg").write_bytes(hopper)
        Image.new("RGB", (90, 90)).save(photos / "nobody.png")
        assert "2 photos, of 1 of them nothing to say" in ask(photos, tmp_path / "out.npz")
        names, vectors = read_teacher(tmp_path / "out.npz")
        assert names == ["nobody.png", "somebody/one.jpg"]
        assert np.isnan(vectors[0]).all()
        assert np.linalg.norm(vectors[1]) == pytest.approx(1, abs=1e-5)

    def test_every_face_of_a_group_is_a_row(self, hopper_pixels, tmp_path):
        (tmp_path / "photos").mkdir()
        both = np.concatenate([hopper_pixels, hopper_pixels[:, ::-1]], axis=1)
        Image.fromarray(both).save(tmp_path / "photos" / "both.png")
        Image.new("RGB", (90, 90)).save(tmp_path / "photos" / "nobody.png")
        ask(tmp_path / "photos", tmp_path / "out.npz", "--all")
        with np.load(tmp_path / "out.npz") as record:
            assert record["paths"].tolist() == ["both.png", "both.png", "nobody.png"]
            assert record["ok"].tolist() == [True, True, False]
            noses = record["landmarks"][:2, 2, 0]
            assert noses[0] < hopper_pixels.shape[1] < noses[1]

    def test_landmarks_beside_the_photos_save_the_detection(self, tmp_path):
        photos = tmp_path / "blends"
        photos.mkdir()
        Image.new("RGB", (SIZE, SIZE), (200, 100, 50)).save(photos / "0.jpg")
        np.savez(photos / LANDMARKS_FILE, paths=["0.jpg"], landmarks=LANDMARKS[None])
        assert "of 0 of them" in ask(photos, tmp_path / "out.npz")
        with np.load(tmp_path / "out.npz") as record:
            assert np.allclose(record["landmarks"], LANDMARKS[None])
            assert np.allclose(record["embedding"][0, :3], (201, 101, 51), atol=3)

    def test_more_views_are_rows_of_their_own(self, hopper, tmp_path):
        (tmp_path / "photos").mkdir()
        for name in "ab":
            (tmp_path / "photos" / f"{name}.jpg").write_bytes(hopper)
        ask(tmp_path / "photos", tmp_path / "out.npz", "--views")
        with np.load(tmp_path / "out.npz") as record:
            assert record["paths"].tolist() == ["a.jpg", "b.jpg"] * 4
            left, right = record["embedding"][[0, 2], 3:5]
            assert left == pytest.approx(right[::-1], abs=1e-3)
            assert record["landmarks"].shape == (8, 5, 2)


def test_a_folder_without_photos_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    arguments = [str(tmp_path / "photos"), str(tmp_path / "out.npz"), "--model", "any"]
    assert "holds no photos" in CliRunner().invoke(teacher.main, arguments).output


class Net:
    """As much of ncnn's as the teacher needs: its answer is the mean of each colour."""

    def __init__(self) -> None:
        self.opt = SimpleNamespace()

    def load_param(self, path: str) -> int:
        return 0 if Path(path).exists() else -1

    load_model = load_param

    def create_extractor(self) -> SimpleNamespace:
        given: dict[str, np.ndarray] = {}
        return SimpleNamespace(input=given.__setitem__, extract=lambda _: (0, given["data"].mean(axis=(0, 1))))


@pytest.fixture
def ncnn(monkeypatch):
    mat = SimpleNamespace(from_pixels=lambda pixels, *_: pixels, PixelType=SimpleNamespace(PIXEL_RGB=1))
    monkeypatch.setitem(sys.modules, "ncnn", SimpleNamespace(Net=Net, Mat=mat))


class TestModel:
    @pytest.mark.usefixtures("ncnn")
    def test_a_model_that_is_none_is_refused(self, tmp_path):
        with pytest.raises(click.BadParameter, match="no network that ncnn reads"):
            teacher.load_teacher(tmp_path / "nothing")

    @pytest.mark.usefixtures("ncnn")
    def test_a_model_gives_an_embedding(self, tmp_path):
        for end in ("param", "bin"):
            (tmp_path / f"model.{end}").touch()
        embed = teacher.load_teacher(tmp_path / "model")
        assert embed(np.full((112, 112, 3), 7, np.uint8)).tolist() == [7, 7, 7]
