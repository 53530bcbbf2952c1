"""What a detector has to say about a face, while it is one guess of many and when it is sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flaskapp.detection.boxes import clip_boxes, mirror_boxes, shift_boxes, turn_back

LANDMARKS = 5
LEAST_DOWN = math.cos(math.radians(60))
"""How far below the eyes the mouth of an upright face is, in parts of their distance. A head on a
shoulder is tilted by 45 degrees; from 60 on it is the photo that lies on its side, and what the
networks, which know upright faces, take for eyes and mouth there is often neither."""

LEAST_MARGIN = 0.2
"""How far each landmark of a whole face lies from the photo's edge, in parts of the distance from
eyes to mouth. In 2,373 photos of whole faces it was 0.57 at least, in 388 that end at the eyebrows
0.2 but for one. Of 702 found where photos end through the eyes or just below, 13 lie further
inside: each is somebody else's whole face."""

MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]
"""Which landmark each one becomes in a mirror: left eye and right eye change places, and so do
the mouth's corners."""


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
    def width(self) -> float:
        """Width of the box."""
        return self.box_xyxy[2] - self.box_xyxy[0]

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

    def scaled(self, scale_xy: tuple[float, float]) -> Face:
        """Return this face in the photo resized by these factors along x and y."""
        scale_x, scale_y = scale_xy
        left, top, right, bottom = self.box_xyxy
        return Face(
            (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y),
            tuple((x * scale_x, y * scale_y) for x, y in self.landmarks),
            self.detection_score,
        )


class Candidates(NamedTuple):
    """N guesses at faces, in the photo's pixels.

    Attributes:
        boxes: float64 (N, 4) left, top, right, bottom.
        scores: (N,) in [0, 1].
        landmarks: float64 (N, 5, 2) as in ``Face``.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    @classmethod
    def none(cls) -> Candidates:
        """Return no candidates at all."""
        return cls(np.empty((0, 4)), np.empty(0), np.empty((0, LANDMARKS, 2)))

    @classmethod
    def from_answer(cls, squares: np.ndarray, answer: dict[str, np.ndarray], *, count_ends: bool = False) -> Candidates:
        """Turn the last network's answer about squares into the photo's coordinates.

        Args:
            squares: (N, 4) that the network saw.
            answer: "offsets" (N, 4), "scores" (N,), and "landmarks" (N, 10): five x, then
                five y, in parts of the squares' sides.
            count_ends: as in ``shift_boxes``; landmarks then count from 1, so 1 is taken off.
        """
        ends = 1 if count_ends else 0
        sides = squares[:, None, 2:] - squares[:, None, :2] + ends
        parts = answer["landmarks"].reshape(-1, 2, LANDMARKS).transpose(0, 2, 1)
        landmarks = squares[:, None, :2] + parts * sides - ends
        return cls(shift_boxes(squares, answer["offsets"], count_ends=count_ends), answer["scores"], landmarks)

    def taken(self, indices: np.ndarray) -> Candidates:
        """Return the candidates at these indices, in their order."""
        return Candidates(self.boxes[indices], self.scores[indices], self.landmarks[indices])

    def upright(self) -> Candidates:
        """Return the candidates whose mouth is below their eyes, tilted by 60 degrees at most."""
        x, y = (self.landmarks[:, 3:].mean(axis=1) - self.landmarks[:, :2].mean(axis=1)).T
        return self.taken(np.flatnonzero(y > LEAST_DOWN * np.hypot(x, y)))

    def turned_back(self, quarters: int, size_wh: tuple[float, float]) -> Candidates:
        """Return the candidates of a turned photo in the photo as it was; see ``boxes.turn_back``."""
        corners = turn_back(self.boxes.reshape(-1, 2, 2), quarters, size_wh)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        # Faces are cut as if a landmark at 0 were the middle of the first pixel, and so it is turned:
        # otherwise the cut would be half a pixel off, once to the one side and once to the other.
        middles_wh = size_wh[0] - 1, size_wh[1] - 1
        return Candidates(boxes, self.scores, turn_back(self.landmarks, quarters, middles_wh))

    def mirrored(self) -> Candidates:
        """Return the candidates mirrored at x = 0."""
        landmarks = self.landmarks[:, MIRRORED_LANDMARKS] * (-1, 1)
        return Candidates(mirror_boxes(self.boxes), self.scores, landmarks)

    def moved(self, shift_xy: tuple[float, float]) -> Candidates:
        """Return the candidates moved right and down by so many pixels."""
        return Candidates(self.boxes + np.tile(shift_xy, 2), self.scores, self.landmarks + shift_xy)

    def scaled(self, scale_xy: tuple[float, float]) -> Candidates:
        """Return the candidates in the photo resized by these factors along x and y."""
        return Candidates(self.boxes * np.tile(scale_xy, 2), self.scores, self.landmarks * scale_xy)

    def to_faces(self, size_wh: tuple[int, int]) -> tuple[Face, ...]:
        """Return faces, left to right, their boxes cut off at the borders of a photo of this size."""
        boxes = clip_boxes(self.boxes, size_wh)
        inside = np.flatnonzero((boxes[:, :2] < boxes[:, 2:]).all(axis=1))
        faces = (
            Face(_four(boxes[index]), tuple(map(_pair, self.landmarks[index])), float(self.scores[index]))
            for index in inside
        )
        return tuple(sorted(faces, key=lambda face: face.box_xyxy))


def _four(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = box.tolist()
    return left, top, right, bottom


def _pair(point: np.ndarray) -> tuple[float, float]:
    x, y = point.tolist()
    return x, y
