"""Personal models: weights trained on their owner's face, and what they do not know.

A personal model is a folder: ``model.h5`` and ``model.json`` as any weights, ``templates.npz``
with the embeddings of the owner's training photos, and a report. It was optimised to tell its
owner from everybody else, so of two photos that both do not show the owner it gives no score:
the answer is ``out_of_scope``.

Beside ``my_model``, training uses ``my_model.training``, ``.new`` and ``.old``. Folders of these
names may be somebody's own, so none is removed or replaced that training has not marked.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flaskapp.errors import DataError, WeightsError
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.runtime import EMBEDDING_SIZE, Runtime, VerdictCounts, WeightsInfo

__all__ = [
    "FILES",
    "Owner",
    "UnwritableError",
    "check_out",
    "foreign",
    "forget",
    "in_the_way",
    "install",
    "is_personal",
    "load_model",
    "named",
    "new_folder",
    "read_note",
    "remove",
    "stamp",
    "standing",
    "traces",
    "work_folder",
    "writing",
]

WEIGHTS, NOTE, TEMPLATES, REPORT, LOG = "model.h5", "model.json", "templates.npz", "report.html", "tensorboard"
FILES = (WEIGHTS, NOTE, TEMPLATES, REPORT, LOG)
RUN_NOTE, UNFINISHED_NOTE = "run.json", "run.part"
"""What a training's checkpoints belong to: its recipe, its base, its photos."""
UNFINISHED = frozenset({*FILES, "model.part.h5", "model.part.json"})
RUN_FILES = frozenset({RUN_NOTE, UNFINISHED_NOTE, "state.npz", "state.part", "log.csv", LOG})
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems leave where a folder was looked at: nobody's own."""
LAST_REMOVED = (TEMPLATES, NOTE, RUN_NOTE)
MOST_NAMED = 3

_TRAIN_AGAIN = "Train it again: facial-recognition train."
_NAME_A_MODEL = f"Name the folder that train wrote to (it holds {NOTE}), or weights (.h5)."


class UnwritableError(DataError):
    """The disk does not take a model, or what a training keeps beside it."""


@contextmanager
def writing(model: Path) -> Iterator[None]:
    """Say of which model the disk does not take what is written within: a full one names no file.

    Raises:
        UnwritableError: it does not.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads what is told has gone: that is no disk
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise UnwritableError(
            f"{named(model).name} cannot be written: {error.strerror or type(error).__name__}.",
            "Make room on its disk, and run the same again: it goes on where it was."
            if full
            else "Make its folder writable, or name another.",
        ) from None


@dataclass(frozen=True, eq=False)
class Owner:
    """Whom a personal model knows.

    Attributes:
        templates: float32 (N, 4096), embeddings of the owner's training photos.
        scope: nearness in [0, 1] from which a photo counts as the owner's.
    """

    templates: np.ndarray = field(repr=False)
    scope: float

    def __post_init__(self) -> None:
        if self.templates.ndim != 2 or self.templates.shape[1] != EMBEDDING_SIZE or not len(self.templates):
            raise ValueError(f"templates expects (N, {EMBEDDING_SIZE}). Received: {self.templates.shape}")
        if not 0 <= self.scope <= 1:
            raise ValueError(f"scope expects 0 to 1. Received: {self.scope}")

    def is_in(self, runtime: Runtime, embedding: np.ndarray) -> bool:
        """Say whether a photo's embedding (4096,) is near the owner's: the mean of all comparisons."""
        odds = [runtime.log_odds(template, embedding) for template in self.templates]
        return bool(sigmoid(np.mean(odds)) >= self.scope)


class OwnerCounts(VerdictCounts):
    """Of a personal model, whose impostor pairs are its owner with somebody else."""

    impostors, genuine = "its owner with somebody else", "its owner"


class ScopeCounts(OwnerCounts):
    """Of ``out_of_scope``, which is for pairs of two strangers."""

    impostors = "two strangers"


class PersonalInfo(WeightsInfo):
    """What belongs to a personal model's weights."""

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        """Return how often a verdict was given to whom; ``out_of_scope`` was counted on pairs of its own."""
        scope = self.details.get("figures", {}).get("scope")
        if verdict == "out_of_scope" and scope is not None:
            counts = (scope[name] for name in ("stranger_pairs", "strangers_out", "owner_pairs", "owner_out"))
            return ScopeCounts(*map(int, counts))
        return OwnerCounts(**vars(super().verdict_counts(verdict)))


def load_model(path: Path) -> tuple[Runtime, Owner | None]:
    """Load weights to compare with: a personal model's folder, or any ``.h5``.

    If a crash fell between the two renames of an installation, the previous model serves.

    Raises:
        WeightsError: they are missing, damaged, or do not belong together.
    """
    if path.suffix == ".h5" and not path.is_dir():
        if not path.exists():
            raise WeightsError(f"There are no weights {path.name}.", _NAME_A_MODEL)
        return Runtime(path), None
    folder = standing(named(path))
    _check_folder(folder)
    try:
        runtime = Runtime(folder / WEIGHTS)
    except WeightsError as error:
        raise WeightsError(error.message, _TRAIN_AGAIN) from None
    try:
        runtime.info = PersonalInfo(**vars(runtime.info))
        runtime.info.verdict_counts("out_of_scope")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{NOTE} is damaged ({type(error).__name__}).", _TRAIN_AGAIN) from None
    return runtime, _read_owner(folder / TEMPLATES, runtime.info.details["personal"])


def _check_folder(folder: Path) -> None:
    """Refuse what is no personal model, with the reason."""
    if not folder.exists():
        reason = "there is no such folder"
    elif not folder.is_dir():
        reason = "it is a file"
    elif not (folder / NOTE).exists():
        reason = f"it holds no {NOTE}"
    elif not is_personal(folder):
        reason = f"its {NOTE} is damaged or names no owner"
    else:
        return
    raise WeightsError(f"{folder.name} is no personal model: {reason}.", _NAME_A_MODEL)


def _read_owner(path: Path, note: dict[str, object]) -> Owner:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != note["templates_sha256"]:
            raise WeightsError(f"{path.name} does not belong to its weights or was changed.", _TRAIN_AGAIN)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Owner(arrays["templates"].astype(np.float32), float(str(note["scope"])))
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}.", _TRAIN_AGAIN) from None
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path.name} is damaged ({type(error).__name__}).", _TRAIN_AGAIN) from None


def named(model: Path) -> Path:
    """Return a path to the same folder that ends in the folder's name, which ``.`` and ``..`` do not.

    Raises:
        WeightsError: it has no name.
    """
    if model.name not in ("", ".."):
        return model
    name = model.resolve().name
    if not name:
        raise WeightsError("The root of all folders is no personal model.", _NAME_A_MODEL)
    return model / ".." / name


def _beside(model: Path, ending: str) -> Path:
    folder = named(model)
    return folder.with_name(f"{folder.name}.{ending}")


def work_folder(model: Path) -> Path:
    """Return where a training keeps its checkpoints until the model is finished."""
    return _beside(model, "training")


def new_folder(model: Path) -> Path:
    """Return where a finished model is put together before it takes its place."""
    return _beside(model, "new")


def _old_folder(model: Path) -> Path:
    return _beside(model, "old")


def _folders_beside(model: Path) -> list[Path]:
    return [_old_folder(model), new_folder(model), work_folder(model)]


def standing(model: Path) -> Path:
    """Return the folder that serves: the previous one if a crash fell between the renames."""
    old = _old_folder(model)
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
    """Say whether a folder beside a model is only what a training left there, and no other model named so."""
    return _is_ours(folder) and not foreign(folder) and read_note(folder / NOTE).get("name") != folder.name


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def in_the_way(model: Path) -> list[Path]:
    """Return what training would have to replace beside a model, although it is somebody's own."""
    beside = [path for path in _folders_beside(model) if os.path.lexists(path)]
    return [path for path in beside if not (_is_left_over(path) or _is_empty(path))]


def check_out(out: Path) -> None:
    """Refuse, before the work, to write where something else stands, or would have to go.

    Raises:
        DataError: the folder is no personal model, a link, or where this runs; or one of the
            names that training needs beside it is taken.
    """
    link, out = out.is_symlink(), named(out)
    if link:
        raise DataError(f"{out.name} is a link to another folder.", "Name the folder that it leads to.")
    if out.exists() and not is_personal(out) and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out.name} exists and is no personal model.", "Name a new folder, or that of an earlier model."
        )
    if is_personal(out) and (others := foreign(out)):
        raise DataError(
            f"{out.name} would be replaced, but holds {_listed(others)}, which training has not made.",
            "Move what is yours elsewhere, or name a new folder.",
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise DataError(
            f"{out.name} would be replaced, but this runs in it.", "Go to another folder first, or name a new one."
        )
    if taken := in_the_way(out):
        raise DataError(
            f"Training would replace {' and '.join(path.name for path in taken)}, which it has not made.",
            f"Move what is yours elsewhere, or name another folder than {out.name}.",
        )


def _listed(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:MOST_NAMED])
    return f"{names} and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else names


def remove(folder: Path) -> None:
    """Remove what training made of a folder: its marks last, so that what a kill leaves is known as ours.

    The folder goes too, unless it holds something else.
    """
    if not folder.is_dir():
        return
    others = set(foreign(folder))
    content = {path.name: path for path in folder.iterdir() if path not in others}
    marks = [content.pop(name) for name in LAST_REMOVED if name in content]
    for path in (*content.values(), *marks):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not others:
        folder.rmdir()


def install(model: Path) -> None:
    """Put the new folder in the model's place; at every moment one of both can be loaded."""
    old = _old_folder(model)
    if model.exists():
        remove(old)
        model.rename(old)
    new_folder(model).rename(model)
    for folder in (old, work_folder(model)):
        with contextlib.suppress(OSError):  # the model stands; the next training tries again
            remove(folder)


def traces(model: Path) -> list[Path]:
    """Return the folder and those beside it that trainings may have left, those that exist; the folder last."""
    beside = [folder for folder in _folders_beside(model) if _is_left_over(folder) or _is_empty(folder)]
    return [*beside, *([named(model)] if model.is_dir() else [])]


def forget(model: Path) -> list[Path]:
    """Remove every trace of a personal model's owner.

    That is the model, the one before it, one that was being put together, and a training's
    checkpoints and logs. Photos that it was trained on were never copied; they stay the owner's,
    and so does whatever else lies in the model's folder.

    Returns:
        What was removed, files first, each folder behind its files.

    Raises:
        WeightsError: there is no personal model and no trace of one, or it is only a link to one.
    """
    if model.is_symlink():
        raise WeightsError(
            f"{model.name} is a link to another folder, so nothing was removed.", "Name the folder that it leads to."
        )
    place = named(model)
    known = [folder for folder in traces(model) if folder != place or _is_ours(folder)]
    something_else = place not in known and place.exists() and not _is_empty(place)
    if something_else or not any(map(_is_ours, known)):
        raise WeightsError(
            f"{place.name} is no personal model, so nothing was removed.", "Name the folder that train wrote to."
        )
    removed = []
    for folder in known:
        others = foreign(folder)
        inside = [path for path in folder.rglob("*") if not any(path.is_relative_to(other) for other in others)]
        removed += sorted(path for path in inside if not path.is_dir())
        removed += sorted((path for path in inside if path.is_dir()), reverse=True)
        removed += [] if others else [folder]
        remove(folder)
    return removed
