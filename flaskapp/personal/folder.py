"""The folder of a personal model: how it takes its place, and how it is forgotten.

It holds ``model.h5`` and ``model.json`` as any weights, ``templates.npz`` with the embeddings of the
owner's photos, and a report.

Beside ``my_model``, training uses ``my_model.training``, ``.new`` and ``.old``. Folders of these
names may be somebody's own, so none is removed or replaced that training has not marked.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flaskapp.errors import DataError, WeightsError
from flaskapp.parallel import replacing

WEIGHTS, NOTE, TEMPLATES, REPORT = "model.h5", "model.json", "templates.npz", "report.html"
TENSORBOARD = "tensorboard"
# What a training's checkpoints belong to (its recipe, its base, its photos), and they themselves.
RUN_NOTE, UNFINISHED_NOTE = "run.json", "run.part"
BACKUP, BEST, LOG = "backup", "best.weights.h5", "log.json"
UNFINISHED = frozenset({WEIGHTS, NOTE, TEMPLATES, REPORT, TENSORBOARD, "model.part.h5", "model.part.json"})
RUN_FILES = frozenset({RUN_NOTE, UNFINISHED_NOTE, BACKUP, BEST, "best.part.weights.h5", LOG, "log.part", TENSORBOARD})
RUN_FILES |= {"log.csv"}  # of earlier versions
# What systems leave where a folder was looked at: nobody's own.
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
ENDINGS = ("old", "new", "training")
LAST_REMOVED = {TEMPLATES: 1, NOTE: 2, RUN_NOTE: 3}
MOST_NAMED = 3

MAKE_ROOM = "Start the server in a folder with room and a right to write."
NAME_A_MODEL = f"Name the folder that train wrote (with {NOTE} in it), or weights (.h5)."


class UnwritableError(DataError, code="unwritable", title="The model cannot be written", status=507):
    """The disk does not take a model, or what a training keeps beside it."""


@contextlib.contextmanager
def writing(model: Path) -> Iterator[None]:
    """Raise an UnwritableError that names the model where the disk does not take what is written within."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads what is told has gone: that is no disk
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise UnwritableError(
            f"{named(model).name} cannot be written: {error.strerror or type(error).__name__}.",
            "Free some space on the disk and run the same command again: it carries on where it stopped."
            if full
            else "Make its folder writable, or name another.",
        ) from None


def named(model: Path) -> Path:
    """Return a path to the same folder that ends in the folder's name, which ``.`` and ``..`` do not.

    Raises:
        WeightsError: it has no name.
    """
    if model.name not in ("", ".."):
        return model
    name = model.resolve().name
    if not name:
        raise WeightsError("The root folder is not a personal model.", NAME_A_MODEL)
    return model / ".." / name


def _beside(model: Path, ending: str) -> Path:
    return named(model).with_name(f"{named(model).name}.{ending}")


def work_folder(model: Path) -> Path:
    """Return where a training keeps its checkpoints until the model is finished."""
    return _beside(model, "training")


def new_folder(model: Path) -> Path:
    """Return where a finished model is put together before it takes its place."""
    return _beside(model, "new")


def standing(model: Path) -> Path:
    """Return the folder that serves: the previous one if a crash fell between the renames."""
    old = _beside(model, "old")
    return old if not model.exists() and is_personal(old) else model


def stamp(model: Path) -> tuple[int, ...] | None:
    """Return what a model is told by from any that takes its place, without reading it; None if there is none."""
    try:
        status = (standing(model) / NOTE).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def read_note(path: Path) -> dict[str, object]:
    """Return a note's content; empty if there is none or it is no note."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def is_personal(folder: Path) -> bool:
    """Say whether a folder is a personal model, by its note."""
    return "personal" in read_note(folder / NOTE)


def _is_ours(folder: Path) -> bool:
    """Say whether training made a folder: a model, whole or unfinished, or a run's checkpoints."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    if is_personal(folder) or {"base", "photos"} <= read_note(folder / RUN_NOTE).keys():
        return True
    names = {path.name for path in folder.iterdir()}
    if names == {UNFINISHED_NOTE}:  # a kill came before the first note was whole
        return True
    return (TEMPLATES in names and names <= UNFINISHED) or (RUN_NOTE in names and names <= RUN_FILES)


def foreign(folder: Path) -> list[Path]:
    """Return what lies in a folder of ours and is not of a training's making; empty if it is no folder."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in inside if path.name not in UNFINISHED | RUN_FILES | LITTER]


def _is_left_over(folder: Path) -> bool:
    """Say whether a folder beside a model is empty, or only what a training left there and no model named so."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    another = read_note(folder / NOTE).get("name") == folder.name
    return not any(folder.iterdir()) or (_is_ours(folder) and not foreign(folder) and not another)


def in_the_way(model: Path) -> list[Path]:
    """Return what training would have to replace beside a model, although it is somebody's own."""
    beside = (_beside(model, ending) for ending in ENDINGS)
    return [path for path in beside if os.path.lexists(path) and not _is_left_over(path)]


def check_out(out: Path) -> None:
    """Refuse, before the work, to write where something else stands, or would have to go.

    Raises:
        DataError: the folder is no personal model, a link, or where this runs; or one of the
            names that training needs beside it is taken.
    """
    if out.is_symlink():
        raise DataError(f"{named(out).name} is a link to another folder.", "Name the folder that it leads to.")
    out = named(out)
    ours = is_personal(out) or (_is_ours(out) and (out / TEMPLATES).exists())  # the latter if its note is damaged
    if out.exists() and not ours and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out.name} exists and is not a personal model.", "Name a new folder, or that of an earlier model."
        )
    if ours and (others := foreign(out)):
        names = ", ".join(path.name for path in others[:MOST_NAMED])
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        raise DataError(
            f"{out.name} would be replaced, but it contains {names}{more}, which training did not make.",
            "Move your own files elsewhere, or name a new folder.",
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise DataError(
            f"{out.name} would be replaced, but you are running this inside it.",
            "Go to another folder first, or name a new one.",
        )
    if taken := in_the_way(out):
        raise DataError(
            f"Training would replace {' and '.join(path.name for path in taken)}, which it did not make.",
            f"Move your own files elsewhere, or name a folder other than {out.name}.",
        )


@contextlib.contextmanager
def claimed(work: Path, description: dict[str, Any]) -> Iterator[bool]:
    """Make a work folder this run's own; give whether an earlier, stopped run of the same kind left it.

    What another run left there, of other photos or settings, is removed. No other training gets in meanwhile, on
    systems that can lock a folder.

    Raises:
        DataError: another training is at work there.
    """
    work.mkdir(parents=True, exist_ok=True)
    with _locked(work):
        known = (work / LOG).exists() and read_note(work / RUN_NOTE) == description
        if not known:
            _empty(work)
            with replacing(work / RUN_NOTE) as part:
                part.write_text(json.dumps(description), encoding="utf-8")
        yield known


@contextlib.contextmanager
def _locked(work: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"Another training is writing {work.stem}.", "Wait until it is done, or name another folder."
            ) from None
        yield
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove what training made of a folder: its marks last, so that what a kill leaves is known as ours.

    The folder goes too, unless it holds something else.
    """
    if folder.is_dir() and not _empty(folder):
        folder.rmdir()


def _empty(folder: Path) -> list[Path]:
    """Remove what training made within a folder; return what else lies there."""
    others = foreign(folder)
    for path in sorted(set(folder.iterdir()) - set(others), key=lambda path: LAST_REMOVED.get(path.name, 0)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return others


def install(model: Path) -> None:
    """Put the new folder in the model's place; at every moment one of both can be loaded."""
    old = _beside(model, "old")
    if model.exists():
        remove(old)
        model.rename(old)
    new_folder(model).rename(model)
    for folder in (old, work_folder(model)):
        with contextlib.suppress(OSError):  # the model stands; the next training tries again
            remove(folder)


def traces(model: Path) -> list[Path]:
    """Return the folder and those beside it that trainings may have left, those that exist; the folder last."""
    beside = [_beside(model, ending) for ending in ENDINGS]
    return [path for path in beside if _is_left_over(path)] + ([named(model)] if model.is_dir() else [])


def forget(model: Path) -> list[Path]:
    """Remove every trace of a personal model's owner.

    That is the model, the one before it, one that was being put together, and a training's
    checkpoints and logs; all that was removed is returned, each folder behind its files. Photos that
    it was trained on were never copied; they and whatever else lies in its folder stay the owner's.

    Raises:
        WeightsError: there is no personal model and no trace of one, it is only a link to one, or the disk does not
            let something go; what went all the same is named.
    """
    if model.is_symlink():
        raise WeightsError(
            f"{model.name} is a link to another folder, so nothing was removed.", "Name the folder that it leads to."
        )
    place = named(model)
    known = [folder for folder in traces(model) if folder != place or _is_ours(folder)]
    something_else = place not in known and place.exists() and (not place.is_dir() or any(place.iterdir()))
    if something_else or not any(map(_is_ours, known)):
        raise WeightsError(
            f"{place.name} is not a personal model, so nothing was removed.", "Name the folder that train wrote."
        )
    removed = []
    for folder in known:
        others = foreign(folder)
        inside = [path for path in folder.rglob("*") if not any(path.is_relative_to(other) for other in others)]
        removed += sorted(path for path in inside if not path.is_dir())
        removed += sorted((path for path in inside if path.is_dir()), reverse=True)
        removed += [] if others else [folder]
        try:
            remove(folder)
        except OSError as error:
            gone = [path.name for path in removed if not os.path.lexists(path)]
            raise WeightsError(
                f"{folder.name} could not be removed: {error.strerror}. Gone: {', '.join(gone) or 'nothing'}.",
                f"Make {folder.name} and the folder around it writable, then remove what is left.",
            ) from None
    return removed
