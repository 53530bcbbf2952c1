"""Faces in a photo: three networks in a cascade, from many guesses to few certain faces."""

from __future__ import annotations

import itertools
import math
import threading

import cv2
import numpy as np

from flaskapp.detection.boxes import best_of_each_size, mirror_boxes, shift_boxes, square_boxes, suppress
from flaskapp.detection.candidates import Candidates, Face
from flaskapp.detection.detection import SMALLEST_FACE, Detection
from flaskapp.detection.networks import load_network
from flaskapp.detection.pyramid import Level, Pyramid

LARGEST_IMAGE = 2048
"""Longer side, in pixels, of the largest photo that is searched as it is: a face in a
12-megapixel photo of a whole room still has 80 pixels, the smallest it then finds. A strip,
such as a panorama or a long screenshot, is searched at as many pixels as a square has of this side:
by its longer side alone, faces of 230 pixels would be lost in a screenshot of 1,080×12,000."""

LEAST_STRIP = 2.5
"""A photo so many times as long as wide is a strip. Phones' photos and screens are up to 2.3."""

BEST_FACE_SCORE = 0.88
OTHER_FACE_SCORE = 0.95
"""Least detection score of a photo's best face, and of each further one: what looks a little
like a face is rarely the best of its photo."""

SURE_SCORE = 0.99
"""Detection score from which on nobody doubts that a photo is upright: 96 of 100 upright photos
reach it. What was found in photos that lie on their side or stand on their head, mostly noses and
chins taken for faces, had 0.97 at most, in 26 of 429 photos."""

TURNED_SCORE = 0.95
"""Least score of the best face in a photo that was turned: three more looks find more that is no
face. Where one was found without turning, doubtful as it is, the turned one must be sure."""

# Constants of the mtcnn package, whose networks these are.
CELL = 12  # side of the square that the first network judges, in its input's pixels
STRIDE = 2  # pixels from one such square to the next
SHRINK = 0.709  # from one level to the next: half the area
PROPOSAL_SCORE, REFINED_SCORE = 0.6, 0.7
LEVEL_OVERLAP, OVERLAP = 0.5, 0.7

LIKELY_SCORE = 0.6
"""Least score of a face that is looked at again. One view's score is worth that little: it
was 0.87 for a portrait whose four views agree on 0.97."""

LOOKS = 2
VIEW_SHIFTS = (-0.03, 0.03)
"""How often a likely face is looked at again, and how far those views of it are moved down, in
parts of its square; each view is mirrored too. A third look steadies the landmarks by
another 0.05 % of the distance between the eyes only."""

MOST_CELLS, MOST_GUESSES, MOST_LIKELY, MOST_FACES = 2000, 2000, 300, 100
"""How much is looked at, whatever a photo shows: cells of one level that may show a face, guesses
for the second and for the third network, faces that are looked at again. Photos of one person
or ten have at most 200 cells, 220 guesses and 15 likely ones. A collage of 4,096 faces would
otherwise take half a minute and eight gigabytes."""

CLOSE_UP_SIDE = 200
"""Shorter side to which a photo without a face is resized, to look for one that fills it."""

CLOSE_UP_BORDER = 0.25
"""Width of the border put around it, in parts of its shorter side."""

LONGEST_CLOSE_UP = 1600
"""Longer side of such a photo, so that a strip one pixel wide stays small."""


class Detector:
    """Finds faces and their landmarks; safe to share between threads.

    Args:
        smallest_face: side in pixels of the smallest face that is looked for, 12 or more.
        largest_image: longer side in pixels of the largest photo that is searched as it is, of a
            strip the side of a square as large; in a larger photo the smallest face grows in
            proportion, as ``Detection.smallest_face`` tells. Boxes and landmarks of
            what is found still come from all the photo's pixels.
        settle: look at each face again from slightly different views and average. Without it
            the answer is the cascade's own, and jumps: when a photo is moved or resized a
            little, its landmarks scatter by 2.6 % of the distance between the eyes; settled,
            by 0.6 %.

    Raises:
        WeightsError: the detector's weights are missing or changed.
        ValueError: a setting is out of range.
    """

    def __init__(
        self, smallest_face: float = SMALLEST_FACE, largest_image: float = LARGEST_IMAGE, *, settle: bool = True
    ) -> None:
        if smallest_face < CELL:
            raise ValueError(f"smallest_face expects {CELL} pixels or more. Received: {smallest_face}")
        if largest_image < smallest_face:
            raise ValueError(f"largest_image expects smallest_face or more. Received: {largest_image}")
        self.smallest_face = smallest_face
        self.largest_image = largest_image
        self.settle = settle
        self._pnet, self._rnet, self._onet = (load_network(name) for name in ("pnet", "rnet", "onet"))

    def detect_faces(self, photo: np.ndarray) -> tuple[Face, ...]:
        """Return all faces that ``search`` finds, left to right."""
        return self.search(photo).faces

    def search(self, photo: np.ndarray) -> Detection:
        """Find the faces of a photo, at most ``MOST_FACES``.

        Args:
            photo: uint8 (height, width, 3) RGB.

        Raises:
            ValueError: another shape or type, or no pixels.
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise ValueError(f"A photo must be uint8 (height, width, 3). Received: {photo.dtype} {photo.shape}")
        size_wh = photo.shape[1], photo.shape[0]
        limits = _Limits()
        found, turned = self._look(photo, limits), 0
        if _best(found) < SURE_SCORE:
            found, turned, limits = self._look_turned(photo, found, limits)
        smallest = self.smallest_face / self._search_scale(size_wh)
        return Detection(found.to_faces(size_wh), size_wh, smallest, limits.reached, turned)

    def _look_turned(self, photo: np.ndarray, found: Candidates, limits: _Limits) -> tuple[Candidates, int, _Limits]:
        """Look at a photo that may lie on its side or stand on its head.

        Args:
            photo: as it came.
            found: in it, doubtful or nothing.
            limits: of that search.

        Returns:
            The better ones, in the photo as it came; by how many degrees to the right it was turned
            for them; and the limits of that search.
        """
        height, width = photo.shape[:2]
        scale = self._search_scale((width, height))
        small_wh = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(photo, small_wh, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        best, degrees, least = found, 0, SURE_SCORE if _best(found) else TURNED_SCORE
        for quarters in (1, 2, 3):
            within = _Limits(1 / 3)
            seen = self._look(np.ascontiguousarray(np.rot90(small, quarters)), within)
            if _best(seen) >= least and _best(seen) > _best(best):
                best = seen.turned_back(quarters, small_wh).scaled((width / small_wh[0], height / small_wh[1]))
                degrees, limits = 360 - 90 * quarters, within
        return best, degrees, limits

    def _look(self, photo: np.ndarray, limits: _Limits) -> Candidates:
        """Return the certain faces of a photo, or the one that fills it."""
        found = self._search(photo, limits)
        return found if len(found.to_faces((photo.shape[1], photo.shape[0]))) else self._search_close_up(photo, limits)

    def _search(self, photo: np.ndarray, limits: _Limits) -> Candidates:
        """Return the certain faces."""
        pyramid = Pyramid(photo)
        found = self._describe(pyramid, self._refine(pyramid, self._propose(pyramid, limits), limits))
        if self.settle:
            found = self._settle(pyramid, found, limits)
        found = found.upright()
        return found.taken(_certain(found.scores))

    def _search_close_up(self, photo: np.ndarray, limits: _Limits) -> Candidates:
        """Look for a face that fills the photo; the networks know faces only with a margin.

        A small copy is enough: such a face keeps more pixels than the last network reads.
        """
        height, width = photo.shape[:2]
        scale = min(CLOSE_UP_SIDE / min(height, width), LONGEST_CLOSE_UP / max(height, width))
        copy_wh = max(round(width * scale), 1), max(round(height * scale), 1)
        copy = cv2.resize(photo, copy_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        border = round(CLOSE_UP_BORDER * min(copy_wh))
        framed = cv2.copyMakeBorder(copy, border, border, border, border, cv2.BORDER_REPLICATE)
        found = self._search(framed, limits).moved((-border, -border)).scaled((width / copy_wh[0], height / copy_wh[1]))
        sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1)
        return found.taken(np.flatnonzero(sides >= self.smallest_face))

    def _propose(self, pyramid: Pyramid, limits: _Limits) -> np.ndarray:
        """Return squares (N, 4) that may hold a face, from every level of the pyramid."""
        levels = [self._propose_level(pyramid.level(scale), limits) for scale in self._scales(pyramid.size_wh)]
        boxes = np.concatenate([np.empty((0, 4)), *(boxes for boxes, _ in levels)])
        scores = np.concatenate([np.empty(0), *(scores for _, scores in levels)])
        kept = limits.keep(boxes, scores, MOST_GUESSES)
        boxes, scores = boxes[kept], scores[kept]
        return square_boxes(boxes[suppress(boxes, scores, OVERLAP)])

    def _search_scale(self, size_wh: tuple[int, int]) -> float:
        """Return the scale, 1 at most, at which a photo of this size is searched."""
        return min(1.0, self.largest_image / side_that_counts(size_wh))

    def _scales(self, size_wh: tuple[int, int]) -> list[float]:
        """Return the pyramid's scales: from the smallest face in a cell to the whole photo in one."""
        largest = CELL / self.smallest_face * self._search_scale(size_wh)
        smallest = CELL / min(size_wh)
        if largest < smallest:
            return []
        levels = int(math.log(smallest / largest) / math.log(SHRINK)) + 1
        return [largest * SHRINK**level for level in range(levels)]

    def _propose_level(self, level: Level, limits: _Limits) -> tuple[np.ndarray, np.ndarray]:
        answer = self._pnet(level.pixels[None].astype(np.float32))
        rows, columns = np.nonzero(answer["scores"][0] > PROPOSAL_SCORE)
        corners = np.stack([columns, rows], axis=1) * STRIDE
        # Pixels counted from 1 in the networks' training: the cells are 1 to 12, 3 to 14, …
        cells = np.concatenate([corners + 1, corners + CELL], axis=1)
        boxes = (cells + (CELL - 1) * answer["offsets"][0, rows, columns]) / np.tile(level.scale_xy, 2)
        scores = answer["scores"][0, rows, columns]
        best = limits.keep(boxes, scores, MOST_CELLS)
        boxes, scores = boxes[best], scores[best]
        kept = suppress(boxes, scores, LEVEL_OVERLAP)
        return boxes[kept], scores[kept]

    def _refine(self, pyramid: Pyramid, squares: np.ndarray, limits: _Limits) -> np.ndarray:
        """Return fewer and better squares (N, 4)."""
        if not len(squares):
            return squares
        answer = self._rnet(pyramid.samples(squares, self._rnet.input_size))
        likely = answer["scores"] > REFINED_SCORE
        boxes = shift_boxes(squares[likely], answer["offsets"][likely], count_ends=True)
        scores = answer["scores"][likely]
        kept = suppress(boxes, scores, OVERLAP)
        return square_boxes(boxes[kept[limits.keep(boxes[kept], scores[kept], MOST_LIKELY)]])

    def _describe(self, pyramid: Pyramid, squares: np.ndarray) -> Candidates:
        """Return what the last network makes of squares (N, 4), best first."""
        if not len(squares):
            return Candidates.none()
        answer = self._onet(pyramid.samples(squares, self._onet.input_size))
        return _suppressed(Candidates.from_answer(squares, answer, count_ends=True))

    def _settle(self, pyramid: Pyramid, found: Candidates, limits: _Limits) -> Candidates:
        """Look at each likely face again, from views about the last look's box, and average."""
        found = found.taken(np.flatnonzero(found.scores > LIKELY_SCORE))
        found = found.taken(limits.keep(found.boxes, found.scores, MOST_FACES))
        if not len(found.scores):
            return found
        for _ in range(LOOKS):
            squares = square_boxes(found.boxes)
            views = itertools.chain.from_iterable(self._views(pyramid, squares, shift) for shift in VIEW_SHIFTS)
            found = Candidates(*(np.mean(parts, axis=0) for parts in zip(*views, strict=True)))
        return _suppressed(found)

    def _views(self, pyramid: Pyramid, squares: np.ndarray, shift: float) -> tuple[Candidates, Candidates]:
        """Describe squares moved down by a part of their side, as they are and mirrored.

        Cut edge to edge and mirrored too, so that the answer for a mirrored photo is the
        mirrored answer.
        """
        squares = squares + shift * (squares[:, 3:] - squares[:, 1:2]) * (0, 1, 0, 1)
        pieces = pyramid.pieces(squares, self._onet.input_size)
        plain = Candidates.from_answer(squares, self._onet(pieces))
        mirrored_pieces = np.ascontiguousarray(pieces[:, :, ::-1])
        mirrored = Candidates.from_answer(mirror_boxes(squares), self._onet(mirrored_pieces))
        return plain, mirrored.mirrored()


def side_that_counts(size_wh: tuple[int, int]) -> float:
    """Return by what a photo counts as large: its longer side, or of a strip the side of a square as large."""
    is_strip = max(size_wh) >= LEAST_STRIP * min(size_wh)
    return math.sqrt(size_wh[0] * size_wh[1]) if is_strip else max(size_wh)


class _Limits:
    """Keeps to how much of a photo is looked at, and remembers whether that left anything out.

    Args:
        share: of what is allowed; three searches of a third cost as much as one.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self.reached = False

    def keep(self, boxes: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
        """Return the indices of ``most`` boxes at most, or of its share; see ``best_of_each_size``."""
        most = round(most * self.share)
        self.reached |= len(boxes) > most
        return best_of_each_size(boxes, scores, most)


def _suppressed(found: Candidates) -> Candidates:
    return found.taken(suppress(found.boxes, found.scores, OVERLAP, of_smaller=True))


def _best(found: Candidates) -> float:
    """Return the score of the best candidate, 0 without any."""
    return float(found.scores.max(initial=0.0))


def _certain(scores: np.ndarray) -> np.ndarray:
    """Return the indices of scores (N,), best first, that are high enough."""
    least = np.full(len(scores), OTHER_FACE_SCORE)
    least[:1] = BEST_FACE_SCORE
    return np.flatnonzero(scores >= least)


_default: Detector | None = None
_lock = threading.Lock()


def default_detector() -> Detector:
    """Return the detector with default settings, loaded once, at its first use."""
    global _default
    with _lock:
        if _default is None:
            _default = Detector()
        return _default


def detect_faces(photo: np.ndarray) -> tuple[Face, ...]:
    """Return all faces of a photo, left to right, found with default settings.

    Args:
        photo: uint8 (height, width, 3) RGB.
    """
    return default_detector().detect_faces(photo)
