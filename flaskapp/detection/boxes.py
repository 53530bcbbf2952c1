"""Arithmetic on boxes: overlap, suppression, squares. NumPy only, nothing is changed in place."""

from __future__ import annotations

import numpy as np

AT_ONCE = 64  # boxes that are held against all others: for two thousand that is a megabyte a number


def overlaps(some_xyxy: np.ndarray, boxes_xyxy: np.ndarray, *, of_smaller: bool = False) -> np.ndarray:
    """Return how much each of some boxes overlaps each of others.

    Args:
        some_xyxy: (M, 4), or (4,), left, top, right, bottom.
        boxes_xyxy: (N, 4).
        of_smaller: divide the common area by the smaller box's area instead of the area
            that both cover together, so that a box inside another counts as 1.

    Returns:
        (M, N), or (N,), in [0, 1].
    """
    (left, top, right, bottom), some = boxes_xyxy.T, some_xyxy.T[..., None]
    width = np.minimum(right, some[2]) - np.maximum(left, some[0])
    height = np.minimum(bottom, some[3]) - np.maximum(top, some[1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = (some[2] - some[0]) * (some[3] - some[1])
    areas = (right - left) * (bottom - top)
    whole = np.minimum(areas, area) if of_smaller else areas + area - common
    return common / np.maximum(whole, 1e-9)  # boxes without area overlap nothing


def suppress(
    boxes_xyxy: np.ndarray, scores: np.ndarray, largest_overlap: float, *, of_smaller: bool = False
) -> np.ndarray:
    """Keep the best of each cluster of overlapping boxes (greedy non-maximum suppression).

    A box is dropped when it overlaps a better box *that is itself kept*: a dropped box takes
    nobody with it. Equal scores are settled by order, so the answer is always the same.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,), higher is better.
        largest_overlap: two kept boxes overlap by at most this.
        of_smaller: see ``overlaps``.

    Returns:
        Indices of the kept boxes, best first.
    """
    waiting = np.argsort(-scores, kind="stable")
    kept = list[int]()
    while waiting.size:
        best, boxes, free = waiting[:AT_ONCE].tolist(), boxes_xyxy[waiting], np.ones(len(waiting), bool)
        for index, box in enumerate(overlaps(boxes[:AT_ONCE], boxes, of_smaller=of_smaller) <= largest_overlap):
            if free[index]:
                kept.append(best[index])
                free &= box
        waiting = waiting[AT_ONCE:][free[AT_ONCE:]]
    return np.array(kept, dtype=np.intp)


class Limits:
    """Keeps to how much of a photo is looked at, and remembers whether that left anything out.

    Args:
        share: of what is allowed; three searches of a third cost as much as one.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self.reached = False

    def keep(self, boxes_xyxy: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
        """Choose boxes by turns from all sizes, the best of each size first.

        Whoever stands in front of a crowd is larger than the crowd and must not be lost among its
        many good boxes, nor the crowd for a few large boxes that are no faces. Two boxes are of one
        size if both lie between the same two powers of two.

        Args:
            boxes_xyxy: (N, 4).
            scores: (N,), higher is better.
            most: how many are kept, or of how many the share.

        Returns:
            Indices of the kept boxes, in their order.
        """
        most = round(most * self.share)
        if len(boxes_xyxy) <= most:
            return np.arange(len(boxes_xyxy))
        self.reached = True
        sizes = np.floor(np.log2(np.maximum((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1), 1)))
        ranks = np.empty(len(sizes), dtype=np.intp)
        for size in np.unique(sizes):
            of_size = np.flatnonzero(sizes == size)
            ranks[of_size[np.argsort(-scores[of_size], kind="stable")]] = np.arange(len(of_size))
        return np.sort(np.lexsort((-sizes, ranks))[:most])


def square_boxes(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) grown along their shorter side to squares about the same centres."""
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def shift_boxes(boxes_xyxy: np.ndarray, offsets: np.ndarray, *, count_ends: bool = False) -> np.ndarray:
    """Return boxes (N, 4) whose corners moved by ``offsets`` (N, 4), in parts of their sides.

    With ``count_ends`` a box from pixel 3 to pixel 5 has the side 3, as the mtcnn package counts;
    else 2, as the distance between two edges.
    """
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] + (1 if count_ends else 0)
    return boxes_xyxy + offsets * np.tile(sides, 2)


def mirror_boxes(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) mirrored at x = 0."""
    return boxes_xyxy[:, [2, 1, 0, 3]] * (-1, 1, -1, 1)


def turn_back(points_xy: np.ndarray, quarters: int, size_wh: tuple[float, float]) -> np.ndarray:
    """Return where points of a turned photo lie in the photo as it was.

    Args:
        points_xy: (..., 2) in the photo after it was turned to the left, as ``numpy.rot90`` does.
        quarters: by how many right angles, 0 to 3.
        size_wh: width and height of the photo as it was.
    """
    width, height = size_wh
    x, y = points_xy[..., 0], points_xy[..., 1]
    back = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))
    return np.stack(back[quarters], axis=-1)
