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
    learned = "teacher/other.npz"       # another teacher's embeddings, to learn in place of those
    trains = true                       # false: choose and measure by it only

    [[exclude]]
    name = "lfw"
    teacher = "lfw.npz"                 # people to keep out of every training set

Overlaps are found by the teacher's embeddings; photos of a set without them cannot be
checked, so such a set must be free of excluded people by other means (``drop``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from flaskapp.errors import DataError
from flaskapp.preprocess.files import look_through
from research.sets.file import FaceSet, read_sets
from research.sets.overlaps import leave_out_overlaps, nearest_cosine
from research.sets.roles import (
    CALIBRATION,
    LEFT_OUT,
    REPORTING,
    ROLE_NAMES,
    TRAINING,
    VALIDATION,
    celeba_role,
    hashed_role,
)

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
    "leave_out_overlaps",
    "list_faces",
    "load_faces",
    "nearest_cosine",
    "read_sets",
    "read_teacher",
    "teacher_embeddings",
]

UNKNOWN_PERSON = -1
TEACHER_SIZE = 128
LOOKED_FOR = 100  # of a teacher's photos, to see that folder and file belong together


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
        learned: float32 (N, 128) of unit length, what the network learns of each photo; NaN
            where there is nothing. Empty = the teacher's.
        passed_over: what lies in folders without a teacher file and is no photo → why.
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
    learned: np.ndarray = field(default_factory=lambda: np.empty((0, TEACHER_SIZE), np.float32))
    passed_over: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def targets(self) -> np.ndarray:
        """What the network learns of each photo: float32 (N, 128), NaN where nothing."""
        return self.learned if len(self.learned) else self.teacher

    def counts(self) -> dict[str, dict[str, int]]:
        """Count photos by set and role."""
        return {
            name: {
                role: int(np.sum((self.set_index == index) & (self.role == number)))
                for number, role in enumerate(ROLE_NAMES)
            }
            for index, name in enumerate(self.set_names)
        }


def load_faces(sets: list[FaceSet], exclude: Mapping[str, Path] | None = None) -> FaceTable:
    """List every photo of the sets, without whom training must not see.

    Training photos that show a person of ``exclude``, or repeat a photo of a validation,
    calibration or reporting person, get the role LEFT_OUT.

    Raises:
        DataError: a folder, teacher file or identity file is absent or does not fit.
    """
    table = list_faces(sets)
    leave_out_overlaps(table, [teacher_embeddings(path) for path in (exclude or {}).values()])
    return table


def list_faces(sets: list[FaceSet]) -> FaceTable:
    """List every photo of the sets with its person, role, landmarks and teacher embedding.

    Raises:
        DataError: there are no sets, or a folder, teacher file or identity file is absent or does not fit.
    """
    if not sets:
        raise DataError("There are no sets of photos to use.", "Name at least one in the sets file.")
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
        learned=np.concatenate([part.learned for part in parts]),
        passed_over={name: reason for part in parts for name, reason in part.passed_over.items()},
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
    learned: np.ndarray
    passed_over: dict[str, str]


@dataclass(frozen=True)
class _Record:
    """A teacher file: names (N,), landmarks (N, 5, 2), embedding (N, 128), usable (N,)."""

    names: list[str]
    landmarks: np.ndarray
    embedding: np.ndarray
    usable: np.ndarray
    passed_over: Mapping[str, str] = field(default_factory=dict)


def _load_set(face_set: FaceSet, numbers: dict[str, int]) -> _Part:
    if not face_set.folder.is_dir():
        raise DataError(f"Set {face_set.name}: there is no folder {face_set.folder.name}.")
    record = _read_teacher(face_set.teacher) if face_set.teacher else _without_teacher(face_set.folder)
    if face_set.teacher and not any((face_set.folder / name).exists() for name in record.names[:LOOKED_FOR]):
        raise DataError(
            f"Set {face_set.name}: {face_set.teacher.name} names no photo of {face_set.folder.name}.",
            "Name the folder that its paths start from.",
        )
    people = _people_of(face_set, record.names)
    absent = sorted(set(face_set.drop) - set(people) - set(record.names))
    if absent:
        raise DataError(
            f"Set {face_set.name}: drop names {', '.join(absent)}, which is none of its people or photos.",
            "Write people as the folders or the file of identities do, photos by their paths in the set.",
        )
    both = zip(record.names, people, strict=True)
    dropped = np.array([person in face_set.drop or name in face_set.drop for name, person in both], bool)
    role = np.array([_role_of(face_set, name, person) for name, person in zip(record.names, people, strict=True)], int)
    role[dropped | ~record.usable] = LEFT_OUT
    if not face_set.trains:
        role[role == TRAINING] = LEFT_OUT
    teacher = _unit(record.embedding)
    prefix = str(face_set.identities) if isinstance(face_set.identities, Path) else face_set.name
    return _Part(
        paths=[face_set.folder / name for name in record.names],
        person=np.array([_number(numbers, prefix, person) for person in people], np.int64),
        role=role,
        landmarks=_shifted(record.landmarks.astype(np.float32), face_set.landmark_shift),
        teacher=teacher,
        learned=_learned(face_set, record.names, teacher),
        passed_over={f"{face_set.name}/{name}": reason for name, reason in record.passed_over.items()},
    )


def _learned(face_set: FaceSet, names: list[str], teacher: np.ndarray) -> np.ndarray:
    """Return what is to be learned of each photo: the other teacher's embedding if one is named."""
    if face_set.learned is None:
        return teacher
    record = _read_teacher(face_set.learned)
    vectors = np.where(record.usable[:, None], _unit(record.embedding), np.nan)
    vector_of = dict(zip(record.names, vectors, strict=True))
    return np.array([vector_of.get(name, np.full(TEACHER_SIZE, np.nan)) for name in names], np.float32)


def _shifted(landmarks: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Return landmarks (N, 5, 2) moved by a share of each face's distance between the eyes."""
    eye_distance = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=-1)
    return landmarks + eye_distance[:, None, None] * np.array(shift, np.float32)


def _without_teacher(folder: Path) -> _Record:
    content = look_through(folder)
    count = len(content.photos)
    unknown = np.full((count, 5, 2), np.nan), np.full((count, TEACHER_SIZE), np.nan)
    return _Record(content.names, *unknown, usable=np.ones(count, bool), passed_over=content.passed_over)


def _read_teacher(path: Path) -> _Record:
    try:
        # Opened here, because NumPy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [str(name) for name in file["paths"]]
            # Without landmarks the faces are detected.
            landmarks = file["landmarks"] if "landmarks" in file else np.full((len(names), 5, 2), np.nan)
            record = _Record(names, landmarks, file["embedding"], file["ok"].astype(bool))
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
