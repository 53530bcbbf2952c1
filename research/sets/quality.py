"""What is wrong with training sets: found by the teacher's embeddings, listed, and left out.

Three faults are looked for. A *mislabelled* photo lies far from the centre of its own person.
A *duplicate* is one photo under two names: one of them is wrong, or two sets know one person by
two names; either way the two are no strangers, which is what training would teach. And photos
*overlap* with people who must not be learned from (``overlaps``).

Faults are looked for in every role and left out of training only: whoever is held out measures
the network on photos as they come, and a teacher that picked the photos would flatter it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from research.sets import overlaps
from research.sets.overlaps import nearest_cosine, of_excluded_people
from research.sets.roles import HELD_OUT, LEFT_OUT, ROLE_NAMES, TRAINING
from research.sets.table import UNKNOWN_PERSON, FaceSet, FaceTable, list_faces, teacher_embeddings

__all__ = ["Audit", "Duplicate", "audit_sets", "centre_cosine", "cross_person_duplicates", "leave_out_faults"]

MISLABELLED_COSINE = 0.2
FEWEST_OTHERS = 2
"""Below this cosine to the mean of its person's other photos, by the teacher, a photo is
mislabelled. With only one other photo nobody could say which of the two is."""

ROWS = 2048


@dataclass(frozen=True)
class Duplicate:
    """One photo under two names.

    Attributes:
        first: row of the table.
        second: row of the table, of another person.
        cosine: of their embeddings.
    """

    first: int
    second: int
    cosine: float


@dataclass(frozen=True)
class Audit:
    """What was found in the sets of a sets file.

    Attributes:
        table: all photos; those that overlap with people to keep out or held out have the role LEFT_OUT.
        excluded: name of a set of people to keep out → rows nearest to it of training photos that
            were near enough to count as one person, with their cosines.
        leaving: that name → how many training photos leave with these people.
        repeated: rows of training photos that repeat a photo of somebody held out, with cosines.
        duplicates: photos under two names.
        mislabelled: rows far from their own person's centre, with their cosines.
    """

    table: FaceTable
    excluded: dict[str, list[tuple[int, float]]]
    leaving: dict[str, int]
    repeated: list[tuple[int, float]]
    duplicates: list[Duplicate]
    mislabelled: list[tuple[int, float]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Count photos by set and fault; a photo may have several."""
        faults = {
            **{f"shows a person of {name}": [row for row, _ in rows] for name, rows in self.excluded.items()},
            "repeats a photo held out": [row for row, _ in self.repeated],
            "stands under two names": [row for pair in self.duplicates for row in (pair.first, pair.second)],
            "mislabelled": [row for row, _ in self.mislabelled],
        }
        names, where = self.table.set_names, self.table.set_index
        known = self.table.person != UNKNOWN_PERSON
        return {
            name: {
                "photos": int(np.sum(where == index)),
                "of known people": int(np.sum((where == index) & known)),
                "without embedding": int(np.sum((where == index) & np.isnan(self.table.teacher).any(axis=1))),
                **{fault: int(np.sum(where[np.unique(rows).astype(int)] == index)) for fault, rows in faults.items()},
            }
            for index, name in enumerate(names)
        }

    def to_json(self) -> dict[str, Any]:
        """Return counts, and every finding by path."""
        return {
            "counts": self.counts(),
            "photos_leaving_with_people": self.leaving,
            "excluded": {
                name: [self._face(row, cosine) for row, cosine in rows] for name, rows in self.excluded.items()
            },
            "repeats": [self._face(row, cosine) for row, cosine in self.repeated],
            "duplicates": [
                {"first": self._face(pair.first), "second": self._face(pair.second), "cosine": round(pair.cosine, 4)}
                for pair in self.duplicates
            ],
            "mislabelled": [self._face(row, cosine) for row, cosine in self.mislabelled],
        }

    def _face(self, row: int, cosine: float | None = None) -> dict[str, Any]:
        person = int(self.table.person[row])
        names = self.table.person_names
        told = {
            "set": self.table.set_names[self.table.set_index[row]],
            "photo": str(self.table.paths[row]),
            "person": None if person == UNKNOWN_PERSON else Path(names[person]).name,
            "role": ROLE_NAMES[self.table.role[row]],
        }
        return told if cosine is None else {**told, "cosine": round(cosine, 4)}


def audit_sets(sets: list[FaceSet], exclude: Mapping[str, Path]) -> Audit:
    """Look for every fault in the sets.

    Args:
        sets: as of ``read_sets``.
        exclude: name → teacher file of people to keep out.

    Raises:
        DataError: a folder, teacher file or identity file is absent or does not fit.
    """
    table = list_faces(sets)
    before = table.role == TRAINING
    excluded, leaving = {}, {}
    for name, path in exclude.items():
        embeddings = teacher_embeddings(path)
        nearest = nearest_cosine(table.teacher, embeddings)
        excluded[name] = _listed(before & (nearest > overlaps.SAME_PERSON_COSINE), nearest)
        leaves = of_excluded_people(table, embeddings, nearest)
        leaving[name] = int(leaves.sum())
        table.role[leaves] = LEFT_OUT
    training = table.role == TRAINING
    held_out = table.teacher[np.isin(table.role, HELD_OUT)]
    repeated = nearest_cosine(table.teacher[training], held_out)
    again = repeated > overlaps.SAME_PHOTO_COSINE
    rows = np.flatnonzero(training)[again]
    table.role[rows] = LEFT_OUT
    centred = centre_cosine(table)
    return Audit(
        table=table,
        excluded=excluded,
        leaving=leaving,
        repeated=list(zip(rows.tolist(), repeated[again].tolist(), strict=True)),
        duplicates=cross_person_duplicates(table),
        mislabelled=_listed((table.role != LEFT_OUT) & (centred <= MISLABELLED_COSINE), centred),
    )


def _listed(chosen: np.ndarray, cosine: np.ndarray) -> list[tuple[int, float]]:
    rows = np.flatnonzero(chosen)
    return list(zip(rows.tolist(), cosine[rows].tolist(), strict=True))


def centre_cosine(table: FaceTable) -> np.ndarray:
    """Return each photo's cosine to the mean of its person's other photos.

    Its own part of the mean would hide it: a stranger among three photos of one person is at
    0.32 to the mean of all four.

    Returns:
        float32 (N,); NaN where the person is unknown or has fewer than ``FEWEST_OTHERS`` other
        photos with an embedding.
    """
    known = (table.person != UNKNOWN_PERSON) & (table.role != LEFT_OUT) & ~np.isnan(table.teacher).any(axis=1)
    faces = table.teacher[known].astype(np.float64)
    _, group = np.unique(table.person[known], return_inverse=True)
    sums = np.zeros((int(group.max(initial=-1)) + 1, faces.shape[1]))
    np.add.at(sums, group, faces)
    others = sums[group] - faces
    length = np.linalg.norm(others, axis=1)
    alone = np.bincount(group)[group] <= FEWEST_OTHERS if group.size else np.zeros(0, bool)
    cosine = np.full(len(table), np.nan, np.float32)
    cosine[known] = np.where(alone, np.nan, np.sum(faces * others, axis=1) / np.maximum(length, 1e-9))
    return cosine


def cross_person_duplicates(table: FaceTable) -> list[Duplicate]:
    """Find photos that stand under two names, in sets that are not left out."""
    rows = np.flatnonzero(
        (table.person != UNKNOWN_PERSON) & (table.role != LEFT_OUT) & ~np.isnan(table.teacher).any(axis=1)
    )
    faces, person = table.teacher[rows], table.person[rows]
    found: list[Duplicate] = []
    for start in range(0, len(rows), ROWS):
        # Each photo meets the later ones only.
        cosines = faces[start : start + ROWS] @ faces[start:].T
        for first, second in np.argwhere(cosines > overlaps.SAME_PHOTO_COSINE).tolist():
            if first < second and person[start + first] != person[start + second]:
                pair = int(rows[start + first]), int(rows[start + second])
                found.append(Duplicate(*pair, float(cosines[first, second])))
    return found


def leave_out_faults(table: FaceTable) -> dict[str, int]:
    """Take mislabelled photos and photos under two names out of training; changes ``table.role``.

    Returns:
        How many photos left for which reason.
    """
    training = table.role == TRAINING
    mislabelled = training & (centre_cosine(table) <= MISLABELLED_COSINE)
    twice = np.zeros(len(table), bool)
    for pair in cross_person_duplicates(table):
        twice[[pair.first, pair.second]] = True
    table.role[mislabelled | (twice & training)] = LEFT_OUT
    return {"mislabelled": int(mislabelled.sum()), "under two names": int(np.sum(twice & training & ~mislabelled))}
