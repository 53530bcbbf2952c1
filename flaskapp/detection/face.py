"""A face in a photo, and what came of looking for faces: the faces, and how far the search went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

LANDMARKS = 5

LEAST_MARGIN = 0.2
"""How far each landmark of a whole face lies from the photo's edge, in parts of the distance from
eyes to mouth. In 2,373 photos of whole faces it was 0.57 at least, in 388 that end at the eyebrows
0.2 but for one. Of 702 found where photos end through the eyes or just below, 13 lie further
inside: each is somebody else's whole face."""

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
class Face:
    """A face in a photo, in the photo's pixels; 0 is the photo's left or upper edge.

    Attributes:
        box_xyxy: left, top, right, bottom.
        landmarks: (x, y) of left eye, right eye, nose, left and right mouth corner, left and
            right as the viewer sees them; they may lie outside the box or the photo.
        detection_score: in [0, 1]; how sure the detector is that this is a face. It says
            nothing about whose face it is.

    Raises:
        ValueError: a value is out of its range.
    """

    box_xyxy: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    detection_score: float

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box_xyxy
        if not (left < right and top < bottom):
            raise ValueError(f"box_xyxy expects left < right and top < bottom. Received: {self.box_xyxy}")
        if len(self.landmarks) != LANDMARKS:
            raise ValueError(f"landmarks expects {LANDMARKS} points. Received: {len(self.landmarks)}")
        if not 0 <= self.detection_score <= 1:
            raise ValueError(f"detection_score expects a number in [0, 1]. Received: {self.detection_score}")

    @property
    def height(self) -> float:
        """Height of the box."""
        return self.box_xyxy[3] - self.box_xyxy[1]

    def is_whole_in(self, size_wh: tuple[float, float]) -> bool:
        """Say whether eyes, nose and mouth lie within a photo of this width and height.

        What the detector says of an eye that is not in the photo is a guess, often one just inside
        the edge: an eye reaches further than the point that stands for it, and so do lips.
        """
        points = np.array(self.landmarks)
        eyes_to_mouth = float(np.linalg.norm(points[:2].mean(axis=0) - points[3:].mean(axis=0)))
        margin = max(1.0, LEAST_MARGIN * eyes_to_mouth)
        return bool(((points >= margin) & (points <= np.array(size_wh) - margin)).all())


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
