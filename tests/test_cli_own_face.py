"""The commands around one's own face, as they are typed."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from flaskapp.augment_images import TRANSFORMATIONS
from flaskapp.cli import main
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


def test_augment_says_when_a_folder_holds_no_photos(tmp_path):
    done = CliRunner().invoke(main, ["augment", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "holds no photos" in done.stderr
