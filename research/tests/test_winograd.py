from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

from research.distil.winograd import WinogradConvolution, tile_size, transforms


@pytest.mark.parametrize("outputs", range(2, 7))
def test_the_transforms_give_a_convolution_in_one_dimension(outputs):
    rng = np.random.default_rng(outputs)
    back, kernel, inputs = transforms(outputs)
    numbers, weights = rng.normal(size=outputs + 2), rng.normal(size=3)
    by_points = back @ ((kernel @ weights) * (inputs @ numbers))
    np.testing.assert_allclose(by_points, np.correlate(numbers, weights, mode="valid"), atol=1e-12)


def test_a_map_is_cut_where_products_are_fewest():
    assert [tile_size(size) for size in (25, 12, 6)] == [5, 6, 6]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("size", "channels", "filters"), [(25, 8, 16), (12, 16, 16), (6, 16, 8), (7, 3, 5)])
def test_outputs_and_gradients_are_those_of_keras(size, channels, filters, compiled):
    rng = np.random.default_rng(size)
    faces = torch.from_numpy(rng.normal(size=(3, channels, size, size)).astype(np.float32))
    faces = faces.contiguous(memory_format=torch.channels_last)
    wanted = torch.from_numpy(rng.normal(size=(3, filters, size, size)).astype(np.float32))
    weights = rng.normal(size=(3, 3, channels, filters)).astype(np.float32)

    def learned(kind: type[keras.layers.Layer]) -> list[np.ndarray]:
        layer = kind(filters, 3, padding="same", data_format="channels_first")
        layer.build(faces.shape)
        layer.set_weights([weights, np.linspace(-1, 1, filters, dtype=np.float32)])
        x = faces.clone().requires_grad_()
        said = (torch.compile(layer, backend="aot_eager") if compiled else layer)(x)
        gradients = torch.autograd.grad(said, [x, layer.kernel.value, layer.bias.value], wanted)
        return [array.detach().numpy() for array in (said, *gradients)]

    for ours, plain in zip(learned(WinogradConvolution), learned(keras.layers.Conv2D), strict=True):
        assert np.linalg.norm(ours - plain) < 1e-5 * np.linalg.norm(plain)


def test_other_kernels_are_convolved_as_keras_does():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 9, 9)).astype(np.float32))
    settings = {"padding": "same", "data_format": "channels_first", "kernel_initializer": keras.initializers.Ones()}
    for size, strides in ((5, 2), (1, 1)):
        ours, plain = (kind(4, size, strides, **settings)(x) for kind in (WinogradConvolution, keras.layers.Conv2D))
        assert torch.equal(ours, plain)
