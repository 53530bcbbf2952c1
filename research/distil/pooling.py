"""Pooling by PyTorch's own kernels within a compiled step.

Its compiler writes a scatter in the place of their gradient, which takes ten times as long as
they do; as operators of their own they are called as they are.
"""

from __future__ import annotations

from typing import Any

import keras
import torch

__all__ = ["KernelPooling"]

aten = torch.ops.aten


@torch.library.custom_op("research::max_pool", mutates_args=())  # type: ignore[untyped-decorator]
def _max_pool(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return aten.max_pool2d_with_indices(x, [2, 2], [2, 2])


@torch.library.custom_op("research::max_pool_gradient", mutates_args=())  # type: ignore[untyped-decorator]
def _gradient(gradient: torch.Tensor, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    return aten.max_pool2d_with_indices_backward(gradient, x, [2, 2], [2, 2], [0, 0], [1, 1], False, places)


@_max_pool.register_fake  # type: ignore[untyped-decorator]
def _(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count, channels, height, width = x.shape
    shape = (count, channels, height // 2, width // 2)
    half = x.new_empty(shape).contiguous(memory_format=torch.channels_last)
    return half, torch.empty_like(half, dtype=torch.int64)


@_gradient.register_fake  # type: ignore[untyped-decorator]
def _(gradient: torch.Tensor, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(x)


def _keep(ctx: Any, inputs: tuple[torch.Tensor], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    ctx.save_for_backward(inputs[0], output[1])


def _backward(context: Any, gradient: torch.Tensor, _: Any) -> torch.Tensor:
    x, places = context.saved_tensors
    return _gradient(gradient, x, places)


_max_pool.register_autograd(_backward, setup_context=_keep)


class KernelPooling(keras.layers.MaxPooling2D):
    """``MaxPooling2D`` of 2×2 over maps (N, channels, H, W)."""

    def call(self, inputs: Any) -> Any:
        """Return maps (N, channels, H // 2, W // 2)."""
        return super().call(inputs) if keras.backend.is_keras_tensor(inputs) else _max_pool(inputs)[0]
