"""Which of a photo's faces is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from flaskapp.detection import SMALLEST_FACE, Detection, Face
from flaskapp.errors import BadFaceNumberError, CutOffFaceError, NoFaceError, SeveralFacesError

Choice = Literal["refuse", "centre", "largest"]

PROMINENT_HEIGHT = 1 / 3
"""Part of the largest face's height below which a face is background, not a candidate."""


def select_face(
    faces: Sequence[Face],
    number: int | None = None,
    choice: Choice = "refuse",
    size_wh: tuple[float, float] | None = None,
) -> Face:
    """Return the one face that a photo is about, or refuse to guess.

    Args:
        faces: all faces of the photo, left to right; as a ``Detection`` the refusal also says what
            else is known of the search.
        number: the caller's own choice; 1 is the first of ``faces``, the leftmost.
        choice: what to do when several prominent faces are left and none was chosen:
            "refuse", take the one nearest to the photo's "centre", or take the "largest".
        size_wh: width and height of the photo, needed for "centre" and to see whether the photo ends
            within the face; a ``Detection`` knows it.

    Raises:
        NoFaceError: ``faces`` is empty.
        CutOffFaceError: the photo ends within the face.
        BadFaceNumberError: there is no face of that number.
        SeveralFacesError: several prominent faces, and ``choice`` is "refuse".
    """
    if not faces:
        raise NoFaceError(
            "No face was found.",
            "Use a photo that shows one face from the front, upright, well lit and not cut off. "
            f"In a photo of this size the face must be at least {_smallest(faces)} pixels wide.",
        )
    size_wh = faces.size_wh if isinstance(faces, Detection) else size_wh
    face = _meant(faces, number, choice, size_wh)
    if size_wh and not face.is_whole_in(size_wh):
        raise CutOffFaceError(
            "The face is cut off by the edge of the photo.",
            "Use a photo that shows the whole face with some room around it.",
        )
    return face


def _meant(faces: Sequence[Face], number: int | None, choice: Choice, size_wh: tuple[float, float] | None) -> Face:
    if number is not None:
        return _face_of(faces, number)
    candidates = prominent_faces(faces)
    if len(candidates) == 1:
        return candidates[0]
    if choice == "largest":
        return max(candidates, key=lambda face: face.height)
    if choice == "centre":
        if size_wh is None:
            raise ValueError('size_wh is needed for the choice "centre".')
        return min(candidates, key=lambda face: _distance_to_centre(face, size_wh))
    raise SeveralFacesError(
        f"{len(faces)} faces were found, and it is not clear which one you mean.",
        _and_notes(
            f"Choose one by its number, 1 to {len(faces)} from left to right, or use a photo of one person.", faces
        ),
        faces=faces,
    )


def prominent_faces(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Return the faces at least a third as high as the largest one, in their order."""
    tallest = max((face.height for face in faces), default=0.0)
    return tuple(face for face in faces if face.height >= PROMINENT_HEIGHT * tallest)


def _smallest(faces: Sequence[Face]) -> int:
    return round(faces.smallest_face if isinstance(faces, Detection) else SMALLEST_FACE)


def _and_notes(hint: str, faces: Sequence[Face]) -> str:
    return " ".join([hint, *(faces.notes if isinstance(faces, Detection) else ())])


def _face_of(faces: Sequence[Face], number: int) -> Face:
    if 1 <= number <= len(faces):
        return faces[number - 1]
    found = "only face 1 was found" if len(faces) == 1 else f"faces 1 to {len(faces)} were found"
    raise BadFaceNumberError(f"There is no face {number}: {found}.", "Faces are numbered from 1, left to right.")


def _distance_to_centre(face: Face, size_wh: tuple[float, float]) -> float:
    left, top, right, bottom = face.box_xyxy
    return float(abs(complex(left + right - size_wh[0], top + bottom - size_wh[1])) / 2)
