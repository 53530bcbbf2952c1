from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from flaskapp.errors import DataError
from flaskapp.preprocess import TEMPLATE, align_face, crop_face, decode_photo
from research.__main__ import main
from research.sets import blends
from research.sets.blends import (
    LANDMARKS,
    LANDMARKS_FILE,
    SIZE,
    blend_faces,
    draw_pairs,
    mean_share,
    seam,
    write_blends,
)
from research.sets.table import TRAINING, UNKNOWN_PERSON, VALIDATION, FaceSet, FaceTable, load_faces

RED, GREEN, GREY = (200, 40, 40), (40, 200, 40), (90, 90, 90)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def noise(seed: int = 0, mean: float = 128) -> np.ndarray:
    """Return a picture of its own, uint8 (SIZE, SIZE, 3)."""
    picture = np.random.default_rng(seed).normal(mean, 30, (SIZE, SIZE, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def table(tmp_path) -> FaceTable:
    """Two sets of six photos, red and green ones, the last of each held out; landmarks on the template."""
    paths = []
    for name, colour in (("red", RED), ("green", GREEN)):
        (tmp_path / name).mkdir()
        for number in range(6):
            paths.append(tmp_path / name / f"{number}.png")
            grain = np.random.default_rng(number).integers(-9, 10, (100, 100, 3))  # no photo twice
            pixels = np.array(GREY if number == 5 else colour) + grain
            Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return FaceTable(
        set_names=("red", "green"),
        paths=tuple(paths),
        set_index=np.repeat([0, 1], 6),
        person=np.arange(12),
        role=np.tile([TRAINING] * 5 + [VALIDATION], 2),
        landmarks=np.repeat(np.array(TEMPLATE, np.float32)[None], 12, axis=0),
        teacher=np.zeros((12, 128), np.float32),
    )


def made(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


class TestBlending:
    def test_the_first_face_alone_stays_as_it_is(self):
        assert np.array_equal(blend_faces(noise(1), noise(2), np.ones((1, 1, 1)), rng()), noise(1))

    def test_the_second_face_comes_in_the_light_of_the_first(self):
        dark, bright = noise(1, mean=90), noise(2, mean=170)
        seen = blend_faces(dark, bright, np.zeros((1, 1, 1)), rng())
        assert abs(seen.mean() - dark.mean()) < 2
        assert abs(seen.std() - dark.std()) < 3

    def test_the_second_face_is_mirrored_every_other_time(self):
        first, second = noise(1), noise(2)
        kinds = {blend_faces(first, second, np.zeros((1, 1, 1)), np.random.default_rng(n)).tobytes() for n in range(20)}
        assert len(kinds) == 2

    def test_a_flat_face_is_blended_too(self):
        flat = np.full((SIZE, SIZE, 3), 70, np.uint8)
        assert np.array_equal(blend_faces(flat, flat, np.full((1, 1, 1), 0.5), rng()), flat)

    def test_a_mean_shows_something_of_both(self):
        shares = [float(mean_share(np.random.default_rng(n)).item()) for n in range(200)]
        assert min(shares) >= 0.3
        assert max(shares) <= 0.7

    def test_a_seam_leaves_a_part_of_each_face_untouched(self):
        for number in range(50):
            share = seam(np.random.default_rng(number))
            assert share.shape == (SIZE, SIZE, 1)
            assert share.min() < 0.02
            assert share.max() > 0.98

    def test_most_seams_divide_above_from_below(self):
        shares = [seam(np.random.default_rng(number))[..., 0] for number in range(300)]
        across = [np.ptp(share.mean(axis=1)) > np.ptp(share.mean(axis=0)) for share in shares]
        assert 0.6 < np.mean(across) < 0.8


class TestWriting:
    def test_every_pair_gives_two_photos_and_a_place_in_the_file_of_landmarks(self, table, tmp_path):
        out = tmp_path / "blends"
        assert write_blends(table, out, pairs=4, workers=1) == 8
        with np.load(out / LANDMARKS_FILE) as record:
            assert sorted(record["paths"]) == [path.relative_to(out).as_posix() for path in made(out)]
            assert record["landmarks"].shape == (8, 5, 2)
            assert record["ok"].all()

    def test_a_pair_is_of_one_set_and_of_photos_that_train(self, table, tmp_path):
        write_blends(table, tmp_path / "blends", pairs=20, workers=1)
        means = np.array([np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in made(tmp_path / "blends")])
        distance = np.abs(means[:, None] - np.array([RED, GREEN])).max(axis=2)
        assert (distance.min(axis=1) < 8).all()
        assert set(distance.argmin(axis=1)) == {0, 1}

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_seed_makes_the_same_photos(self, table, tmp_path, workers):
        for name, processes in (("one", 1), ("other", workers)):
            write_blends(table, tmp_path / name, pairs=3, seed=7, workers=processes)
        first, second = made(tmp_path / "one"), made(tmp_path / "other")
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]

    def test_both_faces_are_of_two_people(self, table):
        one_person = dataclasses.replace(table, person=np.array([1, 1, 1, 1, 2, 3, *[UNKNOWN_PERSON] * 6]))
        drawn = {(first[0], second[0]) for first, second, _ in draw_pairs(one_person, 200, seed=0)}
        red = {pair for pair in drawn if pair[0].parent.name == "red"}
        assert red
        assert all((first.name == "4.png") != (second.name == "4.png") for first, second in red)
        green = drawn - red
        assert len(green) > 10, "whoever has no name is taken for somebody else"
        assert all(first != second for first, second in green)

    def test_large_photos_are_cut_where_their_landmarks_are(self, table, tmp_path):
        side = 4000  # decoded at half its scale
        x = np.tile(np.linspace(0, 255, side).astype(np.uint8), (side, 1))
        picture = Image.fromarray(np.stack([x, x.T, np.full_like(x, 90)], axis=2))
        for path in table.paths[:2]:
            picture.save(path, "JPEG", quality=90)
        two = [0, 1]
        large = FaceTable(
            set_names=("red",),
            paths=tuple(table.paths[row] for row in two),
            set_index=np.zeros(2, int),
            person=np.arange(2),
            role=np.full(2, TRAINING),
            landmarks=table.landmarks[two] * 10 + 2500,
            teacher=table.teacher[two],
        )
        write_blends(large, tmp_path / "blends", pairs=1, workers=1)
        expected = large.landmarks[0, 2] / side * 255
        x, y = LANDMARKS[2].round().astype(int)
        for path in made(tmp_path / "blends"):
            assert np.abs(np.asarray(Image.open(path))[y, x, :2] - expected).max() < 12

    def test_other_pictures_get_other_names(self, table, tmp_path):
        # What is known of a photo by its name must not be taken for what is known of another.
        for seed in (1, 2):
            write_blends(table, tmp_path / "blends", pairs=2, seed=seed, workers=1)
        assert len(made(tmp_path / "blends")) == 8
        with np.load(tmp_path / "blends" / LANDMARKS_FILE) as record:
            assert len(record["paths"]) == 4

    def test_when_no_photo_can_be_read_that_is_said(self, table, tmp_path):
        for path in table.paths:
            path.unlink()
        with pytest.raises(DataError, match="None of the photos drawn can be read"):
            write_blends(table, tmp_path / "blends", pairs=2, workers=1)

    def test_an_unreadable_photo_costs_its_pairs_only(self, table, tmp_path):
        for path in table.paths[:5]:
            path.write_bytes(b"no photo")
        count = write_blends(table, tmp_path / "blends", pairs=20, workers=1)
        assert 0 < count < 40
        assert len(made(tmp_path / "blends")) == count

    def test_without_landmarks_there_is_nothing_to_blend(self, table, tmp_path):
        blind = dataclasses.replace(table, landmarks=np.full((12, 5, 2), np.nan, np.float32))
        write_blends(table, tmp_path / "blends", pairs=1, workers=1)
        before = (tmp_path / "blends" / LANDMARKS_FILE).read_bytes()
        with pytest.raises(DataError, match="training photos of two people with landmarks"):
            write_blends(blind, tmp_path / "blends", pairs=2, workers=1)
        assert (tmp_path / "blends" / LANDMARKS_FILE).read_bytes() == before, "of the photos that are still there"

    def test_the_faces_are_cut_from_the_photos_as_from_any_others(self, hopper):
        pixels = np.asarray(Image.open(io.BytesIO(hopper)).convert("RGB"))
        face = align_face(pixels, TEMPLATE)  # any part of a photo will do
        photo = Image.fromarray(align_face(pixels, TEMPLATE, LANDMARKS, SIZE))
        file = io.BytesIO()
        photo.save(file, "PNG")
        assert np.abs(crop_face(decode_photo(file.getvalue()), LANDMARKS).astype(int) - face).mean() < 3

    def test_a_set_of_them_can_be_named(self, table, tmp_path):
        out = tmp_path / "blends"
        write_blends(table, out, pairs=2, workers=1)
        faces = load_faces([FaceSet(name="blends", folder=out, teacher=out / LANDMARKS_FILE)])
        assert (faces.role == TRAINING).all()
        assert np.isnan(faces.teacher).all()
        assert np.allclose(faces.landmarks, LANDMARKS, atol=1e-4)


class TestCommand:
    @pytest.fixture
    def sets_file(self, table, tmp_path) -> Path:
        """The red photos as a set with a teacher's file, and the set that is to be made."""
        names = [path.name for path in table.paths[:6]]
        vectors = np.linalg.qr(rng().normal(size=(128, 128)))[0][:6]
        np.savez(tmp_path / "red.npz", paths=names, landmarks=table.landmarks[:6], embedding=vectors, ok=[True] * 6)
        file = tmp_path / "sets.toml"
        file.write_text(
            '[[set]]\nname = "red"\nfolder = "red"\nteacher = "red.npz"\n'
            '[[set]]\nname = "blends"\nfolder = "blends"\nteacher = "blends.npz"\n'
        )
        return file

    def test_a_set_that_is_to_be_made_may_be_named_already(self, sets_file, tmp_path):
        arguments = ["blend", str(sets_file), "--out", str(tmp_path / "blends"), "--pairs", "3", "--workers", "1"]
        told = CliRunner().invoke(main, arguments)
        assert told.exit_code == 0, told.output
        assert "6 photos of nobody" in told.output
        first = [path.read_bytes() for path in made(tmp_path / "blends")]
        CliRunner().invoke(main, arguments)  # not of its own photos, once they are there
        assert [path.read_bytes() for path in made(tmp_path / "blends")] == first

    def test_without_other_sets_there_is_nothing_to_blend(self, sets_file, tmp_path):
        sets_file.write_text('[[set]]\nname = "blends"\nfolder = "blends"\n')
        told = CliRunner().invoke(main, ["blend", str(sets_file), "--out", str(tmp_path / "blends")])
        assert told.exit_code == 2
        assert "no sets of photos" in told.output

    def test_sets_that_cannot_be_used_are_named(self, sets_file, tmp_path):
        (tmp_path / "red.npz").unlink()
        told = CliRunner().invoke(main, ["blend", str(sets_file), "--out", str(tmp_path / "blends")])
        assert told.exit_code == 2
        assert "red.npz" in told.output


def test_both_views_of_a_face_lie_within_the_photo():
    # The network's own view, and the teacher's: ArcFace's 112 pixels.
    for template, side in ((np.array(TEMPLATE), 100), (ARCFACE, 112)):
        scale = np.ptp(LANDMARKS[:, 1]) / np.ptp(template[:, 1])
        corners = (np.array([(0, 0), (side, side)]) - template.mean(axis=0)) * scale + LANDMARKS.mean(axis=0)
        assert corners.min() > -1
        assert corners.max() < blends.SIZE + 1


ARCFACE = np.array(((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)))
