"""Whom a personal model knows, and how one is loaded.

It was optimised to tell its owner from everybody else. A photo is held against all that it knows of its owner,
as against several references. Of two photos that both do not show the owner it gives no score: the answer
is ``out_of_scope``.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.personal.folder import NAME_A_MODEL, NOTE, TEMPLATES, WEIGHTS, is_personal, named, standing
from flaskapp.quality import Grade
from flaskapp.weights.info import MOST_REFERENCES, VerdictCounts, WeightsInfo, told_counts
from flaskapp.weights.runtime import Runtime
from flaskapp.weights.shape import EMBEDDING_SIZE

TRAIN_AGAIN = "Train it again: facial-recognition train."
OWNER = "its owner"


@dataclass(frozen=True, eq=False)
class Owner:
    """Whom a personal model knows."""

    templates: np.ndarray = field(repr=False)  # float32 (N, 4096), embeddings of the owner's photos, 1 to 20
    # "genuine" (photos of the owner) and "impostor" (of strangers) → verdict → how many got it in testing.
    counts: Mapping[str, Mapping[str, int]]

    def __post_init__(self) -> None:
        if self.templates.ndim != 2 or self.templates.shape[1] != EMBEDDING_SIZE:
            raise ValueError(f"templates expects (N, {EMBEDDING_SIZE}). Received: {self.templates.shape}")
        if not 1 <= len(self.templates) <= MOST_REFERENCES:
            raise ValueError(f"Expected 1 to {MOST_REFERENCES} templates. Received: {len(self.templates)}")
        if not np.isfinite(self.templates).all():
            raise ValueError("templates expects finite numbers.")

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        """Return how often a verdict was given to new photos of the owner, and to strangers'."""
        return VerdictCounts(*told_counts(self.counts, verdict), genuine=OWNER, unit="photos")


class PersonalInfo(WeightsInfo):
    """What belongs to a personal model's weights."""

    def verdict_counts(self, verdict: str, grades: tuple[Grade, Grade] | None = None) -> VerdictCounts:  # noqa: ARG002 - too few pairs
        """Return how often a verdict was given to whom; ``out_of_scope`` was counted on pairs of its own."""
        scope = self.details.get("figures", {}).get("scope")
        if verdict == "out_of_scope" and scope is not None:
            names = ("stranger_pairs", "strangers_out", "owner_pairs", "owner_out")
            pairs, out, owner_pairs, owner_out = (int(scope[name]) for name in names)
            return VerdictCounts(pairs, out, owner_pairs, owner_out, impostors="two strangers", genuine=OWNER)
        return replace(super().verdict_counts(verdict), impostors="its owner and somebody else", genuine=OWNER)


def load_model(path: Path) -> tuple[Runtime, Owner | None]:
    """Load weights to compare with: a personal model's folder, or any ``.h5``.

    If a crash fell between the two renames of an installation, the previous model serves.

    Raises:
        WeightsError: they are missing, damaged, or do not belong together.
    """
    if path.suffix == ".h5" and not path.is_dir():
        if not path.exists():
            raise WeightsError(f"There are no weights {path.name}.", NAME_A_MODEL)
        runtime = Runtime(path)
        if "personal" in runtime.info.details:  # alone it knows no owner, and its counts would be told as strangers'
            raise WeightsError(f"{path.name} belongs to a personal model.", "Name the folder that it lies in.")
        return runtime, None
    folder = standing(named(path))
    if not is_personal(folder):
        hint = TRAIN_AGAIN if (folder / TEMPLATES).exists() else NAME_A_MODEL
        raise WeightsError(f"{folder.name} is not a personal model: {_why_not(folder)}.", hint)
    try:
        runtime = Runtime(folder / WEIGHTS)
    except WeightsError as error:
        raise WeightsError(error.message, TRAIN_AGAIN) from None
    try:
        runtime.info = PersonalInfo(**vars(runtime.info))
        runtime.info.verdict_counts("out_of_scope")
        note = runtime.info.details["personal"]
        digest, counts = str(note["templates_sha256"]), note["counts"]
        for verdict in DECISIONS:
            told_counts(counts, verdict)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{NOTE} is damaged ({type(error).__name__}).", TRAIN_AGAIN) from None
    return runtime, _read_owner(folder / TEMPLATES, digest, counts)


def _why_not(folder: Path) -> str:
    if not folder.is_dir():
        return "it is a file" if folder.exists() else "there is no such folder"
    if (folder / NOTE).exists():
        return f"its {NOTE} is damaged or names no owner"
    return f"it contains no {NOTE}"


def _read_owner(path: Path, digest: str, counts: Mapping[str, Mapping[str, int]]) -> Owner:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise WeightsError(f"{path.name} does not belong to its weights or was changed.", TRAIN_AGAIN)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Owner(arrays["templates"].astype(np.float32), counts)
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}.", TRAIN_AGAIN) from None
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path.name} is damaged ({type(error).__name__}).", TRAIN_AGAIN) from None
