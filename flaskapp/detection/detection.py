"""What came of looking for faces in one photo: the faces, and how far the search went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

from flaskapp.detection.candidates import Face

SMALLEST_FACE = 40
"""Side, in pixels, of the smallest face that is looked for. An aligned face is made of about
110 pixels across, so below 40 there is little left to compare."""

TURNED = {
    90: "The photo lies on its side, so it was turned to the right to find faces.",
    180: "The photo is upside down, so it was turned to find faces.",
    270: "The photo lies on its side, so it was turned to the left to find faces.",
}
CROWD = "There may be more faces: in a crowd, not everybody is searched for."
SMALL = "In a photo this large, faces under {pixels} pixels are not found."


@dataclass(frozen=True)
class Detection(Sequence[Face]):
    """The faces of a photo, left to right; it is a sequence of them.

    Attributes:
        faces: in the photo's own pixels.
        size_wh: width and height of the photo in the same pixels.
        smallest_face: side in pixels of the smallest face that was looked for.
        more_faces: whether the photo shows more that looks like faces than was looked at.
        turned: degrees by which the photo was turned to the right for its faces to stand upright: 0,
            90, 180 or 270. Boxes and landmarks are in the photo as it came all the same.

    Raises:
        ValueError: a value is out of its range.
    """

    faces: tuple[Face, ...]
    size_wh: tuple[float, float]
    smallest_face: float
    more_faces: bool = False
    turned: int = 0

    def __post_init__(self) -> None:
        if self.turned not in (0, *TURNED):
            raise ValueError(f"turned expects 0, 90, 180 or 270. Received: {self.turned}")
        if not (min(self.size_wh) > 0 and self.smallest_face > 0):
            raise ValueError(f"Sizes must be positive. Received: {self.size_wh}, {self.smallest_face}")

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, index: int | slice) -> Face | tuple[Face, ...]:
        return self.faces[index]

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to know about the search, in sentences.

        Faces that were too small matter where nobody or a group was found: whoever is alone in a photo
        and was found is who is meant.
        """
        notes = [TURNED[self.turned]] if self.turned else []
        if self.more_faces:
            notes.append(CROWD)
        if len(self.faces) != 1 and round(self.smallest_face) > SMALLEST_FACE:
            notes.append(SMALL.format(pixels=round(self.smallest_face)))
        return tuple(notes)

    def scaled(self, scale_xy: tuple[float, float]) -> Detection:
        """Return what was found, in the pixels of the photo resized by these factors along x and y."""
        return replace(
            self,
            faces=tuple(face.scaled(scale_xy) for face in self.faces),
            size_wh=(self.size_wh[0] * scale_xy[0], self.size_wh[1] * scale_xy[1]),
            smallest_face=self.smallest_face * max(scale_xy),
        )
