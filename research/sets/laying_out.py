"""Photos out of bare git repositories, as files where a sets file expects them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from flaskapp.errors import DataError
from research.sets.file import FaceSet, read_sets
from research.sets.table import read_teacher

__all__ = ["lay_out_sets"]


def lay_out_sets(sets_file: Path, mirrors: Path) -> Iterator[tuple[str, int]]:
    """Write the photos that the teacher's files name; yield each set that has a source, and its number of photos.

    Args:
        sets_file: its sets' ``source`` is ``owner/name@commit``, or with ``:folder`` where paths start from there.
        mirrors: bare repositories, ``owner+name/repo`` or ``owner+name``.

    Raises:
        DataError: a repository or a photo is not there.
    """
    for face_set in read_sets(sets_file)[0]:
        if face_set.source and face_set.teacher:
            yield face_set.name, _lay_out(face_set, read_teacher(face_set.teacher)[0], mirrors)


def _lay_out(face_set: FaceSet, names: Sequence[str], mirrors: Path) -> int:
    repository, _, rest = face_set.source.partition("@")
    commit, _, folder = rest.partition(":")
    bare = mirrors / repository.replace("/", "+")
    bare = bare / "repo" if (bare / "repo").is_dir() else bare
    if not bare.is_dir():
        raise DataError(f"Set {face_set.name}: there is no copy of {repository}.", "Bring a bare one.")
    top = face_set.folder.resolve()
    written = 0
    for name, photo in _blobs(bare, commit, folder, names):
        target = top.joinpath(name).resolve()
        if photo is None or top not in target.parents:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(photo)
        written += 1
    if not written:
        raise DataError(f"Set {face_set.name}: {repository} holds none of its photos at {commit}.", "Look at source.")
    return written


def _blobs(bare: Path, commit: str, folder: str, names: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield each file's content by ``git cat-file --batch``, None where the copy lacks it."""
    asked = "".join(f"{commit}:{folder}/{name}\n" if folder else f"{commit}:{name}\n" for name in names).encode()
    command = ["git", f"--git-dir={bare}", "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:  # noqa: S603
        asking, answers = git.stdin, git.stdout
        if asking is None or answers is None:
            raise OSError("git gave no pipes")
        # In a thread of its own: git would wait for its answers to be read before it takes all questions.
        threading.Thread(target=lambda: (asking.write(asked), asking.close()), daemon=True).start()
        for name in names:
            header = answers.readline().split()
            if header[-1:] == [b"missing"] or len(header) != 3:
                yield name, None
                continue
            yield name, answers.read(int(header[2]))
            answers.read(1)
