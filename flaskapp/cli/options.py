"""Kinds of arguments that the commands share: photos to read, files and folders to write."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from flaskapp.errors import MissingExtraError, how_to_install

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")  # flaskapp.plots knows no others


def shown(path: Path) -> str:
    """Return a path as it can be printed: no control characters, no undecodable bytes."""
    name = click.format_filename(path)
    return "".join(letter if letter.isprintable() else "�" for letter in name)


def photo_count(number: int) -> str:
    """Return so many photos in words.

    >>> photo_count(1), photo_count(1200)
    ('1 photo', '1,200 photos')
    """
    return f"{number:,} photo{'s' * (number != 1)}"


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
            if _identity(one) == _identity(other):
                raise click.UsageError(f"{shown(other)} would be written twice. Name two files.")
        return super().invoke(ctx)


def is_output(param: click.Parameter) -> bool:
    """Say whether a parameter names a file or folder to write."""
    return isinstance(param.type, Output)


def refuse_overwriting(written: Iterable[Path], read: Iterable[Path]) -> None:
    """End, before anything is written, where a file to write is one that is read, by whatever name or link."""
    there = {_identity(path): path for path in written if os.path.isfile(path)}  # noqa: PTH113 - Path raises at long names
    if not there:
        return
    from flaskapp.weights.info import default_weights_path

    files = [*read, default_weights_path()]
    files += [file.with_suffix(".json") for file in files if file.suffix == ".h5"]
    for identity in map(_identity, files):
        if identity in there:
            path = shown(there[identity])
            raise click.UsageError(f"{path} is an input and would be overwritten. Name another file to write.")


def _identity(path: Path) -> tuple[int, int] | Path:
    """Return what tells files apart: hard links and other spellings of a name have one."""
    if os.path.isfile(path):  # noqa: PTH113
        status = path.stat()
        return status.st_dev, status.st_ino
    return Path(os.path.realpath(path))  # also of a link to itself


class NamedPath(click.Path):
    """A path that is not empty: an unset variable of the shell would else name the folder one stands in."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or end with what is wrong with it."""
        if not os.fspath(value):
            self.fail("The path is empty.", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


class Output(NamedPath):
    """A file or folder to write: whether that can work is found out before the work starts.

    The suffixes say how the file's name may end, if any are given; what is drawn takes an extra of the package.
    """

    def __init__(self, *suffixes: str, drawn: bool = False, **settings: Any) -> None:
        super().__init__(writable=True, **settings)
        self.suffixes, self.drawn = suffixes, drawn

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or end with what is wrong with it, or what to install."""
        path = super().convert(value, param, ctx)
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            endings = " or ".join(", ".join(self.suffixes).rsplit(", ", 1))
            self.fail(f"{shown(path)} must end in {endings}.", param, ctx)
        self._check_place(path, param, ctx)
        if self.drawn and importlib.util.find_spec("matplotlib") is None:
            raise MissingExtraError(
                "Pictures need matplotlib, which is not installed.", f"Run {how_to_install('plots')}."
            )
        # Where it may not write at home it would tell at length where it keeps its cache.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        return path

    def _check_place(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """End where the path cannot be written: a new folder beside it, or in it, must be allowed."""
        if self.file_okay and path.exists() and not path.is_file():
            return  # a pipe or a device
        real = Path(os.path.realpath(path))
        folder = real.parent if self.file_okay else next(filter(os.path.lexists, (path, *path.parents)), Path())
        if real.is_symlink():
            self.fail(f"{shown(path)} cannot be written: it is a link to itself.", param, ctx)
        if not folder.is_dir():
            self.fail(f"{shown(path)} cannot be written: there is no folder {shown(folder)}.", param, ctx)
        try:
            allowed = os.access(folder, os.W_OK)
            if allowed:  # /proc and others allow it in name only
                import tempfile

                tempfile.TemporaryDirectory(dir=folder).cleanup()
        except OSError:
            allowed = False
        if not allowed:
            self.fail(f"{shown(path)} cannot be written: {shown(folder)} allows no writing.", param, ctx)


def finite(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Return an option's number or numbers, or end: nan passes every comparison, and inf means nothing here."""
    for number in value if isinstance(value, tuple) else (value,):
        if number is not None and not math.isfinite(number):
            raise click.BadParameter(f"{number} is not a finite number.", ctx, param)
    return value


FILE = NamedPath(exists=True, dir_okay=False)
PATH = NamedPath(exists=True)
FOLDER = NamedPath(exists=True, file_okay=False)
ANY_PATH = NamedPath()  # whether it is there, its reader says better
OUTPUT_FILE = Output(dir_okay=False)
OUTPUT_FOLDER = Output(file_okay=False)
FIGURE = Output(*FIGURE_SUFFIXES, drawn=True, dir_okay=False)
FIGURES = Output(drawn=True, file_okay=False)
PAGE = Output(".html", ".htm", drawn=True, dir_okay=False)
