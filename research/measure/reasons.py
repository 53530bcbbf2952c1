"""Whether the reasons that ``flaskapp.quality`` gives are the right ones: photos spoiled in known ways.

Its limits were chosen on validation people: none names more than about 3 % of photos as they come.
How often each reason is named for what is really wrong is counted on people who report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flaskapp.detection import Face
from flaskapp.errors import DataError
from flaskapp.preprocess.alignment import CROP_SIZE, TEMPLATE, crop_scale
from flaskapp.quality import LIMITS, measured, reasons_of
from research.distil.spoiling import KINDS, Kind
from research.sets.table import ROLE_NAMES, FaceTable

QUANTILES = (0.01, 0.03, 0.5, 0.97, 0.99)
MEASURES_HEAD = f"{'measure':>14} {'limit':>8} {'named':>6} " + " ".join(f"{share:>8.0%}" for share in QUANTILES)


@dataclass(frozen=True)
class ReasonsRow:
    """What is said of photos that are all spoiled in one way.

    Attributes:
        kind: of spoiling, "as they come" for none.
        strength: of ``Kind.measured``.
        first: share of photos by the reason that is named first, "" for none.
        named: share of photos for which each reason is named at all.
    """

    kind: str
    strength: float
    first: dict[str, float]
    named: dict[str, float]

    def __str__(self) -> str:
        return f"{self.kind:>14} {self.strength:>5g}  first: {_most(self.first)}  named: {_most(self.named)}"


@dataclass(frozen=True)
class MeasureRow:
    """One measure of photos as they come, beside its limit: the share it names, and its ``QUANTILES``."""

    measure: str
    named_from: float
    named: float
    quantiles: tuple[float, ...]

    def __str__(self) -> str:
        quantiles = " ".join(f"{value:>8.3f}" for value in self.quantiles)
        return f"{self.measure:>14} {self.named_from:>8g} {self.named:>6.1%} {quantiles}"


def face_at(landmarks: np.ndarray) -> Face:
    """Return a face with these landmarks, float (5, 2); unknown ones become a crop's own."""
    points = np.asarray(landmarks, float) if np.isfinite(landmarks).all() else np.array(TEMPLATE)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    around = max(right - left, bottom - top) / 2
    box = left - around, top - around, right + around, bottom + around
    return Face(box, tuple((x, y) for x, y in points.tolist()), 1.0)


def draw_faces(
    table: FaceTable, crops: np.ndarray, role: str, photos: int, seed: int = 2026
) -> tuple[np.ndarray, list[Face]]:
    """Draw photos of a role's people by chance; return their crops uint8 (N, 100, 100, 3) and faces.

    Raises:
        DataError: nobody has this role.
    """
    rows = np.flatnonzero(table.role == ROLE_NAMES.index(role))
    if not rows.size:
        raise DataError(f"Nobody in these sets has the role {role}.")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:photos])
    return np.array(crops[rows]), [face_at(points) for points in table.landmarks[rows]]


def count_reasons(
    crops: np.ndarray, faces: Sequence[Face], kinds: Sequence[Kind] = KINDS, seed: int = 2026
) -> Iterator[ReasonsRow]:
    """Count reasons of photos as they come, and spoiled in each way at each measured strength.

    Every photo is spoiled by chance of its own: one colour for all masks would be one case, not many.

    Args:
        crops: uint8 (N, 100, 100, 3) RGB, aligned.
        faces: N, where each was in its photo.
        kinds: ways of spoiling.
        seed: of all chance.
    """
    yield _row("as they come", 0, crops, faces)
    for number, kind in enumerate(kinds):
        for strength in kind.measured:
            spoiled = np.stack(
                [
                    kind.change(crop, strength, np.random.default_rng((seed, number, photo)))
                    for photo, crop in enumerate(crops)
                ]
            )
            small = kind.name == "small"
            yield _row(kind.name, strength, spoiled, [_shrunk(face, strength) for face in faces] if small else faces)


def look_at_limits(crops: np.ndarray, faces: Sequence[Face]) -> list[MeasureRow]:
    """Return each measure of photos as they come, to choose the limits by."""
    measures = [measured(crop, face) for crop, face in zip(crops, faces, strict=True)]
    rows = []
    for name, limit in LIMITS.items():
        values = np.array([one[name] for one in measures])
        named = float(np.mean([limit.excess(value) > 0 for value in values]))
        rows.append(MeasureRow(name, limit.named_from, named, tuple(np.quantile(values, QUANTILES).tolist())))
    return rows


def _row(kind: str, strength: float, crops: np.ndarray, faces: Sequence[Face]) -> ReasonsRow:
    reasons = [reasons_of(measured(crop, face)) for crop, face in zip(crops, faces, strict=True)]
    first: Counter[str] = Counter(one[0] if one else "" for one in reasons)
    named: Counter[str] = Counter(reason for one in reasons for reason in one)
    return ReasonsRow(kind, strength, _shares(first, len(reasons)), _shares(named, len(reasons)))


def _shrunk(face: Face, across: float) -> Face:
    """Return the face in its photo shrunk until what is cut out of it is so many pixels wide."""
    factor = min(across * crop_scale(face.landmarks) / CROP_SIZE, 1.0)
    left, top, right, bottom = (factor * value for value in face.box_xyxy)
    landmarks = tuple((factor * x, factor * y) for x, y in face.landmarks)
    return Face((left, top, right, bottom), landmarks, face.detection_score)


def _shares(counts: Counter[str], total: int) -> dict[str, float]:
    return {name: count / total for name, count in counts.most_common()}


def _most(shares: dict[str, float], count: int = 4) -> str:
    return ", ".join(f"{name or 'none'} {share:.0%}" for name, share in list(shares.items())[:count])
