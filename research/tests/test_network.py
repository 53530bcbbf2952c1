from __future__ import annotations

import numpy as np
import pytest

from flaskapp.errors import DataError
from flaskapp.preprocess import to_model_input
from flaskapp.weights.info import default_weights_path
from flaskapp.weights.shape import RESIDUAL_UNITS
from research.distil import network as networks

SMALL = (0, 0, 1, 0)


def say(network, faces) -> np.ndarray:
    return network(to_model_input(faces), training=False).detach().numpy()


@pytest.fixture(scope="module")
def small():
    """Return a folded network and its arrays, biases moved away from zero."""
    network, rng = networks.build_student(SMALL), np.random.default_rng(2)
    arrays = {variable.path: np.array(variable.value.detach()) for variable in network.variables}
    arrays = {name: array + rng.normal(0, 0.02, array.shape).astype(np.float32) for name, array in arrays.items()}
    networks.set_arrays(network, arrays)
    return network, arrays


def test_the_network_says_the_teachers_128_numbers():
    network = networks.build_vector_network()
    added = [layer.name for layer in network.layers if layer.name.endswith("_add")]
    assert tuple(sum(f"block{block}_unit" in name for name in added) for block in (1, 2, 3, 4)) == RESIDUAL_UNITS
    assert (network.input_shape, network.output_shape) == ((None, 100, 100, 3), (None, 128))
    assert network.get_layer("expand_conv").kernel.shape == (1, 1, 256, 512)
    assert 5_900_000 < network.count_params() < 6_200_000


def test_normalisation_layers_that_add_the_bias_change_nothing(faces):
    network, rng = networks.build_student(SMALL), np.random.default_rng(3)
    arrays = {v.path: rng.normal(0, 0.05, v.shape).astype(np.float32) for v in network.variables}
    networks.set_arrays(network, arrays)
    normalised = networks.unfolded(arrays, SMALL)
    assert any("norm" in layer.name for layer in normalised.layers)
    np.testing.assert_allclose(say(normalised, faces[:4]), say(network, faces[:4]), atol=1e-5)


@pytest.mark.parametrize("side", [6, 25])
def test_pooling_and_its_gradient_are_those_of_keras(side):
    import keras
    import torch

    from research.distil.pooling import KernelPooling

    keras.config.set_image_data_format("channels_first")
    try:
        plain, ours = keras.layers.MaxPooling2D(), KernelPooling()
    finally:
        keras.config.set_image_data_format("channels_last")
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 5, side, side)).astype(np.float32))
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.arange(2.0 * 5 * (side // 2) ** 2).reshape(2, 5, side // 2, side // 2)
    answers = []
    for layer in (plain, ours):
        x.grad = None
        pooled = layer(x)
        (pooled * weights).sum().backward()
        answers.append((pooled.detach(), x.grad.clone()))
    for expected, found in zip(*answers, strict=True):
        torch.testing.assert_close(found, expected)


def test_a_network_that_grows_says_what_it_said(small, faces):
    network, arrays = small
    larger = networks.build_student((0, 2, 2, 1))
    networks.set_arrays(larger, networks.grow(arrays, larger))
    np.testing.assert_allclose(say(larger, faces[:4]), say(network, faces[:4]), atol=1e-5)


def test_a_network_does_not_shrink(small):
    with pytest.raises(DataError, match="block3_unit1"):
        networks.grow(small[1], networks.build_student((0, 0, 0, 0)))


def test_arrays_of_another_network_are_refused(small):
    with pytest.raises(DataError, match="block2_unit1"):
        networks.set_arrays(networks.build_student((0, 1, 1, 0)), small[1])


def test_a_snapshot_keeps_arrays_in_half_precision_and_what_is_said_of_them(small, tmp_path):
    networks.save_snapshot(tmp_path / "average.npz", small[1], {"faces": 5})
    arrays, meta = networks.read_start(tmp_path / "average.npz")
    assert meta == {"faces": 5}
    assert arrays.keys() == small[1].keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, small[1][name], rtol=1e-3, atol=1e-4)


def test_something_else_is_no_start(tmp_path):
    (tmp_path / "start.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="neither a snapshot"):
        networks.read_start(tmp_path / "start.npz")


def test_the_shipped_weights_are_a_start(faces):
    """Folded, what they say of one view is what their own layers say."""
    import keras

    from flaskapp.layers import L1Distance

    path = default_weights_path()
    siamese = keras.models.load_model(path, custom_objects={"L1Distance": L1Distance}, compile=False)
    twin = siamese.get_layer("embedding_network")
    one_view = keras.Model(twin.get_layer("block1_conv").input, twin.get_layer("vector").output)
    expected = say(one_view, faces[:4])

    arrays, meta = networks.read_start(path)
    assert meta["faces"] >= 1_388_800
    assert {"lfw", "lfw_devtest"} <= set(meta["kept_out"])
    student = networks.build_student()
    networks.set_arrays(student, arrays)
    np.testing.assert_allclose(say(student, faces[:4]), expected, atol=2e-3 * np.abs(expected).max())


def test_projections_keep_distances():
    # The mean |Gaussian projection| of a difference d is |d| · sqrt(2/π); for 4,096 of them
    # its own spread is sqrt(1 − 2/π) / sqrt(4096) of that, over sqrt(2/π): 1.2 %.
    vectors = np.random.default_rng(3).normal(size=(200, 128))
    differences = vectors[::2] - vectors[1::2]
    matrix = networks.random_projection(128).astype(np.float64)
    measured = np.abs(differences @ matrix).mean(axis=1) * np.sqrt(4096)
    errors = measured / (np.linalg.norm(differences, axis=1) * np.sqrt(2 / np.pi)) - 1
    assert np.abs(errors).max() < 0.05
    assert 0.008 < np.sqrt(np.mean(errors**2)) < 0.017


def test_projections_of_one_seed_are_one_matrix():
    np.testing.assert_array_equal(networks.random_projection(8, 16), networks.random_projection(8, 16))
    assert not np.array_equal(networks.random_projection(8, 16), networks.random_projection(8, 16, seed=1))
    assert networks.random_projection(8, 16).dtype == np.float32
