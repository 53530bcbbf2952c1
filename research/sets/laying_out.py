"""Photos out of bare git repositories, as files where a sets file expects them."""

from __future__ import annotations

import io
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from flaskapp.errors import DataError
from flaskapp.preprocess.files import PHOTO_SUFFIXES
from research.sets.file import FaceSet, read_sets
from research.sets.table import read_teacher

__all__ = ["lay_out_sets"]

# As the teacher's landmarks of such crops were found: so large, with so much of the edge repeated on each side.
TIGHT_SIDE, TIGHT_BORDER = 150, 25


def lay_out_sets(sets_file: Path, mirrors: Path) -> Iterator[tuple[str, int]]:
    """Write the photos of each set that has a source; yield its name and how many they are.

    They are those that the teacher's file names, or where there is none yet, all that lie there, each once.

    Args:
        sets_file: its sets' ``source`` is ``owner/name@commit``, or with ``:folder`` where paths start from there.
        mirrors: bare repositories, ``owner+name/repo`` or ``owner+name``.

    Raises:
        DataError: a repository or a photo is not there.
    """
    for face_set in read_sets(sets_file)[0]:
        if face_set.source:
            yield face_set.name, _lay_out(face_set, mirrors)


def _lay_out(face_set: FaceSet, mirrors: Path) -> int:
    repository, _, rest = face_set.source.partition("@")
    commit, _, folder = rest.partition(":")
    bare = mirrors / repository.replace("/", "+")
    bare = bare / "repo" if (bare / "repo").is_dir() else bare
    if not bare.is_dir():
        raise DataError(f"Set {face_set.name}: there is no copy of {repository}.", "Bring a bare one.")
    held = _files_at(bare, f"{commit}:{folder}")
    told = face_set.teacher
    if told and told.exists():
        wanted = {name: held[name] for name in read_teacher(told)[0] if name in held}
    else:
        # Of equal files the first: equal files have one content.
        once = {content: name for name, content in reversed(held.items()) if _is_photo(name)}
        wanted = {name: content for content, name in once.items()}
    top = face_set.folder.resolve()
    written = 0
    for name, photo in zip(wanted, _contents(bare, wanted.values()), strict=True):
        target = top.joinpath(name).resolve()
        if photo is None or top not in target.parents:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if face_set.tight:
            _with_border(photo).save(target.with_suffix(".png"))
        else:
            target.write_bytes(photo)
        written += 1
    if not written:
        raise DataError(f"Set {face_set.name}: {repository} holds none of its photos at {commit}.", "Look at source.")
    return written


def _files_at(bare: Path, place: str) -> dict[str, str]:
    """Return the name that git gives the content of each file below ``commit:folder``; none where that is not there."""
    command = ["git", f"--git-dir={bare}", "ls-tree", "-rz", place]
    listed = subprocess.run(command, capture_output=True, check=False).stdout.decode()  # noqa: S603
    entries = (entry.split("\t", 1) for entry in listed.split("\0")[:-1])  # "mode kind content", path
    return {path: what.split()[2] for what, path in entries}


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def _with_border(photo: bytes) -> Image.Image:
    """Enlarge a photo that ends at the face, and go on with its edge, so that the face is found."""
    larger = Image.open(io.BytesIO(photo)).convert("RGB").resize((TIGHT_SIDE, TIGHT_SIDE), Image.Resampling.BICUBIC)
    border = (TIGHT_BORDER, TIGHT_BORDER)
    return Image.fromarray(np.pad(np.asarray(larger), (border, border, (0, 0)), "edge"))


def _contents(bare: Path, names: Iterable[str]) -> Iterator[bytes | None]:
    """Yield contents by their own names, None where the copy lacks one: git would look each path up anew."""
    asked = "".join(f"{name}\n" for name in names).encode()
    command = ["git", f"--git-dir={bare}", "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:  # noqa: S603
        asking, answers = git.stdin, git.stdout
        if asking is None or answers is None:
            raise OSError("git gave no pipes")
        # In a thread of its own: git would wait for its answers to be read before it takes all questions.
        threading.Thread(target=lambda: (asking.write(asked), asking.close()), daemon=True).start()
        while header := answers.readline().split():
            if header[-1] == b"missing":
                yield None
                continue
            yield answers.read(int(header[2]))
            answers.read(1)
