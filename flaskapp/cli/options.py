"""Kinds of arguments that the commands share: photos to read, files and folders to write."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import math
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from flaskapp.errors import MissingExtraError

EXISTING = click.Path(path_type=Path)  # whether it is there, its reader says better
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FIGURE_SUFFIXES = (".png", ".svg", ".pdf")  # flaskapp.plots knows no others


def shown(path: Path) -> str:
    """Return a path as it can be printed: no control characters, no undecodable bytes."""
    name = click.format_filename(path)
    return "".join(letter if letter.isprintable() else "�" for letter in name)


class ReadingCommand(click.Command):
    """A command that refuses to write over a file that it reads, or to write one file twice."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run, or end with which output is one of the inputs or of the other outputs."""
        read: list[Path] = []
        written: list[Path] = []
        for param in self.params:
            value = ctx.params.get(param.name or "")
            paths = [path for path in (value if isinstance(value, tuple) else (value,)) if isinstance(path, Path)]
            (written if is_output(param) else read).extend(paths)
        refuse_overwriting(written, read)
        for one, other in itertools.combinations(written, 2):
            if one.resolve() == other.resolve() or not _identities([one]).isdisjoint(_identities([other])):
                raise click.UsageError(f"{shown(other)} would be written twice. Name two files.")
        return super().invoke(ctx)


def is_output(param: click.Parameter) -> bool:
    """Say whether a parameter names a file or folder to write."""
    return isinstance(param.type, _Output)


def refuse_overwriting(written: Iterable[Path], read: Iterable[Path]) -> None:
    """End, before anything is written, where a file to write is one that is read, by whatever name or link."""
    there = {identity: path for path in written for identity in _identities([path])}
    if not there:
        return
    files = [*read, *_shipped_weights()]
    notes = [file.with_suffix(".json") for file in files if file.suffix == ".h5"]
    if doomed := there.keys() & _identities([*files, *notes]):
        path = there[min(doomed)]
        raise click.UsageError(f"{shown(path)} is an input and would be overwritten. Name another file to write.")


def _shipped_weights() -> list[Path]:
    from flaskapp.weights.info import default_weights_path

    return [default_weights_path()]


def _identities(paths: Iterable[Path]) -> set[tuple[int, int]]:
    """Return what the system tells files apart by: hard links and other spellings of a name have one."""
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found.add((status.st_dev, status.st_ino))
    return found


class _Output(click.Path):
    """A file or folder to write: whether that can work is found out before the work starts.

    Args:
        suffixes: how the file's name may end; anyhow if none are given.
        **settings: of ``click.Path``.
    """

    def __init__(self, *suffixes: str, **settings: Any) -> None:
        super().__init__(writable=True, path_type=Path, **settings)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or end with what is wrong with it."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            self.fail(f"{shown(path)} must end in {', '.join(self.suffixes)}.", param, ctx)
        folder = path.parent if self.file_okay else next(filter(Path.exists, (path, *path.parents)), Path())
        if not folder.is_dir():
            self.fail(f"{shown(path)} cannot be written: there is no folder {shown(folder)}.", param, ctx)
        if not _allows_writing(folder, for_folder=not self.file_okay):
            self.fail(f"{shown(path)} cannot be written: {shown(folder)} allows no writing.", param, ctx)
        return path


class _Drawing(_Output):
    """A file or folder for pictures, which take an extra of the package."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or end with what to install."""
        path = super().convert(value, param, ctx)
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingExtraError(
                "Pictures need matplotlib, which is not installed.",
                'Try, in the folder of this program: pip install -e ".[plots]"',
            )
        return path


def _allows_writing(folder: Path, *, for_folder: bool) -> bool:
    """Say whether something can be made in a folder; of a folder by trying, since /proc and others allow it in name."""
    if not os.access(folder, os.W_OK):
        return False
    try:
        if for_folder:
            tempfile.TemporaryDirectory(dir=folder).cleanup()
    except OSError:
        return False
    return True


def _finite(
    number: float, kind: click.types.FloatParamType, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    """Return a number, or end: nan passes every comparison with a limit, and inf means nothing here."""
    if not math.isfinite(number):
        kind.fail(f"{number} is not a finite number.", param, ctx)
    return number


class FiniteRange(click.FloatRange):
    """A finite number within limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or end with what is wrong with it."""
        return _finite(super().convert(value, param, ctx), self, param, ctx)


class _FiniteFloat(click.types.FloatParamType):
    """A finite number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or end with what is wrong with it."""
        return _finite(super().convert(value, param, ctx), self, param, ctx)


FINITE = _FiniteFloat()
OUTPUT_FILE = _Output(dir_okay=False)
OUTPUT_FOLDER = _Output(file_okay=False)
FIGURE = _Drawing(*FIGURE_SUFFIXES, dir_okay=False)
FIGURES = _Drawing(file_okay=False)
WEIGHTS = _Output(".h5", dir_okay=False)
PAGE = _Drawing(".html", ".htm", dir_okay=False)
