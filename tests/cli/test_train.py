"""The commands around one's own face, as they are typed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from flaskapp.augment_images import TRANSFORMATIONS
from flaskapp.cli.program import main
from tests.conftest import PORTRAITS


@pytest.fixture
def album(tmp_path):
    """A folder with a portrait, one below it, and a file that is no photo."""
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    shutil.copy(PORTRAITS / "grace_hopper.jpg", folder)
    shutil.copy(PORTRAITS / "eileen_collins.jpg", folder / "more")
    (folder / "note.txt").write_text("not a photo", encoding="utf-8")
    return folder


def test_augment_writes_nine_photos_of_each_and_the_sheet(album, tmp_path):
    pytest.importorskip("matplotlib")
    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    done = CliRunner().invoke(main, ["augment", str(album), "--out", str(out), "--sheet", str(sheet)])
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in out.glob("*.jpg")} == {f"grace_hopper.jpg.{name}.jpg" for name in TRANSFORMATIONS}
    assert len(list((out / "more").glob("*.jpg"))) == 9
    with Image.open(out / "grace_hopper.jpg.darker.jpg") as photo:
        assert photo.size == (512, 600)
    with Image.open(sheet) as drawn:
        assert drawn.width > 4 * drawn.height
    assert "18 new ones" in done.output


def test_augment_names_the_photo_that_it_cannot_read_and_writes_the_others(album, tmp_path):
    (album / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    done = CliRunner().invoke(main, ["augment", str(album), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "broken.jpg" in done.stderr
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 18


def test_augment_takes_a_picture_as_thin_as_a_line(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "album").mkdir()
    Image.new("RGB", (1000, 1), (90, 80, 70)).save(tmp_path / "album" / "line.png")
    words = ["augment", str(tmp_path / "album"), "--out", str(tmp_path / "out"), "--sheet", str(tmp_path / "s.png")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 9


@pytest.mark.parametrize("out", [".", "aug", "more/aug", "../album"])
def test_augment_writes_nothing_among_the_photos_that_it_reads(album, monkeypatch, out):
    monkeypatch.chdir(album)
    for folder in (".", "../album"):
        done = CliRunner().invoke(main, ["augment", folder, "--out", out])
        assert done.exit_code == 2
        assert f"--out {out} lies within {folder}" in done.stderr
        assert "Name a folder outside it." in done.stderr
    assert len(list(album.rglob("*.jpg"))) == 2


def test_augment_may_write_beside_or_above_its_photos(album):
    done = CliRunner().invoke(main, ["augment", str(album / "more"), "--out", str(album)])
    assert done.exit_code == 0, done.stderr
    assert len(list(album.glob("*.jpg"))) == 10


def test_augment_says_when_a_folder_holds_no_photos(tmp_path):
    done = CliRunner().invoke(main, ["augment", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "no photos in" in done.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "words",
    [
        ["train", "--me", ".", "--minutes"],
        ["capture", "--out", "photos", "--seconds"],
        ["evaluate", "--scores-from", "sets.toml", "--threshold"],
        ["evaluate", "--scores-from", "sets.toml", "--threshold", "0.5", "--band", "0.4"],
    ],
)
def test_what_is_no_number_is_refused_before_the_work(tmp_path, monkeypatch, words, number):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets.toml").touch()
    done = CliRunner().invoke(main, [*words, number])
    assert done.exit_code == 2
    option = next(word for word in reversed(words) if word.startswith("--"))
    assert f"Invalid value for '{option}': {number} is not" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sets.toml"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("command", [["train", "--me", "."], ["capture"], ["augment", "."]])
def test_a_place_that_takes_no_folders_is_noticed_first(command):
    done = CliRunner().invoke(main, [*command, "--out", "/proc/model"])
    assert done.exit_code == 2
    assert "/proc/model cannot be written: /proc allows no writing." in done.stderr


@pytest.mark.parametrize(
    "wrong", [["--others", "nosuch"], ["--others", ""], ["--recipe", "whole"], ["--seed", str(2**32)]]
)
def test_what_cannot_be_trained_is_refused_before_a_photo_is_read(album, tmp_path, monkeypatch, wrong):
    pytest.importorskip("keras")
    monkeypatch.setattr("flaskapp.personal.album.read_album", None)
    done = CliRunner().invoke(main, ["train", "--me", str(album), "--out", str(tmp_path / "m"), *wrong])
    assert (done.exit_code, (tmp_path / "m.training").exists()) == (2, False), done.stderr
