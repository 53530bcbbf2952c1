"""Faces in a photo: three networks in a cascade, from many guesses to few certain faces."""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from flaskapp.detection.boxes import clip_boxes, shift_boxes, square_boxes, suppress
from flaskapp.detection.networks import load_network
from flaskapp.detection.pyramid import Level, Pyramid

__all__ = ["LARGEST_IMAGE", "SMALLEST_FACE", "Detector", "Face", "default_detector", "detect_faces"]

SMALLEST_FACE = 40
"""Side, in pixels, of the smallest face that is looked for."""

LARGEST_IMAGE = 2048
"""Longer side, in pixels, of the largest photo that is searched as it is."""

BEST_FACE_SCORE = 0.88
OTHER_FACE_SCORE = 0.95
"""Least detection score of a photo's best face, and of each further one. Good portraits go
down to 0.90, while things that look like a face reach 0.86 beside a real one."""

# The constants below are those of the mtcnn package, whose networks these are.
CELL = 12  # side of the square that the first network judges, in its input's pixels
STRIDE = 2  # pixels between two such squares
SHRINK = 0.709  # from one level to the next: half the area
PROPOSAL_SCORE, REFINED_SCORE = 0.6, 0.7
LEVEL_OVERLAP, OVERLAP = 0.5, 0.7


@dataclass(frozen=True)
class Face:
    """A face in a photo, in the photo's pixels.

    Attributes:
        box_xyxy: left, top, right, bottom.
        landmarks: (x, y) of left eye, right eye, nose, left and right mouth corner, left and
            right as the viewer sees them; they may lie slightly outside the box.
        detection_score: in [0, 1]; how sure the detector is that this is a face. It says
            nothing about whose face it is.
    """

    box_xyxy: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    detection_score: float

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box_xyxy
        if not (left < right and top < bottom):
            raise ValueError(f"A face's box must be left, top, right, bottom. Received: {self.box_xyxy}")
        if len(self.landmarks) != 5:
            raise ValueError(f"A face has five landmarks. Received: {len(self.landmarks)}")
        if not 0 <= self.detection_score <= 1:
            raise ValueError(f"A detection score lies in [0, 1]. Received: {self.detection_score}")

    @property
    def width(self) -> float:
        """Width of the box."""
        return self.box_xyxy[2] - self.box_xyxy[0]

    @property
    def height(self) -> float:
        """Height of the box."""
        return self.box_xyxy[3] - self.box_xyxy[1]

    def moved(self, scale_xy: tuple[float, float], shift_xy: tuple[float, float] = (0.0, 0.0)) -> Face:
        """Return this face in a photo that was resized and then shifted.

        A box ends on the edges of pixels and a landmark at 0 lies in the middle of the first
        pixel, so resizing treats them differently by half a pixel.
        """
        (sx, sy), (dx, dy) = scale_xy, shift_xy
        left, top, right, bottom = self.box_xyxy
        return Face(
            (left * sx + dx, top * sy + dy, right * sx + dx, bottom * sy + dy),
            tuple(((x + 0.5) * sx - 0.5 + dx, (y + 0.5) * sy - 0.5 + dy) for x, y in self.landmarks),
            self.detection_score,
        )


class _Candidates(NamedTuple):
    """Boxes float64 (N, 4), their scores (N,), and from the last network landmarks (N, 5, 2)."""

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


class Detector:
    """Finds faces and their landmarks; safe to share between threads.

    Args:
        smallest_face: side in pixels of the smallest face that is looked for.
        largest_image: longer side in pixels of the largest photo that is searched as it is;
            in a larger one the smallest face grows in proportion. Boxes and landmarks are
            still found from all of the photo's pixels.

    Raises:
        WeightsError: the detector's weights are missing or changed.
        ValueError: a setting is out of range.
    """

    def __init__(self, smallest_face: float = SMALLEST_FACE, largest_image: float = LARGEST_IMAGE) -> None:
        if smallest_face < CELL:
            raise ValueError(f"The smallest face must have {CELL} pixels or more. Received: {smallest_face}")
        if largest_image < smallest_face:
            raise ValueError(f"The largest image must hold the smallest face. Received: {largest_image}")
        self.smallest_face = smallest_face
        self.largest_image = largest_image
        self._pnet, self._rnet, self._onet = (load_network(name) for name in ("pnet", "rnet", "onet"))

    def detect_faces(self, photo: np.ndarray) -> tuple[Face, ...]:
        """Return all faces, left to right.

        Args:
            photo: uint8 (height, width, 3) RGB.

        Raises:
            ValueError: another shape or type.
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ValueError(f"A photo must be uint8 (height, width, 3). Received: {photo.dtype} {photo.shape}")
        return self._search(photo) or self._search_tight_crop(photo)

    def _search_tight_crop(self, photo: np.ndarray) -> tuple[Face, ...]:
        return ()

    def _search(self, photo: np.ndarray) -> tuple[Face, ...]:
        pyramid = Pyramid(photo)
        found = self._describe(pyramid, self._refine(pyramid, self._propose(pyramid)))
        boxes = clip_boxes(found.boxes, pyramid.size_wh)
        faces = [
            Face(tuple(boxes[index].tolist()), tuple(map(tuple, found.landmarks[index].tolist())), float(score))
            for index, score in _certain(found.scores)
            if (boxes[index, 2:] > boxes[index, :2]).all()
        ]
        return tuple(sorted(faces, key=lambda face: face.box_xyxy))

    def _propose(self, pyramid: Pyramid) -> np.ndarray:
        """Return squares (N, 4) that may hold a face, from every level of the pyramid."""
        per_level = [self._propose_level(pyramid.level(scale)) for scale in self._scales(pyramid.size_wh)]
        boxes = np.concatenate([np.empty((0, 4)), *(boxes for boxes, _ in per_level)])
        scores = np.concatenate([np.empty(0), *(scores for _, scores in per_level)])
        return square_boxes(boxes[suppress(boxes, scores, OVERLAP)])

    def _scales(self, size_wh: tuple[int, int]) -> list[float]:
        """Return the pyramid's scales: from the smallest face in a cell to the whole photo in one."""
        largest = CELL / self.smallest_face * min(1.0, self.largest_image / max(size_wh))
        smallest = CELL / min(size_wh)
        if largest < smallest:
            return []
        levels = int(math.log(smallest / largest) / math.log(SHRINK)) + 1
        return [largest * SHRINK**level for level in range(levels)]

    def _propose_level(self, level: Level) -> tuple[np.ndarray, np.ndarray]:
        answer = self._pnet(level.pixels[None].astype(np.float32))
        rows, columns = np.nonzero(answer["scores"][0] > PROPOSAL_SCORE)
        corners = np.stack([columns, rows], axis=1) * STRIDE
        cells = np.concatenate([corners, corners + CELL], axis=1)
        boxes = (cells + CELL * answer["offsets"][0, rows, columns]) / np.tile(level.scale_xy, 2)
        scores = answer["scores"][0, rows, columns]
        kept = suppress(boxes, scores, LEVEL_OVERLAP)
        return boxes[kept], scores[kept]

    def _refine(self, pyramid: Pyramid, squares: np.ndarray) -> np.ndarray:
        """Return fewer and better squares (N, 4)."""
        if not len(squares):
            return squares
        answer = self._rnet(pyramid.pieces(squares, self._rnet.input_size))
        likely = answer["scores"] > REFINED_SCORE
        boxes = shift_boxes(squares[likely], answer["offsets"][likely])
        return square_boxes(boxes[suppress(boxes, answer["scores"][likely], OVERLAP)])

    def _describe(self, pyramid: Pyramid, squares: np.ndarray) -> _Candidates:
        """Return boxes, scores and landmarks, best first."""
        if not len(squares):
            return _Candidates(squares, np.empty(0), np.empty((0, 5, 2)))
        answer = self._onet(pyramid.pieces(squares, self._onet.input_size))
        boxes = shift_boxes(squares, answer["offsets"])
        kept = suppress(boxes, answer["scores"], OVERLAP, of_smaller=True)
        landmarks = _place_landmarks(squares, answer["landmarks"])
        return _Candidates(boxes[kept], answer["scores"][kept], landmarks[kept])


def _place_landmarks(squares: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Turn the last network's landmarks into photo coordinates.

    Args:
        squares: (N, 4).
        landmarks: (N, 10), five x then five y, in parts of the squares' sides.

    Returns:
        (N, 5, 2). The ones are those of ``shift_boxes`` and of a training whose pixels
        counted from 1.
    """
    sides = squares[:, 2:] - squares[:, :2] + 1
    parts = landmarks.reshape(-1, 2, 5).transpose(0, 2, 1)
    return parts * sides[:, None] + squares[:, None, :2] - 1


def _certain(scores: np.ndarray) -> list[tuple[int, float]]:
    """Return the index and score of each candidate that is certain enough, best first."""
    least = [BEST_FACE_SCORE] + [OTHER_FACE_SCORE] * len(scores)
    return [(index, score) for index, score in enumerate(scores.tolist()) if score >= least[index]]


_default_lock = threading.Lock()


def default_detector() -> Detector:
    """Return the detector with default settings, which is loaded once, at its first use."""
    with _default_lock:
        return _load_default()


@functools.cache
def _load_default() -> Detector:
    return Detector()


def detect_faces(photo: np.ndarray) -> tuple[Face, ...]:
    """Return all faces of a photo, left to right, found with default settings.

    Args:
        photo: uint8 (height, width, 3) RGB.
    """
    return default_detector().detect_faces(photo)
