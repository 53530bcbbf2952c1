"""Which of a photo's faces is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from flaskapp.detection import Detection, Face
from flaskapp.errors import BadFaceNumberError, CutOffFaceError, NoFaceError, SeveralFacesError

Choice = Literal["refuse", "centre", "largest"]

PROMINENT_HEIGHT = 1 / 3  # part of the largest face's height below which a face is background, not a candidate


def select_face(faces: Detection, number: int | None = None, choice: Choice = "refuse") -> Face:
    """Return the one face that a photo is about, or refuse to guess.

    Args:
        faces: all faces of the photo, left to right.
        number: the caller's own choice; 1 is the first of ``faces``, the leftmost.
        choice: what to do when several prominent faces are left and none was chosen:
            "refuse", take the one nearest to the photo's "centre", or take the "largest".

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
            f"In a photo of this size the face must be at least {round(faces.smallest_face)} pixels wide.",
        )
    face = _meant(faces, number, choice)
    if not face.is_whole_in(faces.size_wh):
        raise CutOffFaceError(
            "The face is cut off by the edge of the photo.",
            "Use a photo that shows the whole face with some room around it.",
        )
    return face


def _meant(faces: Detection, number: int | None, choice: Choice) -> Face:
    if number is not None:
        if 1 <= number <= len(faces):
            return faces[number - 1]
        found = "only face 1 was found" if len(faces) == 1 else f"faces 1 to {len(faces)} were found"
        raise BadFaceNumberError(f"There is no face {number}: {found}.", "Faces are numbered from 1, left to right.")
    candidates = prominent_faces(faces)
    if choice == "largest" or len(candidates) == 1:
        return max(candidates, key=lambda face: face.height)
    if choice == "centre":
        return min(candidates, key=lambda face: _distance_to_centre(face, faces.size_wh))
    hint = f"Choose one by its number, 1 to {len(faces)} from left to right, or use a photo of one person."
    raise SeveralFacesError(
        f"{len(faces)} faces were found, and it is not clear which one you mean.",
        " ".join([hint, *faces.notes]),
        faces=faces,
    )


def prominent_faces(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Return the faces at least a third as high as the largest one, in their order."""
    tallest = max((face.height for face in faces), default=0.0)
    return tuple(face for face in faces if face.height >= PROMINENT_HEIGHT * tallest)


def _distance_to_centre(face: Face, size_wh: tuple[float, float]) -> float:
    left, top, right, bottom = face.box_xyxy
    return float(abs(complex(left + right - size_wh[0], top + bottom - size_wh[1])) / 2)
