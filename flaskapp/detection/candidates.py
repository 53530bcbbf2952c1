"""What a detector has to say about faces while it is not sure of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from flaskapp.detection.boxes import mirror_boxes, shift_boxes, suppress, turn_back
from flaskapp.detection.face import LANDMARKS, Face

OVERLAP = 0.7  # most that two kept guesses overlap; of the mtcnn package, whose networks these are

BEST_FACE_SCORE = 0.88
OTHER_FACE_SCORE = 0.95
"""Least detection score of a photo's best face, and of each further one: what looks a little
like a face is rarely the best of its photo."""

LEAST_DOWN = math.cos(math.radians(60))
"""How far below the eyes the mouth of an upright face is, in parts of their distance. A head on a
shoulder is tilted by 45 degrees; from 60 on it is the photo that lies on its side, and what the
networks, which know upright faces, take for eyes and mouth there is often neither."""

MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]
"""Which landmark each one becomes in a mirror: left eye and right eye change places, and so do
the mouth's corners."""


class Candidates(NamedTuple):
    """N guesses at faces, in the photo's pixels."""

    boxes: np.ndarray  # float64 (N, 4) left, top, right, bottom
    scores: np.ndarray  # (N,) in [0, 1]
    landmarks: np.ndarray  # float64 (N, 5, 2) as in ``Face``

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

    @property
    def best_score(self) -> float:
        """Score of the best candidate, 0 without any."""
        return float(self.scores.max(initial=0.0))

    def highest_of(self, least: float, size_wh: tuple[int, int]) -> float:
        """Return the height of the highest certain face in a photo of this size; 0 unless one's score is ``least``."""
        certain = self.upright().certain()
        heights = (face.height for face in certain.to_faces(size_wh))
        return max(heights, default=0.0) if certain.best_score >= least else 0.0

    def taken(self, indices: np.ndarray | slice) -> Candidates:
        """Return the candidates at these indices, in their order."""
        return Candidates(self.boxes[indices], self.scores[indices], self.landmarks[indices])

    def suppressed(self) -> Candidates:
        """Return the best of each face, best first."""
        return self.taken(suppress(self.boxes, self.scores, OVERLAP, of_smaller=True))

    def upright(self) -> Candidates:
        """Return the candidates whose mouth is below their eyes, tilted by 60 degrees at most."""
        x, y = (self.landmarks[:, 3:].mean(axis=1) - self.landmarks[:, :2].mean(axis=1)).T
        return self.taken(np.flatnonzero(y > LEAST_DOWN * np.hypot(x, y)))

    def certain(self) -> Candidates:
        """Return those of the candidates, which come best first, whose score is high enough."""
        least = np.full(len(self.scores), OTHER_FACE_SCORE)
        least[:1] = BEST_FACE_SCORE
        return self.taken(np.flatnonzero(self.scores >= least))

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
        return Candidates(mirror_boxes(self.boxes), self.scores, self.landmarks[:, MIRRORED_LANDMARKS] * (-1, 1))

    def moved(self, shift_xy: tuple[float, float]) -> Candidates:
        """Return the candidates moved right and down by so many pixels."""
        return Candidates(self.boxes + np.tile(shift_xy, 2), self.scores, self.landmarks + shift_xy)

    def scaled(self, scale_xy: tuple[float, float]) -> Candidates:
        """Return the candidates in the photo resized by these factors along x and y."""
        return Candidates(self.boxes * np.tile(scale_xy, 2), self.scores, self.landmarks * scale_xy)

    def to_faces(self, size_wh: tuple[int, int]) -> tuple[Face, ...]:
        """Return faces, left to right, their boxes cut off at the borders of a photo of this size."""
        boxes = np.clip(self.boxes, 0, np.tile(size_wh, 2)).tolist()
        faces = (
            Face((left, top, right, bottom), tuple((x, y) for x, y in landmarks), score)
            for (left, top, right, bottom), landmarks, score in zip(
                boxes, self.landmarks.tolist(), self.scores.tolist(), strict=True
            )
            if left < right and top < bottom
        )
        return tuple(sorted(faces, key=lambda face: face.box_xyxy))
