"""Convolutions that learn quicker on processors, where the backend is PyTorch."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import keras

from flaskapp.training import winograd

__all__ = ["LARGEST_MAP", "QuickConvolution"]

LARGEST_MAP = 8
"""Up to this height and width of a map the weights' gradient is computed as one matrix product:
oneDNN's own kernel takes three to four times as long on 6×6 and about as long on 12×12."""


class QuickConvolution(keras.layers.Conv2D):
    """``Conv2D`` by Winograd's transforms in float32; in bfloat16 with the weights' gradient as one product.

    The transforms would cost bfloat16 its few digits, and processors that multiply matrices of it
    gain nothing by them: there only the gradient of weights over small maps is computed otherwise.
    Only 3×3 kernels at stride 1 with ``padding="same"`` over square channels-first maps on PyTorch
    and a processor are computed so; anything else, also on an accelerator, is just that layer.
    Variables are the same, outputs up to rounding, so weights go from one class to the other.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the maps of the kernel over the inputs."""
        if not self._is_usual(inputs):
            return super().convolution_op(inputs, kernel)
        kernel = keras.ops.convert_to_tensor(kernel, dtype=self.compute_dtype)
        if self.compute_dtype == "float32":
            return winograd.convolution().apply(inputs, kernel)
        if inputs.shape[2] > LARGEST_MAP:
            return super().convolution_op(inputs, kernel)
        return _function().apply(inputs, kernel.permute(3, 2, 0, 1))

    def _is_usual(self, inputs: Any) -> bool:
        usual = (self.kernel_size, self.strides, self.padding) == ((3, 3), (1, 1), "same")
        on_torch = keras.backend.backend() == "torch" and self.data_format == "channels_first"
        if not (usual and on_torch) or keras.backend.is_keras_tensor(inputs):
            return False
        return bool(inputs.device.type == "cpu" and inputs.shape[2] == inputs.shape[3])


@cache
def _function() -> Any:
    """Return the convolution as a function with a gradient of its own."""
    # No dependency of ours, so type checkers need not find it.
    torch = importlib.import_module("torch")

    class Convolution(torch.autograd.Function):  # type: ignore[misc,name-defined,unused-ignore]
        @staticmethod
        def forward(context: Any, x: Any, kernel: Any) -> Any:
            """Maps (N, in, H, W) and a kernel (out, in, 3, 3) to maps (N, out, H, W)."""
            context.save_for_backward(x, kernel)
            return torch.nn.functional.conv2d(x, kernel, padding=1)

        @staticmethod
        def backward(context: Any, gradient: Any) -> tuple[Any, Any]:
            x, kernel = context.saved_tensors
            for_input = torch.nn.grad.conv2d_input(x.shape, kernel, gradient, padding=1)
            rows = gradient.permute(0, 2, 3, 1).reshape(-1, kernel.shape[0])
            for_kernel = rows.t() @ _patches(torch, x)
            return for_input, for_kernel.view(-1, 3, 3, kernel.shape[1]).permute(0, 3, 1, 2)

    return Convolution


def _patches(torch: Any, x: Any) -> Any:
    """Return what lies under a 3×3 kernel at each place: (N · H · W, 9 · in) of maps (N, in, H, W)."""
    count, channels, height, width = x.shape
    padded = torch.nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
    map_, row, place, _ = padded.stride()
    windows = padded.as_strided((count, height, width, 3, 3, channels), (map_, row, place, row, place, 1))
    return windows.reshape(count * height * width, 9 * channels)
