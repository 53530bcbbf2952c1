"""Folders of photos: content decides what is one, and whatever is passed over is told with the reason."""

from __future__ import annotations

import functools
import inspect
import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from weights_files import write_weights_files

from flaskapp.cli.program import main
from flaskapp.errors import DataError
from flaskapp.pairs.people import pairs_of_people
from flaskapp.personal.album import read_album, read_people
from flaskapp.preprocess.files import check_photos, look_through
from tests.conftest import PORTRAITS

HOPPER = PORTRAITS / "grace_hopper.jpg"


@functools.cache
def of_kind(kind: str) -> bytes:
    """Return a portrait as another format."""
    if kind == "JPEG":
        return HOPPER.read_bytes()
    buffer = io.BytesIO()
    image = Image.open(HOPPER)
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.from_pillow(image).save(buffer, quality=90)
    else:
        image.save(buffer, kind)
    return buffer.getvalue()


PHOTOS = {
    "plain.jpg": "JPEG",
    "from windows.jfif": "JPEG",
    "old.jpe": "JPEG",
    "canon.hif": "HEIF",
    "phone.HEIC": "HEIF",
    "no suffix": "JPEG",
    "IMG_0001": "HEIF",
    "download.php": "PNG",
    "misnamed.txt": "WEBP",
    "named.gif": "PNG",
    "below/.hidden": "JPEG",
    "ends in a dot.": "PNG",
}
OTHERS = {
    "notes.txt": (b"for myself", "This file is not a photo in a known format."),
    "moving.gif": (b"GIF89a" + bytes(20), "This is a GIF, which cannot be used here."),
    "paper": (b"%PDF-1.7", "This is a PDF, which cannot be used here."),
    "below/film.mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "This is a video or another relative of HEIC"),
    "empty": (b"", "The file is empty."),
    "._plain.jpg": (b"\0\x05\x16\7\0\2\0\0Mac OS X", "This file is not a photo in a known format."),
}


@pytest.fixture
def album(tmp_path) -> Path:
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    for name, kind in PHOTOS.items():
        (folder / name).write_bytes(of_kind(kind))
    for name, (data, _) in OTHERS.items():
        (folder / name).write_bytes(data)
    return folder


def test_photos_are_found_by_their_content(album):
    content = look_through(album)
    assert set(content.names) == set(PHOTOS)
    assert list(content.photos) == sorted(content.photos)


def test_all_else_is_told_with_the_reason(album):
    told = look_through(album).passed_over
    assert told.keys() == OTHERS.keys()
    for name, (_, reason) in OTHERS.items():
        assert told[name].startswith(reason), name


def test_what_calls_itself_a_photo_and_is_none_counts_as_one_that_cannot_be_used(tmp_path):
    for name in ("damaged.jpg", "really a film.heic", "empty.jfif"):
        (tmp_path / name).write_bytes(b"GIF89a" if "film" in name else b"")
    assert len(look_through(tmp_path).photos) == 3
    album = read_album(tmp_path)
    assert (len(album), album.left_out.keys()) == (0, {"damaged.jpg", "really a film.heic", "empty.jfif"})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="such things are a Unix habit")
def test_what_is_no_file_is_told_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    content = look_through(tmp_path)
    assert (content.photos, content.passed_over.keys()) == ((), {"pipe.jpg", "gone.jpg"})


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_links_to_folders_elsewhere_are_followed_once_and_others_told(tmp_path):
    for name in ("album/anna", "elsewhere/bert"):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(HOPPER, tmp_path / name / "1.jpg")
    album = tmp_path / "album"
    (album / "bert").symlink_to(tmp_path / "elsewhere" / "bert")
    (album / "bert again").symlink_to(tmp_path / "elsewhere")
    (album / "best").symlink_to(album / "anna")
    (album / "anna" / "up").symlink_to(album)
    (tmp_path / "elsewhere" / "bert" / "round").symlink_to(tmp_path)
    content = look_through(album)
    assert content.names == ["anna/1.jpg", "bert/1.jpg"]
    assert content.passed_over.keys() == {"bert again", "best", "anna/up", "bert/round"}


@pytest.mark.skipif(os.name != "posix", reason="paths are shorter elsewhere")
def test_folders_may_lie_as_deep_as_they_like(tmp_path):
    deepest = tmp_path.joinpath(*["f"] * 200)
    deepest.mkdir(parents=True)
    shutil.copy(HOPPER, deepest / "1.jpg")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        assert look_through(tmp_path).names == ["f/" * 200 + "1.jpg"]
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_is_told(album):
    (album / "below").chmod(0)
    assert "below" in look_through(album).passed_over
    (album / "below").chmod(0o700)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may look everywhere")
def test_what_a_folder_lists_but_does_not_hand_out_is_told(album):
    (album / "below").chmod(0o400)
    content = look_through(album)
    assert not [name for name in content.names if name.startswith("below")]
    assert [name for name in content.passed_over if name.startswith("below/")]
    (album / "below").chmod(0o700)


def test_a_folder_without_photos_is_told_by_what_it_holds(tmp_path):
    (tmp_path / "moving.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"no photos in .*moving\.gif for example: This is a GIF"):
        check_photos(look_through(tmp_path))
    for read in (read_album, read_people):
        with pytest.raises(DataError, match=r"moving\.gif"):
            read(tmp_path)


class TestReaders:
    """Every reader of folders goes by content and tells what it passed over."""

    @pytest.fixture
    def people(self, tmp_path) -> Path:
        folder = tmp_path / "people"
        for person, portrait in (("grace", "grace_hopper.jpg"), ("eileen", "eileen_collins.jpg")):
            (folder / person).mkdir(parents=True)
            for name in ("first", "second.jfif"):
                shutil.copy(PORTRAITS / portrait, folder / person / name)
        (folder / "grace" / "moving.gif").write_bytes(b"GIF89a")
        (folder / "readme").write_text("nobody")
        return folder

    TOLD = ("  left out: grace/moving.gif: This is a GIF", "  left out: readme: This file is not a photo")

    def test_ones_own_album(self, people):
        album = read_album(people / "grace")
        assert set(album.names) == {"first", "second.jfif"}
        assert album.left_out.keys() == {"moving.gif"}

    def test_other_people(self, people):
        shutil.copy(HOPPER, people / "stray")
        album = read_people(people)
        assert set(album.people) == {"grace", "eileen"}
        assert len(album) == 4
        assert album.left_out.keys() == {"grace/moving.gif", "readme", "stray"}

    def test_pairs_of_people(self, people):
        told: dict[str, str] = {}
        assert len(pairs_of_people(people, tell=told.update)) == 6
        assert told.keys() == {"grace/moving.gif", "readme"}
        shutil.copy(HOPPER, people / "stray")
        with pytest.raises(DataError, match="1 photos outside such folders, stray"):
            pairs_of_people(people)

    def test_evaluate(self, people, tmp_path):
        arguments = ["evaluate", "--people", str(people), "--weights", str(write_weights_files(tmp_path))]
        done = CliRunner().invoke(main, [*arguments, "--json", str(tmp_path / "told.json")])
        assert done.exit_code == 0, done.stderr
        lines = done.stderr.splitlines()
        assert len(lines) == 2
        assert all(line.startswith(told) for line, told in zip(lines, self.TOLD, strict=True))

    def test_augment(self, people, tmp_path):
        done = CliRunner().invoke(main, ["augment", str(people), "--out", str(tmp_path / "out")])
        assert done.exit_code == 0, done.stderr
        assert all(told in done.stderr for told in self.TOLD)
        assert len(list((tmp_path / "out").rglob("*.jpg"))) == 4 * 9

    def test_augment_leaves_out_a_photo_whose_name_is_too_long_to_be_continued(self, people, tmp_path):
        shutil.copy(HOPPER, people / ("long" * 58 + ".jpg"))
        done = CliRunner().invoke(main, ["augment", str(people), "--out", str(tmp_path / "out")])
        assert (done.exit_code, done.stdout.startswith("4 photos, 36 new")) == (2, True)
        assert [line.startswith("Error: long") for line in done.stderr.splitlines()].count(True) == 1
        names = [path.name for path in (tmp_path / "out").rglob("*.jpg")]
        assert len(names) == 4 * 9
        assert not [name for name in names if name.startswith("long")]
