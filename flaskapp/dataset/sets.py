"""Sets of training photos: what they hold, who may be learned from, and who never.

A *sets file* (TOML) names folders of photos and, where they are at hand, a teacher's
embeddings with landmarks. ``read_sets`` gives the plan, ``load_faces`` the faces::

    [[set]]
    name = "celeba_test"
    folder = "celeba_test"              # relative to the sets file
    teacher = "teacher/celeba_test.npz" # paths, landmarks, embedding, ok
    identities = "identity_CelebA.txt"  # photo -> person; else "folder" or nothing
    roles = "celeba"                    # who trains, validates, calibrates, reports
    terms = "non-commercial research"   # recorded beside the weights
    landmark_shift = [-0.02, -0.02]     # added to the teacher file's landmarks, in eye distances
    centre = true                       # the mean of these faces is taken off what is learned

    [[exclude]]
    name = "lfw"
    teacher = "lfw.npz"                 # people to keep out of every training set

Overlaps are found by the teacher's embeddings; photos of a set without them cannot be
checked, so such a set must be free of excluded people by other means (``drop``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from flaskapp.dataset.overlaps import leave_out_overlaps, nearest_cosine
from flaskapp.dataset.roles import (
    CALIBRATION,
    LEFT_OUT,
    REPORTING,
    ROLE_NAMES,
    TRAINING,
    VALIDATION,
    celeba_role,
    hashed_role,
)
from flaskapp.errors import DataError

__all__ = [
    "CALIBRATION",
    "LEFT_OUT",
    "REPORTING",
    "ROLE_NAMES",
    "TRAINING",
    "UNKNOWN_PERSON",
    "VALIDATION",
    "FaceSet",
    "FaceTable",
    "find_photos",
    "leave_out_overlaps",
    "list_faces",
    "load_faces",
    "nearest_cosine",
    "read_sets",
    "read_teacher",
    "teacher_embeddings",
]

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})
UNKNOWN_PERSON = -1
TEACHER_SIZE = 128


@dataclass(frozen=True)
class FaceSet:
    """One folder of photos as the sets file describes it.

    Attributes:
        name: what the set is called.
        folder: where its photos lie.
        teacher: file of the teacher's embeddings and landmarks, if there is one.
        identities: "folder" if each person has a folder, a file of lines ``photo person``, or
            None where nobody knows who is who.
        roles: "celeba" (by the person's number), "hashed" (by the person's name), or one role
            for all.
        role_of_folder: role of the photos in a folder of the set, before ``roles``.
        drop: people to leave out.
        terms: what the photos may be used for, in a few words.
        measures: whether its people may calibrate and be reported on: not where a photo is
            far coarser than what people compare, or its face was picked out of a group.
        landmark_shift: x and y, in distances between the eyes, added to the landmarks of the
            teacher file: what another detector sees further right or down than this
            program's is put where this program sees it.
        centre: whether the mean of its training photos' teacher embeddings is taken off every
            embedding that the network learns; of several such sets, the mean of all photos.
    """

    name: str
    folder: Path
    teacher: Path | None = None
    identities: Path | str | None = None
    roles: str = "training"
    role_of_folder: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    terms: str = "not stated"
    measures: bool = True
    landmark_shift: tuple[float, float] = (0.0, 0.0)
    centre: bool = False

    def __post_init__(self) -> None:
        if self.roles not in ("celeba", "hashed", *ROLE_NAMES[:4]):
            raise DataError(f"Set {self.name}: roles expects celeba, hashed or a role. Received: {self.roles!r}")
        unknown = set(self.role_of_folder.values()) - set(ROLE_NAMES)
        if unknown:
            raise DataError(
                f"Set {self.name}: role_of_folder expects {', '.join(ROLE_NAMES)}. Received: {sorted(unknown)}"
            )


@dataclass(frozen=True)
class FaceTable:
    """All photos of all sets, one row each; arrays of one length N.

    Attributes:
        set_names: the sets, in order.
        paths: where each photo lies.
        set_index: int (N,), position in ``set_names``.
        person: int (N,), one number per person over all sets, −1 where unknown.
        role: int (N,), TRAINING … LEFT_OUT.
        landmarks: float32 (N, 5, 2) in the photo's pixels; NaN where they must be detected.
        teacher: float32 (N, 128) of unit length; NaN where there is none.
        set_terms: what the photos of each set may be used for.
        set_measures: whether the people of each set may calibrate and be reported on.
        person_names: what the people are called, by their numbers.
        set_centres: whether each set's mean is taken off what the network learns.
    """

    set_names: tuple[str, ...]
    paths: tuple[Path, ...]
    set_index: np.ndarray
    person: np.ndarray
    role: np.ndarray
    landmarks: np.ndarray
    teacher: np.ndarray
    set_terms: tuple[str, ...] = ()
    set_measures: tuple[bool, ...] = ()
    person_names: tuple[str, ...] = ()
    set_centres: tuple[bool, ...] = ()

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
    except OSError as error:
        raise DataError(f"The sets file {path.name} cannot be read: {error.strerror}.", "Check its path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a readable TOML file: {error}.") from None
    try:
        sets = [_face_set(entry, path.parent) for entry in content.get("set", [])]
        excluded = [path.parent / entry["teacher"] for entry in content.get("exclude", [])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{path.name} describes a set wrongly ({type(error).__name__}: {error}).",
            "[[set]] needs name and folder, [[exclude]] needs name and teacher, all of them text.",
        ) from None
    if not sets:
        raise DataError(f"{path.name} names no [[set]].", "Describe at least one folder of photos.")
    return sets, excluded


def _face_set(entry: dict[str, Any], base: Path) -> FaceSet:
    known = set(FaceSet.__dataclass_fields__)
    if not {"name", "folder"} <= entry.keys() or entry.keys() - known:
        raise DataError(
            f"A [[set]] expects name, folder and any of {', '.join(sorted(known))}. "
            f"Received: {', '.join(sorted(entry))}."
        )
    identities = entry.get("identities")
    return FaceSet(
        name=entry["name"],
        folder=base / entry["folder"],
        teacher=base / entry["teacher"] if "teacher" in entry else None,
        identities=identities if identities in (None, "folder") else base / identities,
        roles=entry.get("roles", "training"),
        role_of_folder=dict(entry.get("role_of_folder", {})),
        drop=tuple(entry.get("drop", ())),
        terms=str(entry.get("terms", "not stated")),
        measures=bool(entry.get("measures", True)),
        landmark_shift=_two_numbers(entry["name"], entry.get("landmark_shift", (0.0, 0.0))),
        centre=bool(entry.get("centre", False)),
    )


def _two_numbers(set_name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or [type(number) in (int, float) for number in value] != [True, True]:
        raise DataError(f"Set {set_name}: landmark_shift expects two numbers, x and y. Received: {value!r}")
    return float(value[0]), float(value[1])


def load_faces(sets: list[FaceSet], exclude: list[Path] | None = None) -> FaceTable:
    """List every photo of the sets, without whom training must not see.

    Training photos that show a person of ``exclude``, or repeat a photo of a validation,
    calibration or reporting person, get the role LEFT_OUT.

    Raises:
        DataError: a folder, teacher file or identity file is absent or does not fit.
    """
    table = list_faces(sets)
    leave_out_overlaps(table, [teacher_embeddings(path) for path in exclude or []])
    return table


def list_faces(sets: list[FaceSet]) -> FaceTable:
    """List every photo of the sets with its person, role, landmarks and teacher embedding.

    Raises:
        DataError: a folder, teacher file or identity file is absent or does not fit.
    """
    numbers: dict[str, int] = {}
    parts = [_load_set(face_set, numbers) for face_set in sets]
    table = FaceTable(
        set_names=tuple(face_set.name for face_set in sets),
        paths=tuple(path for part in parts for path in part.paths),
        set_index=np.repeat(np.arange(len(sets)), [len(part.paths) for part in parts]),
        person=np.concatenate([part.person for part in parts]),
        role=np.concatenate([part.role for part in parts]),
        landmarks=np.concatenate([part.landmarks for part in parts]),
        teacher=np.concatenate([part.teacher for part in parts]),
        set_terms=tuple(face_set.terms for face_set in sets),
        set_measures=tuple(face_set.measures for face_set in sets),
        person_names=tuple(numbers),
        set_centres=tuple(face_set.centre for face_set in sets),
    )
    if not len(table):
        raise DataError("The folders of the sets hold no photos.", "Check the folders in the sets file.")
    return table


def teacher_embeddings(path: Path) -> np.ndarray:
    """Return what a teacher file says of its photos, float32 (N, 128) of unit length, NaN where nothing.

    Raises:
        DataError: the file is absent or of another form.
    """
    return read_teacher(path)[1]


def read_teacher(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the names of a teacher file's photos, and its embeddings as of ``teacher_embeddings``.

    Raises:
        DataError: the file is absent or of another form.
    """
    record = _read_teacher(path)
    return record.names, _unit(record.embedding)


@dataclass(frozen=True)
class _Part:
    """What a table holds of one set."""

    paths: list[Path]
    person: np.ndarray
    role: np.ndarray
    landmarks: np.ndarray
    teacher: np.ndarray


@dataclass(frozen=True)
class _Record:
    """A teacher file: names (N,), landmarks (N, 5, 2), embedding (N, 128), usable (N,)."""

    names: list[str]
    landmarks: np.ndarray
    embedding: np.ndarray
    usable: np.ndarray


def _load_set(face_set: FaceSet, numbers: dict[str, int]) -> _Part:
    if not face_set.folder.is_dir():
        raise DataError(f"Set {face_set.name}: there is no folder {face_set.folder.name}.")
    record = _read_teacher(face_set.teacher) if face_set.teacher else _without_teacher(face_set.folder)
    people = _people_of(face_set, record.names)
    dropped = np.array([person in face_set.drop for person in people], bool)
    role = np.array([_role_of(face_set, name, person) for name, person in zip(record.names, people, strict=True)], int)
    role[dropped | ~record.usable] = LEFT_OUT
    prefix = str(face_set.identities) if isinstance(face_set.identities, Path) else face_set.name
    return _Part(
        paths=[face_set.folder / name for name in record.names],
        person=np.array([_number(numbers, prefix, person) for person in people], np.int64),
        role=role,
        landmarks=_shifted(record.landmarks.astype(np.float32), face_set.landmark_shift),
        teacher=_unit(record.embedding),
    )


def _shifted(landmarks: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Return landmarks (N, 5, 2) moved by a share of each face's distance between the eyes."""
    eye_distance = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=-1)
    return landmarks + eye_distance[:, None, None] * np.array(shift, np.float32)


def _without_teacher(folder: Path) -> _Record:
    names = [path.relative_to(folder).as_posix() for path in find_photos(folder)]
    count = len(names)
    unknown = np.full((count, 5, 2), np.nan), np.full((count, TEACHER_SIZE), np.nan)
    return _Record(names, *unknown, usable=np.ones(count, bool))


def find_photos(folder: Path) -> Iterator[Path]:
    """Yield every photo below a folder by its suffix, in sorted order."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())


def _read_teacher(path: Path) -> _Record:
    try:
        # Opened here, because NumPy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [str(name) for name in file["paths"]]
            record = _Record(names, file["landmarks"], file["embedding"], file["ok"].astype(bool))
    except OSError as error:
        raise DataError(f"The teacher file {path.name} cannot be read: {error.strerror}.") from None
    except (EOFError, KeyError, TypeError, ValueError, BadZipFile) as error:
        raise DataError(f"{path.name} expects paths, landmarks, embedding and ok. Received: {error}.") from None
    count = len(names)
    shapes = record.landmarks.shape, record.embedding.shape, record.usable.shape
    if shapes != ((count, 5, 2), (count, TEACHER_SIZE), (count,)):
        raise DataError(
            f"{path.name} expects landmarks ({count}, 5, 2), embedding ({count}, {TEACHER_SIZE}) and ok ({count},). "
            f"Received: {shapes}."
        )
    return record


def _people_of(face_set: FaceSet, names: list[str]) -> list[str | None]:
    if face_set.identities is None:
        return [None] * len(names)
    if face_set.identities == "folder":
        return [Path(name).parent.name or None for name in names]
    try:
        lines = Path(face_set.identities).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"Set {face_set.name}: {Path(face_set.identities).name} cannot be read.") from None
    person_of = {parts[0]: parts[1] for parts in map(str.split, lines) if len(parts) == 2}
    return [person_of.get(Path(name).name) for name in names]


def _role_of(face_set: FaceSet, name: str, person: str | None) -> int:
    for folder, role in face_set.role_of_folder.items():
        if name.startswith(f"{folder}/"):
            return ROLE_NAMES.index(role)
    if face_set.roles == "celeba":
        return _celeba_role_of(face_set, person)
    if face_set.roles == "hashed":
        return hashed_role(person or name)
    return ROLE_NAMES.index(face_set.roles)


def _celeba_role_of(face_set: FaceSet, person: str | None) -> int:
    if person is None:
        return LEFT_OUT
    if not person.isdecimal():
        raise DataError(f'Set {face_set.name}: roles = "celeba" expects numbers for people. Received: {person!r}.')
    return celeba_role(int(person))


def _number(numbers: dict[str, int], prefix: str, person: str | None) -> int:
    return UNKNOWN_PERSON if person is None else numbers.setdefault(f"{prefix}/{person}", len(numbers))


def _unit(embedding: np.ndarray) -> np.ndarray:
    embedding = embedding.astype(np.float32)
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    return np.divide(embedding, length, out=np.full_like(embedding, np.nan), where=length > 0)
