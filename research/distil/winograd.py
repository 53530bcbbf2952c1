"""3×3 convolutions by Winograd's transforms, for processors that are quickest in float32.

A map is cut into tiles. Each becomes its values at as many points as polynomials of its size
need; there a convolution is a product of numbers, over all channels a product of matrices, and
the way back is another transform (Toom and Cook's algorithm; Winograd, "Arithmetic Complexity of
Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).
A tile of 6×6 takes 64 products where the definition takes 324. Gradients go the same way
backwards. Both differ from the plain ones by less than a hundred-thousandth of their length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import torch

__all__ = ["WinogradConvolution"]

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
        inputs: the matrix (n, len(seen)) that transforms the inputs.
        back: and that (len(made), n) which transforms products to outputs.
    """

    seen: slice
    made: slice
    inputs: torch.Tensor
    back: torch.Tensor


@cache
def _tiles(size: int) -> list[_Tile]:
    outputs = tile_size(size)
    back, _, inputs = (torch.tensor(matrix, dtype=torch.float32) for matrix in transforms(outputs))
    tiles = []
    for first in range(0, size, outputs):
        begin, end = max(0, first - 1), min(size, first + outputs + 1)
        made = slice(first, min(size, first + outputs))
        under = inputs[:, begin - first + 1 : end - first + 1].contiguous()
        tiles.append(_Tile(slice(begin, end), made, under, back[: made.stop - first]))
    return tiles


@cache
def _of_kernel(size: int) -> torch.Tensor:
    _, kernel, _ = transforms(tile_size(size))
    return torch.tensor(np.kron(kernel, kernel), dtype=torch.float32)


def _kernels(size: int, kernel: torch.Tensor) -> torch.Tensor:
    """Return a kernel (3, 3, in, out) at each point: (points, in, out)."""
    return (_of_kernel(size) @ kernel.reshape(KERNEL_SIZE**2, -1)).view(-1, *kernel.shape[2:])


def _spread(maps: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """Transform maps (h, w, N, C) along both sides: (points, N, C)."""
    height, width, count, channels = maps.shape
    maps = across @ maps.reshape(height, width, count * channels)
    return (down @ maps.view(height, -1)).view(-1, count, channels)


def _like(maps: torch.Tensor, channels: int) -> torch.Tensor:
    """Return maps (N, channels, size, size) to be filled, their memory channels last."""
    count, _, height, width = maps.shape
    return maps.new_empty(count, height, width, channels).permute(0, 3, 1, 2)


@torch.library.custom_op("research::winograd", mutates_args=())  # type: ignore[untyped-decorator]
def _convolve(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    size, made = x.shape[2], _like(x, kernel.shape[3])
    maps, out, kernels = x.permute(2, 3, 0, 1), made.permute(2, 3, 0, 1), _kernels(size, kernel)
    for down in _tiles(size):
        for across in _tiles(size):
            points = _spread(maps[down.seen, across.seen], down.inputs, across.inputs) @ kernels
            square = points.view(len(down.inputs), len(across.inputs), len(x), -1)
            part = out[down.made, across.made]
            part.copy_(_spread(square, down.back, across.back).view(part.shape))
    return made


@torch.library.custom_op("research::winograd_gradients", mutates_args=())  # type: ignore[untyped-decorator]
def _gradients(gradient: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    size, for_x, kernels = x.shape[2], _like(x, x.shape[1]), _kernels(x.shape[2], kernel)
    maps, wanted, out = (y.permute(2, 3, 0, 1) for y in (x, gradient, for_x.zero_()))
    for_kernels = torch.zeros_like(kernels)
    for down in _tiles(size):
        for across in _tiles(size):
            seen = _spread(maps[down.seen, across.seen], down.inputs, across.inputs)
            points = _spread(wanted[down.made, across.made], down.back.t(), across.back.t())
            for_kernels.baddbmm_(seen.transpose(1, 2), points)
            square = points @ kernels.transpose(1, 2)
            square = square.view(len(down.inputs), len(across.inputs), *square.shape[1:])
            part = out[down.seen, across.seen]
            part += _spread(square, down.inputs.t(), across.inputs.t()).view(part.shape)
    return for_x, (_of_kernel(size).t() @ for_kernels.flatten(1)).view(kernel.shape)


@_convolve.register_fake  # type: ignore[untyped-decorator]
def _(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return _like(x, kernel.shape[3])


@_gradients.register_fake  # type: ignore[untyped-decorator]
def _(gradient: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG001
    return _like(x, x.shape[1]), torch.empty_like(kernel, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return _gradients(gradient, *context.saved_tensors)


_convolve.register_autograd(_backward, setup_context=_keep)


class WinogradConvolution(keras.layers.Conv2D):
    """``Conv2D`` over square maps (N, channels, size, size), of which 3×3 kernels are computed by transforms."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return maps (N, filters, size, size), without the bias."""
        if keras.backend.is_keras_tensor(inputs) or self.kernel_size != (KERNEL_SIZE, KERNEL_SIZE):
            return super().convolution_op(inputs, kernel)
        return _convolve(inputs, keras.ops.convert_to_tensor(kernel))
