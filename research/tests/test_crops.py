from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flaskapp import preprocess
from research.sets import crops as module
from research.sets.crops import crops_as_served, crops_of
from research.sets.table import LEFT_OUT, TRAINING, FaceTable

CENTRED = np.array(preprocess.TEMPLATE, np.float32)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(module, "CHUNKS_A_NOTE", 1)


@pytest.fixture
def table(tmp_path) -> FaceTable:
    """Return ten photos of 100×100 whose landmarks lie on the template: each is its own crop."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(10):
        Image.new("RGB", (100, 100), (10 + number, 20, 30)).save(photos / f"{number}.png")
    return FaceTable(
        set_names=("people",),
        paths=tuple(photos / f"{number}.png" for number in range(10)),
        set_index=np.zeros(10, int),
        person=np.arange(10),
        role=np.full(10, TRAINING),
        landmarks=np.repeat(CENTRED[None], 10, axis=0),
        teacher=np.zeros((10, 128), np.float32),
    )


class Chunks:
    """Counts the chunks that are cut, and stops before one of them if asked to."""

    def __init__(self, stop_before: int | None = None) -> None:
        self.seen: list[int] = []
        self.stop_before = stop_before

    def __call__(self, starts):
        for start in starts:
            if len(self.seen) == self.stop_before:
                raise KeyboardInterrupt
            self.seen.append(start)
            yield start


def cut(table: FaceTable, folder: Path, chunks: Chunks | None = None, workers: int = 1) -> np.ndarray:
    return crops_of(table, folder, chunks or Chunks(), workers)


def test_every_photo_becomes_its_crop(table, tmp_path):
    crops = cut(table, tmp_path / "work")
    assert (crops.shape, crops.dtype) == ((10, 100, 100, 3), np.uint8)
    assert crops[:, 50, 50].tolist() == [[10 + number, 20, 30] for number in range(10)]


def test_photos_left_out_and_unusable_ones_are_zero(table, tmp_path):
    table.role[2] = LEFT_OUT
    table.paths[3].write_bytes(b"no photo")
    table.paths[4].unlink()
    table.landmarks[5] = 7  # all in one point
    assert np.flatnonzero(~cut(table, tmp_path / "work").any(axis=(1, 2, 3))).tolist() == [2, 3, 4, 5]


def test_without_landmarks_the_face_is_detected(table, tmp_path, hopper):
    table.paths[0].write_bytes(hopper)
    table.landmarks[:2] = np.nan
    crops = cut(table, tmp_path / "work")
    np.testing.assert_array_equal(crops[0], preprocess.crop_photo(hopper))
    assert not crops[1].any(), "a plain colour shows no face"


def test_a_second_call_cuts_nothing(table, tmp_path):
    first, second = Chunks(), Chunks()
    before = np.array(cut(table, tmp_path, first))
    np.testing.assert_array_equal(cut(table, tmp_path, second), before)
    assert (first.seen, second.seen) == ([0, 4, 8], [])


def test_the_same_photos_by_another_path_are_not_cut_again(table, tmp_path, monkeypatch):
    cut(table, tmp_path / "crops")
    monkeypatch.chdir(tmp_path)
    relative = dataclasses.replace(table, paths=tuple(path.relative_to(tmp_path) for path in table.paths))
    chunks = Chunks()
    cut(relative, tmp_path / "crops", chunks)
    assert chunks.seen == [], "a running training reads this file: cutting it anew would end that"


def test_an_interrupted_call_is_gone_on_with(table, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cut(table, tmp_path, Chunks(stop_before=2))
    rest = Chunks()
    crops = cut(table, tmp_path, rest)
    assert rest.seen == [8]
    assert crops.any(axis=(1, 2, 3)).all()


def other_landmarks(table: FaceTable) -> FaceTable:
    return dataclasses.replace(table, landmarks=table.landmarks + 1)


def other_roles(table: FaceTable) -> FaceTable:
    return dataclasses.replace(table, role=np.where(np.arange(10) == 0, LEFT_OUT, table.role))


def other_photos(table: FaceTable) -> FaceTable:
    return dataclasses.replace(table, paths=table.paths[::-1])


@pytest.mark.parametrize("change", [other_landmarks, other_roles, other_photos])
def test_another_table_is_cut_anew(table, tmp_path, change):
    cut(table, tmp_path)
    chunks = Chunks()
    cut(change(table), tmp_path, chunks)
    assert chunks.seen == [0, 4, 8]


def test_another_geometry_is_cut_anew(table, tmp_path, monkeypatch):
    cut(table, tmp_path)
    monkeypatch.setattr(preprocess, "CROP_GEOMETRY", preprocess.CROP_GEOMETRY | {"border": "black"})
    chunks = Chunks()
    cut(table, tmp_path, chunks)
    assert chunks.seen == [0, 4, 8]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"chunks": "x"}'])
def test_a_damaged_note_means_cutting_anew(table, tmp_path, note):
    cut(table, tmp_path)
    (tmp_path / "crops.json").write_text(note)
    chunks = Chunks()
    cut(table, tmp_path, chunks)
    assert chunks.seen == [0, 4, 8]


def test_a_file_of_another_size_means_cutting_anew(table, tmp_path):
    cut(table, tmp_path)
    np.save(tmp_path / "crops.npy", np.zeros((3, 100, 100, 3), np.uint8))
    assert cut(table, tmp_path).any(axis=(1, 2, 3)).all()


def test_the_note_holds_the_geometry(table, tmp_path):
    cut(table, tmp_path)
    assert json.loads((tmp_path / "crops.json").read_text())["geometry"] == preprocess.CROP_GEOMETRY


@pytest.mark.slow
def test_several_processes_cut_the_same(table, tmp_path):
    alone = np.array(cut(table, tmp_path / "alone"))
    np.testing.assert_array_equal(cut(table, tmp_path / "together", workers=2), alone)


class TestAsServed:
    def test_faces_are_found_and_cut_as_for_a_user(self, tmp_path, hopper):
        (tmp_path / "hopper.jpg").write_bytes(hopper)
        (face,) = crops_as_served([tmp_path / "hopper.jpg"], np.zeros((1, 100, 100, 3), np.uint8), workers=1)
        assert np.array_equal(face, preprocess.crop_photo(hopper))

    def test_where_no_face_is_found_the_known_one_stands_in(self, tmp_path):
        Image.new("RGB", (64, 64)).save(tmp_path / "dark.png")
        known = np.full((1, 100, 100, 3), 7, np.uint8)
        assert np.array_equal(crops_as_served([tmp_path / "dark.png"], known, workers=1), known)

    def test_no_photos_no_faces(self):
        assert crops_as_served([], np.zeros((0, 100, 100, 3), np.uint8)).shape == (0, 100, 100, 3)
