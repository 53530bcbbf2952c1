"""Sets of training photos: what they hold, who may be learned from, and their aligned faces.

A *sets file* (TOML) names folders of photos and, where they are at hand, a teacher's
embeddings with landmarks. ``read_sets`` gives the plan, ``load_faces`` the faces::

    [[set]]
    name = "celeba_test"
    folder = "celeba_test"              # relative to the sets file
    teacher = "teacher/celeba_test.npz" # paths, landmarks, embedding, ok
    identities = "identity_CelebA.txt"  # photo -> person; else "folder" or nothing
    roles = "celeba"                    # who trains, who validates

    [[exclude]]
    name = "lfw"
    teacher = "lfw.npz"                 # people to keep out of every training set
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.errors import DataError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})
TRAINING, VALIDATION, CALIBRATION, REPORTING, LEFT_OUT = range(5)
ROLE_NAMES = ("training", "validation", "calibration", "reporting", "left out")
UNKNOWN_PERSON = -1
# The teacher's cosine from which two photos count as one photo seen twice, and from which
# they count as one person: on LFW 2 of 1,000,000 impostor pairs lie above 0.5.
SAME_PHOTO_COSINE = 0.9
SAME_PERSON_COSINE = 0.5


@dataclass(frozen=True)
class FaceSet:
    """One folder of photos as the sets file describes it."""

    name: str
    folder: Path
    teacher: Path | None = None
    identities: Path | str | None = None
    roles: str = "training"
    role_of_folder: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.roles not in ("celeba", "hashed", *ROLE_NAMES[:4]):
            raise DataError(f"Set {self.name}: roles expects celeba, hashed or a role. Received: {self.roles!r}")
        unknown = set(self.role_of_folder.values()) - set(ROLE_NAMES)
        if unknown:
            raise DataError(f"Set {self.name}: role_of_folder knows {ROLE_NAMES}. Received: {sorted(unknown)}")


@dataclass(frozen=True)
class FaceTable:
    """All photos of all sets, one row each; arrays of one length N.

    Attributes:
        paths: where each photo lies.
        set_index: int (N,), position in ``set_names``.
        person: int (N,), one number per person over all sets, −1 where unknown.
        role: int (N,), TRAINING … LEFT_OUT.
        landmarks: float32 (N, 5, 2) in the photo's pixels; NaN where they must be detected.
        teacher: float32 (N, 128) of unit length; NaN where there is none.
    """

    set_names: tuple[str, ...]
    paths: tuple[Path, ...]
    set_index: np.ndarray
    person: np.ndarray
    role: np.ndarray
    landmarks: np.ndarray
    teacher: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count photos by set and role."""
        return {
            name: {
                role: int(np.sum((self.set_index == index) & (self.role == number)))
                for number, role in enumerate(ROLE_NAMES)
            }
            for index, name in enumerate(self.set_names)
        }


def read_sets(path: Path) -> tuple[list[FaceSet], list[Path]]:
    """Read a sets file.

    Returns:
        The sets, and the teacher files of everybody who must never be trained on.

    Raises:
        DataError: the file is absent, not TOML, or describes a set wrongly.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no sets file {path.name}.", hint="Give the path of a TOML file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a readable TOML file: {error}") from None
    sets = [_face_set(entry, path.parent) for entry in content.get("set", [])]
    if not sets:
        raise DataError(f"{path.name} names no [[set]].", hint="Describe at least one folder of photos.")
    return sets, [path.parent / entry["teacher"] for entry in content.get("exclude", [])]


def _face_set(entry: dict[str, Any], base: Path) -> FaceSet:
    known = {"name", "folder", "teacher", "identities", "roles", "role_of_folder", "drop"}
    if not {"name", "folder"} <= entry.keys() or entry.keys() - known:
        raise DataError(f"A [[set]] expects name, folder and any of {sorted(known)}. Received: {sorted(entry)}")
    identities = entry.get("identities")
    if identities not in (None, "folder"):
        identities = base / identities
    return FaceSet(
        name=entry["name"],
        folder=base / entry["folder"],
        teacher=base / entry["teacher"] if "teacher" in entry else None,
        identities=identities,
        roles=entry.get("roles", "training"),
        role_of_folder=entry.get("role_of_folder", {}),
        drop=tuple(entry.get("drop", ())),
    )


def load_faces(sets: list[FaceSet], exclude: list[Path] | None = None) -> FaceTable:
    """List every photo of the sets with its person, role, landmarks and teacher embedding.

    Training photos that show a person of ``exclude``, or repeat a photo of a validation,
    calibration or reporting person, get the role LEFT_OUT.

    Raises:
        DataError: a folder, teacher file or identity file is absent or does not fit.
    """
    numbers: dict[str, int] = {}
    parts = [_load_set(face_set, numbers) for face_set in sets]
    table = FaceTable(
        set_names=tuple(face_set.name for face_set in sets),
        paths=tuple(path for part in parts for path in part[0]),
        set_index=np.repeat(np.arange(len(sets)), [len(part[0]) for part in parts]),
        person=np.concatenate([part[1] for part in parts]),
        role=np.concatenate([part[2] for part in parts]),
        landmarks=np.concatenate([part[3] for part in parts]),
        teacher=np.concatenate([part[4] for part in parts]),
    )
    leave_out_overlaps(table, [_unit(_read_teacher(path)["embedding"]) for path in exclude or []])
    return table


def _load_set(face_set: FaceSet, numbers: dict[str, int]) -> tuple[list[Path], np.ndarray, ...]:
    if not face_set.folder.is_dir():
        raise DataError(f"Set {face_set.name}: there is no folder {face_set.folder.name}.")
    if face_set.teacher:
        record = _read_teacher(face_set.teacher)
        names = [str(name) for name in record["paths"]]
        landmarks, teacher = record["landmarks"].astype(np.float32), _unit(record["embedding"])
        usable = record["ok"]
    else:
        names = [path.relative_to(face_set.folder).as_posix() for path in find_photos(face_set.folder)]
        landmarks = np.full((len(names), 5, 2), np.nan, np.float32)
        teacher = np.full((len(names), 128), np.nan, np.float32)
        usable = np.ones(len(names), bool)
    people = _people_of(face_set, names)
    kept = usable & np.array([person is None or person not in face_set.drop for person in people])
    role = np.array([_role_of(face_set, name, person) for name, person in zip(names, people, strict=True)])
    role[~kept] = LEFT_OUT
    prefix = str(face_set.identities) if isinstance(face_set.identities, Path) else face_set.name
    person = np.array([_number(numbers, prefix, person) for person in people], dtype=np.int64)
    return [face_set.folder / name for name in names], person, role, landmarks, teacher


def find_photos(folder: Path) -> Iterator[Path]:
    """Yield every photo below a folder by its suffix, in sorted order."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())


def _read_teacher(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            record = {key: file[key] for key in ("paths", "landmarks", "embedding", "ok")}
    except FileNotFoundError:
        raise DataError(f"There is no teacher file {path.name}.") from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path.name} expects paths, landmarks, embedding and ok. Received: {error}") from None
    return record


def _people_of(face_set: FaceSet, names: list[str]) -> list[str | None]:
    if face_set.identities is None:
        return [None] * len(names)
    if face_set.identities == "folder":
        return [Path(name).parent.name for name in names]
    lines = Path(face_set.identities).read_text(encoding="utf-8").splitlines()
    person_of = {parts[0]: parts[1] for parts in map(str.split, lines) if len(parts) == 2}
    return [person_of.get(Path(name).name) for name in names]


def _role_of(face_set: FaceSet, name: str, person: str | None) -> int:
    for folder, role in face_set.role_of_folder.items():
        if name.startswith(f"{folder}/"):
            return ROLE_NAMES.index(role)
    if face_set.roles == "celeba":
        return celeba_role(int(person)) if person else LEFT_OUT
    if face_set.roles == "hashed":
        return hashed_role(person or name)
    return ROLE_NAMES.index(face_set.roles)


def celeba_role(number: int) -> int:
    """Return what a CelebA person is for: every 20th calibrates, and so on.

    >>> [ROLE_NAMES[celeba_role(number)] for number in (20, 10, 15, 11)]
    ['calibration', 'reporting', 'validation', 'training']
    """
    if number % 20 == 0:
        return CALIBRATION
    if number % 10 == 0:
        return REPORTING
    return VALIDATION if number % 10 == 5 else TRAINING


def hashed_role(person: str) -> int:
    """Return a person's role by a hash of the name: 80 % train, 10 % validate, 10 % calibrate."""
    from hashlib import sha256

    share = int.from_bytes(sha256(person.encode()).digest()[:4], "big") / 2**32
    return TRAINING if share < 0.8 else VALIDATION if share < 0.9 else CALIBRATION


def _number(numbers: dict[str, int], prefix: str, person: str | None) -> int:
    return UNKNOWN_PERSON if person is None else numbers.setdefault(f"{prefix}/{person}", len(numbers))


def _unit(embedding: np.ndarray) -> np.ndarray:
    embedding = embedding.astype(np.float32)
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    return np.divide(embedding, length, out=np.full_like(embedding, np.nan), where=length > 0)


def leave_out_overlaps(table: FaceTable, excluded: list[np.ndarray]) -> dict[str, int]:
    """Take out of training whoever must not be learned from; changes ``table.role``.

    A known person leaves with all photos when any of them is nearer than
    ``SAME_PERSON_COSINE`` to an excluded photo; a photo without a person leaves alone. So
    do photos nearer than ``SAME_PHOTO_COSINE`` to one of a person held out.

    Returns:
        How many photos left for which reason.
    """
    before = table.role == TRAINING
    for embeddings in excluded:
        near = before & (nearest_cosine(table.teacher, embeddings) > SAME_PERSON_COSINE)
        people = np.setdiff1d(table.person[near], [UNKNOWN_PERSON])
        table.role[near | (before & np.isin(table.person, people))] = LEFT_OUT
    overlapping = int(np.sum(before & (table.role == LEFT_OUT)))
    held_out = np.isin(table.role, (VALIDATION, CALIBRATION, REPORTING))
    repeated = (table.role == TRAINING) & (nearest_cosine(table.teacher, table.teacher[held_out]) > SAME_PHOTO_COSINE)
    table.role[repeated] = LEFT_OUT
    return {"people of the excluded sets": overlapping, "photos of people held out": int(np.sum(repeated))}


def nearest_cosine(embeddings: np.ndarray, others: np.ndarray, rows: int = 4096) -> np.ndarray:
    """Return each embedding's largest cosine to any of ``others``.

    Args:
        embeddings: float32 (N, d) of unit length; NaN rows give −1.
        others: float32 (M, d) of unit length; NaN rows are passed over.
        rows: how many embeddings are compared at a time.

    Returns:
        float32 (N,) in [−1, 1].
    """
    others = others[~np.isnan(others).any(axis=1)]
    nearest = np.full(len(embeddings), -1.0, np.float32)
    if len(others) == 0:
        return nearest
    for start in range(0, len(embeddings), rows):
        cosines = embeddings[start : start + rows] @ others.T
        nearest[start : start + rows] = np.nan_to_num(cosines.max(axis=1), nan=-1.0)
    return nearest
