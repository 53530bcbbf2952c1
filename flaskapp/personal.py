"""Personal models: weights trained on their owner's face, and what they do not know.

A personal model is a folder: ``model.h5`` and ``model.json`` as any weights, ``templates.npz``
with the embeddings of the owner's training photos, and a report. It was optimised to tell its
owner from everybody else, so of two photos that both do not show the owner it gives no score:
the answer is ``out_of_scope``.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.runtime import EMBEDDING_SIZE, Runtime

__all__ = ["FILES", "Owner", "forget", "install", "is_personal", "load_model", "new_folder", "traces", "work_folder"]

WEIGHTS, NOTE, TEMPLATES, REPORT, LOG = "model.h5", "model.json", "templates.npz", "report.html", "tensorboard"
FILES = (WEIGHTS, NOTE, TEMPLATES, REPORT, LOG)
_TRAIN_AGAIN = "Train it again: facial-recognition train."


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
        return bool(1 / (1 + np.exp(-np.clip(np.mean(odds), -500, 500))) >= self.scope)


def load_model(path: Path) -> tuple[Runtime, Owner | None]:
    """Load weights to compare with: a personal model's folder, or any ``.h5``.

    If a crash fell between the two renames of an installation, the previous model serves.

    Raises:
        WeightsError: they are missing, damaged, or do not belong together.
    """
    if path.suffix == ".h5":
        return Runtime(path), None
    folder = _standing(path)
    runtime = Runtime(folder / WEIGHTS)
    note = runtime.info.details.get("personal")
    if note is None:
        raise WeightsError(f"{path.name} is no personal model: its {NOTE} names no owner.", _TRAIN_AGAIN)
    return runtime, _read_owner(folder / TEMPLATES, note)


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


def work_folder(model: Path) -> Path:
    """Return where a training keeps its checkpoints until the model is finished."""
    return model.with_name(f"{model.name}.training")


def new_folder(model: Path) -> Path:
    """Return where a finished model is put together before it takes its place."""
    return model.with_name(f"{model.name}.new")


def _old_folder(model: Path) -> Path:
    return model.with_name(f"{model.name}.old")


def _standing(model: Path) -> Path:
    """Return the folder that serves: the previous one if a crash fell between the renames."""
    old = _old_folder(model)
    return old if not model.exists() and old.exists() else model


def is_personal(folder: Path) -> bool:
    """Say whether a folder is a personal model, by its note."""
    try:
        return "personal" in json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def install(model: Path) -> None:
    """Put the new folder in the model's place; at every moment one of both can be loaded."""
    old = _old_folder(model)
    if model.exists():
        shutil.rmtree(old, ignore_errors=True)
        model.rename(old)
    new_folder(model).rename(model)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(work_folder(model), ignore_errors=True)


def traces(model: Path) -> list[Path]:
    """Return the folders that a personal model and its trainings may have left, those that exist."""
    folders = [model, _old_folder(model), new_folder(model), work_folder(model)]
    return [folder for folder in folders if folder.is_dir()]


def forget(model: Path) -> list[Path]:
    """Remove every trace of a personal model's owner.

    That is the model, the one before it, one that was being put together, and a training's
    checkpoints and logs. Photos that it was trained on were never copied; they stay the owner's.

    Returns:
        What was removed, files first, each folder behind its files.

    Raises:
        WeightsError: there is no personal model and no trace of one.
    """
    known = [folder for folder in traces(model) if folder != model or is_personal(folder) or not any(folder.iterdir())]
    if not known or (model.is_dir() and model not in known):
        raise WeightsError(
            f"{model.name} is no personal model, so nothing was removed.", "Name the folder that train wrote to."
        )
    removed = []
    for folder in known:
        removed += sorted(path for path in folder.rglob("*") if not path.is_dir())
        removed += sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
        removed.append(folder)
        shutil.rmtree(folder)
    return removed
