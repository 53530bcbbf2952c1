"""3×3 convolutions by Winograd's transforms, for training on processors with PyTorch.

A map is cut into tiles. Each becomes its values at as many points as polynomials of its size
need; there a convolution is a product of numbers, over all channels a product of matrices, and
the way back is another transform (Toom and Cook's algorithm; Winograd, "Arithmetic Complexity of
Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).
A tile of 6×6 takes 64 products where the definition takes 324. Gradients go the same way
backwards. In float32 outputs and gradients differ from the plain ones by less than a
hundred-thousandth of their length.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

__all__ = ["convolution", "tile_size", "transforms"]

# Small numbers and their inverses: larger ones would cost digits. The last point is infinity.
POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)
KERNEL_SIZE = 3
TILE_SIZES = (4, 5, 6)


def transforms(outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrices of a one-dimensional convolution with three numbers.

    For inputs d and a kernel g, ``back @ ((kernel @ g) * (inputs @ d))`` are the sums
    ``d[i] g[0] + d[i + 1] g[1] + d[i + 2] g[2]``.

    Args:
        outputs: of a tile, 2 to 6.

    Returns:
        ``back`` (outputs, n), ``kernel`` (n, 3) and ``inputs`` (n, n), float64; n = outputs + 2.
    """
    points = np.array(POINTS[: outputs + KERNEL_SIZE - 2], dtype=np.float64)

    def values(count: int) -> np.ndarray:
        """Powers 0 to count − 1 of each point, and of infinity."""
        return np.vstack([points[:, None] ** np.arange(count), np.eye(count)[-1:]])

    kernel = values(KERNEL_SIZE)
    scale = np.abs(kernel).sum(axis=1, keepdims=True)  # so that a transformed kernel is about as large as it was
    return values(outputs).T, kernel / scale, np.linalg.inv(values(outputs + KERNEL_SIZE - 1)).T * scale


def tile_size(size: int) -> int:
    """Return how many outputs along a side of a map are computed at once: where products are fewest."""
    return min(TILE_SIZES, key=lambda outputs: (-(-size // outputs) * (outputs + KERNEL_SIZE - 1), -outputs))


@dataclass(frozen=True)
class _Tile:
    """One tile along one side of a map.

    Attributes:
        seen: the inputs under it, those outside the map left out.
        made: the outputs.
        inputs: PyTorch's matrix (n, len(seen)) that transforms the inputs.
        back: and that (len(made), n) which transforms products to outputs.
    """

    seen: slice
    made: slice
    inputs: Any
    back: Any


def _tiles(torch: Any, size: int) -> list[_Tile]:
    outputs = tile_size(size)
    back, _, inputs = (torch.tensor(matrix, dtype=torch.float32) for matrix in transforms(outputs))
    tiles = []
    for first in range(0, size, outputs):
        begin, end = max(0, first - 1), min(size, first + outputs + 1)
        made = min(outputs, size - first)
        tiles.append(
            _Tile(
                slice(begin, end),
                slice(first, first + made),
                inputs[:, begin - first + 1 : end - first + 1].contiguous(),
                back[:made],
            )
        )
    return tiles


def _spread(maps: Any, rows: Any, columns: Any) -> Any:
    """Transform maps (h, w, N, C) along both sides: (rows · columns, N, C)."""
    height, width, count, channels = maps.shape
    maps = columns @ maps.reshape(height, width, count * channels)
    return (rows @ maps.view(height, -1)).view(-1, count, channels)


def _empty(x: Any, channels: int) -> Any:
    """Return maps (size, size, N, channels) to be filled, as a view of channels-last memory."""
    count, _, height, width = x.shape
    return x.new_empty(count, height, width, channels).permute(1, 2, 0, 3)


@cache
def convolution() -> Any:
    """Return the convolution as PyTorch's function with a gradient of its own.

    Its ``apply`` takes maps float32 (N, in, size, size), best as a view of channels-last memory, and
    a kernel float32 (3, 3, in, out); it returns the maps (N, out, size, size) of that kernel
    with zeros around them.
    """
    # No dependency of ours, so type checkers need not find it.
    torch = importlib.import_module("torch")
    tiles = cache(lambda size: _tiles(torch, size))

    @cache
    def of_kernel(size: int) -> Any:
        _, kernel, _ = transforms(tile_size(size))
        return torch.tensor(np.kron(kernel, kernel), dtype=torch.float32)

    class Winograd(torch.autograd.Function):  # type: ignore[misc,name-defined,unused-ignore]
        @staticmethod
        def forward(context: Any, x: Any, kernel: Any) -> Any:
            count, channels, size, _ = x.shape
            kernels = (of_kernel(size) @ kernel.reshape(9, -1)).view(-1, channels, kernel.shape[-1])
            maps, out = x.permute(2, 3, 0, 1), _empty(x, kernel.shape[-1])
            for down in tiles(size):
                for across in tiles(size):
                    points = _spread(maps[down.seen, across.seen], down.inputs, across.inputs) @ kernels
                    square = points.view(len(down.inputs), len(across.inputs), count, -1)
                    made = out[down.made, across.made]
                    made.copy_(_spread(square, down.back, across.back).view(made.shape))
            context.save_for_backward(x, kernels)
            return out.permute(2, 3, 0, 1)

        @staticmethod
        def backward(context: Any, gradient: Any) -> tuple[Any, Any]:
            x, kernels = context.saved_tensors
            count, channels, size, _ = x.shape
            maps, gradient = x.permute(2, 3, 0, 1), gradient.permute(2, 3, 0, 1)
            for_maps, for_kernels = _empty(x, channels).zero_(), torch.zeros_like(kernels)
            for down in tiles(size):
                for across in tiles(size):
                    seen = _spread(maps[down.seen, across.seen], down.inputs, across.inputs)
                    points = _spread(gradient[down.made, across.made], down.back.t(), across.back.t())
                    for_kernels.baddbmm_(seen.transpose(1, 2), points)
                    points = points @ kernels.transpose(1, 2)
                    square = points.view(len(down.inputs), len(across.inputs), count, channels)
                    part = for_maps[down.seen, across.seen]
                    part += _spread(square, down.inputs.t(), across.inputs.t()).view(part.shape)
            for_kernel = of_kernel(size).t() @ for_kernels.view(len(kernels), -1)
            return for_maps.permute(2, 3, 0, 1), for_kernel.view(3, 3, channels, -1)

    return Winograd
