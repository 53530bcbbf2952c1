from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flaskapp.errors import DataError
from research.sets.file import read_sets
from research.sets.laying_out import lay_out_sets


def git(folder, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.invalid", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def photos(tmp_path):
    """Return a folder with a sets file, of photos that lie in a repository whose newest commit has none."""
    source, place = tmp_path / "source", tmp_path / "photos"
    (source / "faces" / "anna").mkdir(parents=True)
    place.mkdir()
    (source / "faces" / "anna" / "1.jpg").write_bytes(b"one\n" * 50_000)
    (source / "faces" / "anna" / "2.jpg").write_bytes(b"")
    git(tmp_path, "init", "-q", str(source))
    git(source, "add", ".")
    git(source, "commit", "-qm", "photos")
    commit = git(source, "rev-parse", "--short=8", "HEAD")
    git(source, "rm", "-rq", "faces")
    git(source, "commit", "-qm", "none")
    git(tmp_path, "clone", "-q", "--bare", str(source), str(tmp_path / "mirrors" / "somebody+faces" / "repo"))
    names = ["anna/1.jpg", "anna/2.jpg", "anna/gone.jpg"]
    np.savez(place / "t.npz", paths=names, landmarks=np.zeros((3, 5, 2)), embedding=np.ones((3, 128)), ok=[True] * 3)
    (place / "sets.toml").write_text(
        f'[[set]]\nname = "a"\nfolder = "a"\nteacher = "t.npz"\nsource = "somebody/faces@{commit}:faces"\n'
    )
    return place


def test_photos_lie_where_the_sets_file_expects_them(photos, tmp_path):
    assert list(lay_out_sets(photos / "sets.toml", tmp_path / "mirrors")) == [("a", 2)]
    assert (photos / "a" / "anna" / "1.jpg").read_bytes() == b"one\n" * 50_000
    assert (photos / "a" / "anna" / "2.jpg").read_bytes() == b""
    assert not (photos / "a" / "anna" / "gone.jpg").exists()


def test_a_repository_that_is_not_there_is_told(photos, tmp_path):
    with pytest.raises(DataError, match="no copy of somebody/faces"):
        list(lay_out_sets(photos / "sets.toml", tmp_path))


def test_a_name_that_leads_out_of_the_folder_is_passed_over(photos, tmp_path):
    mirrors = tmp_path / "mirrors"
    np.savez(
        photos / "t.npz",
        paths=["anna/1.jpg", "../faces/anna/1.jpg"],
        landmarks=np.zeros((2, 5, 2)),
        embedding=np.ones((2, 128)),
        ok=[True] * 2,
    )
    assert list(lay_out_sets(photos / "sets.toml", mirrors)) == [("a", 1)]
    assert sorted(path.name for path in photos.iterdir()) == ["a", "sets.toml", "t.npz"]


def test_without_a_teacher_all_photos_are_taken_and_nothing_else(photos, tmp_path):
    """Names beyond ASCII, which git would quote, too, and of equal files one; where nothing is, that is told."""
    source = tmp_path / "source"
    (source / "faces").mkdir()
    for name in ("Zoë 1.PNG", "the same.png", "Thumbs.db"):
        (source / "faces" / name).write_bytes(b"x")
    git(source, "add", ".")
    git(source, "commit", "-qm", "others")
    git(source, "push", "-q", str(tmp_path / "mirrors" / "somebody+faces" / "repo"), "HEAD")
    sets = '[[set]]\nname = "b"\nfolder = "b"\nteacher = "later.npz"\nsource = "somebody/faces@HEAD:faces"\n'
    (photos / "b.toml").write_text(sets)
    assert list(lay_out_sets(photos / "b.toml", tmp_path / "mirrors")) == [("b", 1)]
    assert [path.name for path in (photos / "b").iterdir()] == ["Zoë 1.PNG"]
    (photos / "b.toml").write_text(sets.replace(":faces", ":nothing"))
    with pytest.raises(DataError, match="holds none of its photos"):
        list(lay_out_sets(photos / "b.toml", tmp_path / "mirrors"))


def test_a_tight_crop_gets_larger_and_a_border(photos, tmp_path):
    source, sets = tmp_path / "source", photos / "sets.toml"
    (source / "faces").mkdir()
    Image.fromarray(np.array([[[250, 0, 0]] * 64] * 64, np.uint8)).save(source / "faces" / "1.jpg")
    git(source, "add", ".")
    git(source, "commit", "-qm", "another")
    git(source, "push", "-q", str(tmp_path / "mirrors" / "somebody+faces" / "repo"), "HEAD")
    sets.write_text('[[set]]\nname = "c"\nfolder = "c"\nsource = "somebody/faces@HEAD:faces"\ntight = true\n')
    assert list(lay_out_sets(sets, tmp_path / "mirrors")) == [("c", 1)]
    with Image.open(photos / "c" / "1.png") as image:
        assert image.size == (200, 200)
        assert [image.getpixel(place)[0] > 240 for place in ((0, 0), (100, 100), (199, 199))] == [True] * 3


def test_the_sets_to_measure_with_name_where_they_come_from():
    sets, _ = read_sets(Path(__file__).parents[1] / "measuring-sets.toml")
    assert all(one.source and not one.trains for one in sets)
