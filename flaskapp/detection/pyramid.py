"""One photo at many sizes, and square pieces of it at the size that a network reads."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

# Where a piece reaches beyond the photo it shows mid-grey, which the networks read as 0.
OUTSIDE = (128, 128, 128)


class Level(NamedTuple):
    """The photo at one size; width and height as parts of the photo's differ by rounding."""

    pixels: np.ndarray
    scale_xy: tuple[float, float]


class Pyramid:
    """A photo and its halves, from which every other size is made.

    Resizing from a picture at most twice as large costs a fraction of resizing from the
    photo, and each pixel still counts: halving averages four pixels into one.

    Args:
        photo: uint8 (height, width, 3) RGB.
    """

    def __init__(self, photo: np.ndarray) -> None:
        self.size_wh = (photo.shape[1], photo.shape[0])
        self.halves = [Level(np.ascontiguousarray(photo), (1.0, 1.0))]

    def level(self, scale: float) -> Level:
        """Return the photo resized by ``scale``."""
        source = self._source(scale)
        width, height = (max(round(side * scale), 1) for side in self.size_wh)
        return self._resized(source, (width, height), cv2.INTER_LINEAR)

    def pieces(self, squares_xyxy: np.ndarray, side: int) -> np.ndarray:
        """Cut out squares and resize them, edge to edge: the piece shows just the square.

        Args:
            squares_xyxy: (N, 4) in the photo's pixels; they may reach beyond the photo.
            side: of the pieces, in pixels.

        Returns:
            float32 (N, side, side, 3) RGB in [0, 255].
        """
        half_pixel = (squares_xyxy[:, 2:] - squares_xyxy[:, :2]) / side / 2
        inner = np.concatenate([squares_xyxy[:, :2] + half_pixel, squares_xyxy[:, 2:] - half_pixel], axis=1)
        return self.samples(inner - 0.5, side)

    def samples(self, squares_xyxy: np.ndarray, side: int) -> np.ndarray:
        """Sample squares at ``side`` by ``side`` places, the outer ones on the squares' borders.

        This is how the mtcnn package cuts. Coordinates are those of pixel centres here: 0 is
        the middle of the first pixel.

        Args:
            squares_xyxy: (N, 4); they may reach beyond the photo.
            side: places along each side.

        Returns:
            float32 (N, side, side, 3) RGB in [0, 255].
        """
        pieces = np.empty((len(squares_xyxy), side, side, 3), np.float32)
        for piece, (left, top, right, _) in zip(pieces, squares_xyxy.tolist(), strict=True):
            step = max(right - left, 1.0) / (side - 1)
            source = self._source(1 / step)
            across, down = source.scale_xy
            places = (across * step, 0, (left + 0.5) * across - 0.5), (0, down * step, (top + 0.5) * down - 0.5)
            piece[:] = cv2.warpAffine(
                source.pixels,
                np.array(places),
                (side, side),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=OUTSIDE,
            )
        return pieces

    def _source(self, scale: float) -> Level:
        """Return the smallest half that need not be enlarged to reach ``scale``."""
        index, half = 0, self.halves[0]
        while max(half.scale_xy) / 2 >= scale and max(half.pixels.shape[:2]) > 1:
            index += 1
            if index == len(self.halves):
                height, width = (max(side // 2, 1) for side in half.pixels.shape[:2])
                self.halves.append(self._resized(half, (width, height), cv2.INTER_AREA))
            half = self.halves[index]
        return half

    def _resized(self, source: Level, size_wh: tuple[int, int], method: int) -> Level:
        pixels = cv2.resize(source.pixels, size_wh, interpolation=method)
        return Level(pixels, (size_wh[0] / self.size_wh[0], size_wh[1] / self.size_wh[1]))
