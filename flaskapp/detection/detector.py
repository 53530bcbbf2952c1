"""Faces in a photo: three networks in a cascade, from many guesses to few certain faces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from flaskapp.detection.boxes import Limits, mirror_boxes, shift_boxes, square_boxes, suppress
from flaskapp.detection.candidates import OVERLAP, Candidates
from flaskapp.detection.face import SMALLEST_FACE, Detection
from flaskapp.detection.networks import FILES, Network
from flaskapp.detection.pyramid import Pyramid
from flaskapp.parallel import once

LARGEST_IMAGE = 2048
"""Longer side, in pixels, of the largest photo that is searched as it is: a face in a
12-megapixel photo of a whole room still has 80 pixels, the smallest it then finds. A strip,
such as a panorama or a long screenshot, is searched at as many pixels as a square has of this side:
by its longer side alone, faces of 230 pixels would be lost in a screenshot of 1,080×12,000."""

LEAST_STRIP = 2.5  # A photo so many times as long as wide is a strip. Phones' photos and screens are up to 2.3

SURE_SCORE = 0.99
"""Detection score from which on nobody doubts that a photo is upright: 96 of 100 upright photos
reach it. What was found in photos that lie on their side or stand on their head, mostly noses and
chins taken for faces, had 0.97 at most, in 26 of 429 photos."""

TURNED_SCORE = 0.95
"""Least score of the best face in a photo that was turned: three more looks find more that is no
face. Where one was found without turning, doubtful as it is, the turned one must be sure."""

TURNED_HEIGHT = 0.7
"""Least height of the faces that are sought in a turned photo, in parts of the highest doubtful find
before it was turned. It was 0.79 or more in 113 photos in which a nose or chin was taken for a face."""

# Constants of the mtcnn package, whose networks these are.
CELL = 12  # side of the square that the first network judges, in its input's pixels
STRIDE = 2  # pixels from one such square to the next
SHRINK = 0.709  # from one level to the next: half the area
PROPOSAL_SCORE, REFINED_SCORE = 0.6, 0.7
LEVEL_OVERLAP = 0.5

LEAST_CELL = 0.6
"""Least side, in parts of a face's height, of cells that count in finding it. Of 112 second faces made
a third as high as the first, 0.8 loses two; 0.6 none, and moves eleven by half a per cent at most."""

LEAST_PIXELS = 100_000  # pixels of a photo from which on it is worth a look whether levels can be left out

LIKELY_SCORE = 0.6
"""Least score of a face that is looked at again. One view's score is worth that little: it
was 0.87 for a portrait whose four views agree on 0.97."""

LOOKS = 2
VIEW_SHIFTS = (-0.03, 0.03)
"""How often a likely face is looked at again, and how far those views of it are moved down, in
parts of its square; each view is mirrored too. When a photo is moved or resized a little, its
landmarks scatter by 2.1 % of the distance between the eyes without a look, 0.78 % after one, 0.58 %
after two, 0.53 % after three; its embedding by 0.097, 0.049 and 0.040 (with earlier weights). A look takes 1.5 ms."""

MOST_CELLS, MOST_GUESSES, MOST_LIKELY, MOST_FACES = 2000, 2000, 300, 100
"""How much is looked at, whatever a photo shows: cells of one level that may show a face, guesses
for the second and for the third network, faces that are looked at again. Photos of one person
or ten have at most 200 cells, 220 guesses and 15 likely ones. A collage of 4,096 faces would
otherwise take half a minute and eight gigabytes."""

Guesses = tuple[np.ndarray, np.ndarray]  # boxes (N, 4) in the photo's pixels, scores (N,)

CLOSE_UP_SIDE = 200  # shorter side to which a photo without a face is resized, to look for one that fills it
CLOSE_UP_BORDER = 0.25  # width of the border put around it, in parts of its shorter side
LONGEST_CLOSE_UP = 1600  # longer side of such a photo, so that a strip one pixel wide stays small


class Detector:
    """Finds faces and their landmarks; safe to share between threads.

    Args:
        smallest_face: side in pixels of the smallest face that is looked for, 12 or more.
        largest_image: longer side in pixels of the largest photo that is searched as it is, of a
            strip the side of a square as large; in a larger photo the smallest face grows in
            proportion, as ``Detection.smallest_face`` tells. Boxes and landmarks of
            what is found still come from all the photo's pixels.
        load: makes each of the three networks by its name.

    Raises:
        WeightsError: the detector's weights are missing or changed.
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        smallest_face: float = SMALLEST_FACE,
        largest_image: float = LARGEST_IMAGE,
        *,
        load: Callable[[str], Network] = Network,
    ) -> None:
        if smallest_face < CELL:
            raise ValueError(f"smallest_face expects {CELL} pixels or more. Received: {smallest_face}")
        if largest_image < smallest_face:
            raise ValueError(f"largest_image expects smallest_face or more. Received: {largest_image}")
        self.smallest_face = smallest_face
        self.largest_image = largest_image
        self._pnet, self._rnet, self._onet = map(load, FILES)

    def search(self, photo: np.ndarray, part: float = 0.0, full_wh: tuple[int, int] | None = None) -> Detection:
        """Find the faces of a photo, at most ``MOST_FACES``.

        Args:
            photo: uint8 (height, width, 3) RGB.
            part: from which height on faces are wanted, in parts of the highest one. Of lower ones some
                may be missing, as they are not looked for where that saves time.
            full_wh: width and height of the photo in whose pixels the answer is, if this one was made of it.

        Raises:
            ValueError: another shape or type, or no pixels.
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise ValueError(f"A photo must be uint8 (height, width, 3). Received: {photo.dtype} {photo.shape}")
        size_wh = photo.shape[1], photo.shape[0]
        limits = Limits()
        found, turned = self._look(photo, limits, part), 0
        if found.best_score < SURE_SCORE:
            found, turned, limits = self._look_turned(photo, found, limits, part)
        full_wh = full_wh or size_wh
        scale_xy = full_wh[0] / size_wh[0], full_wh[1] / size_wh[1]
        smallest = max(scale_xy) * self.smallest_face / self._search_scale(size_wh)
        return Detection(found.scaled(scale_xy).to_faces(full_wh), full_wh, smallest, limits.reached, turned)

    def _look_turned(
        self, photo: np.ndarray, found: Candidates, limits: Limits, part: float
    ) -> tuple[Candidates, int, Limits]:
        """Look at a photo that may lie on its side or stand on its head: what was found in it is doubtful, or nothing.

        Returns:
            The better ones, in the photo as it came; by how many degrees to the right it was turned
            for them; and the limits of that search.
        """
        size_wh = photo.shape[1], photo.shape[0]
        small, back_xy = resized(photo, self._search_scale(size_wh))
        best, degrees, enough = found, 0, SURE_SCORE if found.best_score else TURNED_SCORE
        least = TURNED_HEIGHT * found.highest_of(0, size_wh) / back_xy[1]
        for quarters in (1, 2, 3):
            within, turned = Limits(1 / 3), np.ascontiguousarray(np.rot90(small, quarters))
            seen = self._look(turned, within, part, least)
            if seen.best_score >= enough and seen.best_score > best.best_score:
                seen = self._look(turned, within, part) if least else seen
                best = seen.turned_back(quarters, (small.shape[1], small.shape[0])).scaled(back_xy)
                degrees, limits = 360 - 90 * quarters, within
        return best, degrees, limits

    def _look(self, photo: np.ndarray, limits: Limits, part: float, least: float = 0.0) -> Candidates:
        """Return the certain faces of a photo, those at least ``least`` pixels high, or the one that fills it."""
        found = self._search(photo, limits, part, least)
        return found if found.to_faces((photo.shape[1], photo.shape[0])) else self._search_close_up(photo, limits)

    def _search(self, photo: np.ndarray, limits: Limits, part: float = 0.0, least: float = 0.0) -> Candidates:
        """Return the certain faces, sought from large to small, until those left are below ``part`` of a sure one."""
        pyramid, levels, highest = Pyramid(photo), list[Guesses](), 0.0
        scales = [scale for scale in self._scales(pyramid.size_wh) if CELL / scale >= LEAST_CELL * least]
        for scale in scales:
            if CELL / scale < LEAST_CELL * part * highest:
                found = self._certain(pyramid, levels, limits)
                highest = found.highest_of(SURE_SCORE, pyramid.size_wh)
                if CELL / scale < LEAST_CELL * part * highest:
                    return found
            levels.append(self._propose(pyramid, scale, limits))
            # Faces of one such cell or more are worth a look: they let smaller levels be left out.
            if not highest and scale < LEAST_CELL * part * scales[-1] and photo.size > 3 * LEAST_PIXELS:
                highest = self._find(pyramid, levels[-1:], limits).highest_of(SURE_SCORE, pyramid.size_wh)
        return self._certain(pyramid, levels, limits)

    def _certain(self, pyramid: Pyramid, levels: Sequence[Guesses], limits: Limits) -> Candidates:
        """Return the certain faces among the guesses at some levels, coarse ones first."""
        found = self._settle(pyramid, self._find(pyramid, levels, limits), limits)
        return found.suppressed().upright().certain()

    def _find(self, pyramid: Pyramid, levels: Sequence[Guesses], limits: Limits) -> Candidates:
        """Return the best of each face, as the last network sees it at first, best first."""
        squares = self._refine(pyramid, _merge(levels, limits), limits)
        answer = self._onet(pyramid.samples(squares, self._onet.input_size))
        return Candidates.from_answer(squares, answer, count_ends=True).suppressed()

    def _search_close_up(self, photo: np.ndarray, limits: Limits) -> Candidates:
        """Look for a face that fills the photo; the networks know faces only with a margin.

        A small copy is enough: such a face keeps more pixels than the last network reads.
        """
        sides = photo.shape[:2]
        copy, back_xy = resized(photo, min(CLOSE_UP_SIDE / min(sides), LONGEST_CLOSE_UP / max(sides)))
        border = round(CLOSE_UP_BORDER * min(copy.shape[:2]))
        framed = cv2.copyMakeBorder(copy, border, border, border, border, cv2.BORDER_REPLICATE)
        found = self._search(framed, limits).moved((-border, -border)).scaled(back_xy)
        return found.taken(np.flatnonzero((found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1) >= self.smallest_face))

    def _search_scale(self, size_wh: tuple[int, int]) -> float:
        """Return the scale, 1 at most, at which a photo of this size is searched."""
        return min(1.0, self.largest_image / side_that_counts(size_wh))

    def _scales(self, size_wh: tuple[int, int]) -> list[float]:
        """Return the pyramid's scales: from the whole photo in a cell to the smallest face in one."""
        largest = CELL / self.smallest_face * self._search_scale(size_wh)
        smallest = CELL / min(size_wh)
        levels = int(math.log(smallest / largest) / math.log(SHRINK)) + 1 if largest >= smallest else 0
        return [largest * SHRINK**level for level in reversed(range(levels))]

    def _propose(self, pyramid: Pyramid, scale: float, limits: Limits) -> Guesses:
        """Return what may hold a face at one level of the pyramid."""
        level = pyramid.level(scale)
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

    def _refine(self, pyramid: Pyramid, squares: np.ndarray, limits: Limits) -> np.ndarray:
        """Return fewer and better squares (N, 4)."""
        answer = self._rnet(pyramid.samples(squares, self._rnet.input_size))
        likely = answer["scores"] > REFINED_SCORE
        boxes = shift_boxes(squares[likely], answer["offsets"][likely], count_ends=True)
        scores = answer["scores"][likely]
        kept = suppress(boxes, scores, OVERLAP)
        return square_boxes(boxes[kept[limits.keep(boxes[kept], scores[kept], MOST_LIKELY)]])

    def _settle(self, pyramid: Pyramid, found: Candidates, limits: Limits) -> Candidates:
        """Look at each likely face again, from views about the last look's box, and average."""
        found = found.taken(np.flatnonzero(found.scores > LIKELY_SCORE))
        found = found.taken(limits.keep(found.boxes, found.scores, MOST_FACES))
        for _ in range(LOOKS):
            found = self._describe(pyramid, square_boxes(found.boxes))
        return found

    def _describe(self, pyramid: Pyramid, squares: np.ndarray) -> Candidates:
        """Return the mean of what is seen in squares (N, 4) moved down by ``VIEW_SHIFTS``, each as it is and mirrored.

        Cut edge to edge and mirrored too, so that the answer for a mirrored photo is the
        mirrored answer.
        """
        down = (squares[:, 3:] - squares[:, 1:2])[:, None] * np.reshape(VIEW_SHIFTS, (-1, 1)) * (0, 1, 0, 1)
        moved = (squares[:, None] + down).reshape(-1, 4)
        pieces = pyramid.pieces(moved, self._onet.input_size)
        answer = self._onet(np.concatenate([pieces, pieces[:, :, ::-1]]))
        both = Candidates.from_answer(np.concatenate([moved, mirror_boxes(moved)]), answer)
        plain, mirrored = both.taken(slice(len(moved))), both.taken(slice(len(moved), None)).mirrored()
        views = len(squares), 2 * len(VIEW_SHIFTS)
        pairs = zip(plain, mirrored, strict=True)
        return Candidates(*(np.stack(pair, axis=1).reshape(*views, *pair[0].shape[1:]).mean(axis=1) for pair in pairs))


def _merge(levels: Sequence[Guesses], limits: Limits) -> np.ndarray:
    """Return squares (N, 4) that may hold a face, of the guesses at several levels."""
    boxes = np.concatenate([np.empty((0, 4)), *(boxes for boxes, _ in reversed(levels))])
    scores = np.concatenate([np.empty(0), *(scores for _, scores in reversed(levels))])
    kept = limits.keep(boxes, scores, MOST_GUESSES)
    boxes, scores = boxes[kept], scores[kept]
    return square_boxes(boxes[suppress(boxes, scores, OVERLAP)])


def side_that_counts(size_wh: tuple[int, int]) -> float:
    """Return by what a photo counts as large: its longer side, or of a strip the side of a square as large."""
    is_strip = max(size_wh) >= LEAST_STRIP * min(size_wh)
    return math.sqrt(size_wh[0] * size_wh[1]) if is_strip else max(size_wh)


def resized(photo: np.ndarray, scale: float) -> tuple[np.ndarray, tuple[float, float]]:
    """Return a photo resized by ``scale``, and the factors along x and y that lead back."""
    height, width = photo.shape[:2]
    size_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    copy = cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return copy, (width / size_wh[0], height / size_wh[1])


@once
def default_detector() -> Detector:
    """Return the detector with default settings, loaded once, at its first use."""
    return Detector()
