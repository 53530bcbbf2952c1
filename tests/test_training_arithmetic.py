from __future__ import annotations

import importlib.util

import numpy as np
import pytest

pytestmark = pytest.mark.needs_tensorflow


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def log_softmax(values: np.ndarray) -> np.ndarray:
    shifted = values - values.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(teacher: np.ndarray, student: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return KL(teacher ‖ student) over softmaxed cosines at temperature 0.1, in float64."""
    teacher, student, neighbours = (values.astype(np.float64) for values in (teacher, student, neighbours))
    student = student / np.linalg.norm(student, axis=1, keepdims=True)
    wanted, said = log_softmax(teacher @ neighbours.T / 0.1), log_softmax(student @ neighbours.T / 0.1)
    return (np.exp(wanted) * (wanted - said)).sum(axis=1)


class TestNeighbourhoods:
    @pytest.fixture
    def divergence_of(self):
        from keras import ops

        from flaskapp.training.distillation import neighbourhood_divergence

        return lambda *arrays: ops.convert_to_numpy(neighbourhood_divergence(*map(ops.convert_to_tensor, arrays)))

    def test_it_is_the_divergence_of_the_two_softmaxes(self, divergence_of):
        rng = np.random.default_rng(0)
        teacher, neighbours = unit(rng, 6, 128), unit(rng, 50, 128)
        student = rng.normal(size=(6, 128)).astype(np.float32) * 7
        expected = divergence(teacher, student, neighbours)
        np.testing.assert_allclose(divergence_of(teacher, student, neighbours), expected, rtol=1e-4)
        assert (expected > 0.1).all()

    def test_who_says_what_the_teacher_says_is_at_no_distance_whatever_the_length(self, divergence_of):
        rng = np.random.default_rng(1)
        teacher = unit(rng, 4, 128)
        np.testing.assert_allclose(divergence_of(teacher, teacher * np.float32(11.3), unit(rng, 50, 128)), 0, atol=1e-5)


class TestDistillationLoss:
    def loss(self, faces: np.ndarray):
        from flaskapp.training.distillation import DistillationLoss

        return DistillationLoss(faces, seed=3)

    def test_half_is_regression_and_half_neighbourhoods(self):
        rng = np.random.default_rng(2)
        # With one face to draw from, every draw is known; neighbours all alike say nothing.
        teacher, student = unit(rng, 5, 128), rng.normal(size=(5, 128)).astype(np.float32)
        regression = np.mean((student - teacher * np.sqrt(128)) ** 2, axis=1)
        value = float(self.loss(unit(rng, 1, 128))(teacher, student))
        assert value == pytest.approx(0.5 * regression.mean(), rel=1e-4)

    def test_neighbours_count_as_their_divergence(self):
        rng = np.random.default_rng(3)
        teacher, student, faces = unit(rng, 5, 128), rng.normal(size=(5, 128)).astype(np.float32), unit(rng, 2, 128)
        regression = np.mean((student - teacher * np.sqrt(128)) ** 2, axis=1)
        # 2,048 draws of two faces are about 1,024 of each, and doubling all changes nothing.
        expected = 0.5 * regression.mean() + 0.5 * divergence(teacher, student, faces).mean()
        assert float(self.loss(faces)(teacher, student)) == pytest.approx(expected, rel=0.02)

    def test_the_teacher_itself_loses_nothing(self):
        teacher = unit(np.random.default_rng(4), 5, 128)
        assert float(self.loss(teacher)(teacher, teacher * np.float32(np.sqrt(128)))) == pytest.approx(0, abs=1e-5)


class TestSchedule:
    @pytest.fixture
    def schedule(self):
        from flaskapp.training.distillation import Schedule

        return Schedule(steps=1000, minutes=10, rate=0.04, warm_up=100, constant=0.6)

    @pytest.mark.parametrize(
        ("step", "seconds", "rate"),
        [
            (0, 0, 0.0004),
            (49, 0, 0.02),
            (99, 0, 0.04),
            (500, 0, 0.04),
            (600, 0, 0.04),
            (800, 0, 0.02),
            (1000, 0, 0),
            (500, 480, 0.02),
            (500, 600, 0),
            (500, 6000, 0),
        ],
    )
    def test_the_rate_warms_up_stays_and_falls_in_a_line(self, schedule, step, seconds, rate):
        assert schedule.rate_at(step, seconds) == pytest.approx(rate)

    def test_steps_or_minutes_end_it_whichever_come_first(self, schedule):
        assert schedule.progress(250, 60) == 0.25
        assert schedule.progress(250, 300) == 0.5
        assert schedule.progress(2000, 0) == 1

    def test_minutes_may_be_endless(self):
        from flaskapp.training.distillation import Schedule

        assert Schedule(steps=10).progress(5, 1e9) == 0.5


class TestMuon:
    @pytest.fixture
    def muon(self):
        from flaskapp.training.optimizer import ConvolutionMuon

        muon = ConvolutionMuon(0.04, 0.001)
        muon.matrix_dtype = "float32"  # whichever this machine computes quicker with
        return muon

    def newton_schulz(self, matrix: np.ndarray, steps: int) -> np.ndarray:
        """Orthogonalise by the quintic iteration of Jordan et al., in float64."""
        x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
        x = x / np.linalg.norm(x)
        for _ in range(steps):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        return x.T if matrix.shape[0] > matrix.shape[1] else x

    # bfloat16 keeps two to three digits of each of a dozen products.
    @pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.08)])
    @pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 3, 2, 64), (5, 5, 3, 16)])
    def test_a_kernel_is_orthogonalised_as_a_matrix(self, muon, shape, dtype, tolerance):
        from keras import ops

        muon.matrix_dtype = dtype
        kernel = np.random.default_rng(5).normal(size=shape).astype(np.float32)
        found = ops.convert_to_numpy(muon.zeropower_via_newtonschulz5(ops.convert_to_tensor(kernel), 4))
        expected = self.newton_schulz(kernel.reshape(-1, shape[-1]).astype(np.float64), 4).reshape(shape)
        assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)
        sizes = np.linalg.svd(found.reshape(-1, shape[-1]), compute_uv=False)
        assert 0.4 < sizes.min() <= sizes.max() < 1.4

    def test_convolution_kernels_take_its_step_and_all_else_adamw(self, muon):
        import keras

        shapes = {"conv": (3, 3, 4, 8), "depthwise": (3, 3, 8, 1), "dense": (8, 4), "offset": (8,)}
        variables = {name: keras.Variable(np.zeros(shape, np.float32), name=name) for name, shape in shapes.items()}
        assert {name: muon._should_use_adamw(variable) for name, variable in variables.items()} == {
            "conv": False,
            "depthwise": True,
            "dense": True,
            "offset": True,
        }

    def test_one_step_of_each_kind(self, muon):
        import keras

        rng = np.random.default_rng(6)
        # Together shorter than 1, so that nothing is clipped.
        gradients = [
            rng.normal(0, size, shape).astype(np.float32) for size, shape in ((1e-3, (3, 3, 4, 8)), (0.1, (8,)))
        ]
        kernel, offset = (keras.Variable(np.zeros_like(gradient)) for gradient in gradients)
        muon.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], [kernel, offset])
        # Nesterov's first look ahead is a multiple of the gradient, whose length does not matter.
        expected = -0.04 * self.newton_schulz(gradients[0].reshape(-1, 8).astype(np.float64), 4).reshape(3, 3, 4, 8)
        moved = keras.ops.convert_to_numpy(kernel)
        assert np.linalg.norm(moved - expected) < 1e-3 * np.linalg.norm(expected)
        # Adam's first step has the size of its rate in every direction.
        np.testing.assert_allclose(keras.ops.convert_to_numpy(offset), -0.001 * np.sign(gradients[1]), rtol=2e-3)

    def test_its_configuration_makes_it_again(self, muon):
        again = type(muon).from_config(muon.get_config())
        assert again.get_config() == muon.get_config()
        assert again.adam_lr_ratio == pytest.approx(0.001 / 0.04)


class TestFusedBatchNormalization:
    @pytest.fixture(params=[-1, 1], ids=["channels last", "channels first"])
    def both(self, request):
        import keras

        from flaskapp.training.fused import FusedBatchNormalization

        return keras.layers.BatchNormalization(axis=request.param), FusedBatchNormalization(axis=request.param)

    def test_it_computes_what_batch_normalisation_computes(self, both):
        from keras import ops

        plain, fused = both
        batches = np.random.default_rng(7).normal(3, 5, (4, 64, 6, 6, 6)).astype(np.float32)
        for batch in batches:
            expected, found = (ops.convert_to_numpy(layer(batch, training=True)) for layer in both)
            np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, atol=1e-5)
        # PyTorch's running variance is the unbiased one: n / (n − 1) of Keras's, n = 64 · 36.
        np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=1 / (64 * 36 - 1) + 1e-5)

    def test_in_use_it_computes_what_batch_normalisation_computes(self, both):
        from keras import ops

        plain, fused = both
        batch = np.random.default_rng(8).normal(3, 5, (2, 6, 6, 6)).astype(np.float32)
        plain(batch)
        fused(batch)
        rng = np.random.default_rng(9)
        fused.set_weights([np.abs(rng.normal(1, 0.3, 6)) for _ in range(4)])
        plain.set_weights(fused.get_weights())
        expected, found = (ops.convert_to_numpy(layer(batch, training=False)) for layer in both)
        np.testing.assert_allclose(found, expected, atol=1e-4)

    def test_weights_go_from_one_class_to_the_other(self, both):
        plain, fused = both
        for layer in both:
            layer.build((None, 6, 6, 6))
        assert [weight.name for weight in fused.weights] == [weight.name for weight in plain.weights]

    def test_its_shape_is_known_without_computing(self, both):
        import keras

        shape = (None, 6, 6, 6)
        assert [layer(keras.Input(shape[1:])).shape for layer in both] == [shape, shape]


class TestQuickConvolution:
    def test_it_computes_what_a_convolution_computes(self):
        import keras
        from keras import ops

        from flaskapp.training.quick import QuickConvolution

        x = np.random.default_rng(10).normal(size=(2, 6, 6, 4)).astype(np.float32)
        plain, quick = (kind(5, 3, padding="same", use_bias=False) for kind in (keras.layers.Conv2D, QuickConvolution))
        expected = ops.convert_to_numpy(plain(x))
        quick.build(x.shape)
        quick.set_weights(plain.get_weights())
        np.testing.assert_allclose(ops.convert_to_numpy(quick(x)), expected, atol=1e-5)

    def test_orthogonal_matrices_are_found_as_keras_finds_them(self):
        import keras
        from keras import ops

        from flaskapp.training.optimizer import ConvolutionMuon

        muon = ConvolutionMuon()
        muon.matrix_dtype = "float32"
        for shape in ((3, 3, 8, 6), (1, 1, 4, 12)):
            kernel = np.random.default_rng(11).normal(size=shape).astype(np.float32)
            found = ops.convert_to_numpy(muon.zeropower_via_newtonschulz5(kernel, 4))
            matrix = ops.convert_to_tensor(kernel.reshape(-1, shape[-1]))
            expected = keras.optimizers.Muon.zeropower_via_newtonschulz5(muon, matrix, 4)
            np.testing.assert_allclose(found, ops.convert_to_numpy(expected).reshape(shape), atol=1e-4)


class TestWinograd:
    @pytest.mark.parametrize("outputs", [2, 4, 5, 6])
    def test_transforms_and_products_are_a_convolution(self, outputs):
        from flaskapp.training.winograd import transforms

        back, kernel, inputs = transforms(outputs)
        rng = np.random.default_rng(12)
        d, g = rng.normal(size=outputs + 2), rng.normal(size=3)
        found = back @ ((kernel @ g) * (inputs @ d))
        np.testing.assert_allclose(found, np.correlate(d, g, "valid"), atol=1e-12)

    @pytest.mark.parametrize(("size", "outputs"), [(3, 4), (6, 6), (12, 6), (25, 5)])
    def test_tiles_are_such_that_products_are_fewest(self, size, outputs):
        from flaskapp.training.winograd import tile_size

        assert tile_size(size) == outputs

    def test_transforms_keep_six_digits_in_float32(self):
        from flaskapp.training.winograd import transforms

        back, kernel, inputs = (matrix.astype(np.float32) for matrix in transforms(6))
        rng = np.random.default_rng(13)
        d, g = rng.normal(size=(500, 8, 1)).astype(np.float32), rng.normal(size=(500, 3, 1)).astype(np.float32)
        found = back @ ((kernel @ g) * (inputs @ d))
        exact = sum(g[:, [k]].astype(np.float64) * d[:, k : k + 6].astype(np.float64) for k in range(3))
        assert np.linalg.norm(found - exact) < 2e-6 * np.linalg.norm(exact)


class TestQuickerArithmetic:
    """Which of two types a machine computes with quicker is measured: none of its own is timed here."""

    @pytest.fixture
    def timed(self, monkeypatch):
        from flaskapp.training import precision

        def time_as(**seconds: float) -> None:
            precision.quicker_dtype.cache_clear()
            monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)

        yield time_as
        precision.quicker_dtype.cache_clear()

    @pytest.mark.parametrize(
        ("seconds", "dtype", "policy"),
        [
            ({"float32": 0.003, "bfloat16": 0.001}, "bfloat16", "mixed_bfloat16"),
            ({"float32": 0.007, "bfloat16": 0.045}, "float32", "float32"),
        ],
    )
    def test_students_compute_in_the_quicker_one(self, timed, seconds, dtype, policy):
        import keras

        from flaskapp.training.distillation import fast_layout
        from flaskapp.training.optimizer import ConvolutionMuon

        timed(**seconds)
        before = keras.config.dtype_policy().name
        with fast_layout():
            assert keras.config.dtype_policy().name == policy
        assert keras.config.dtype_policy().name == before
        assert ConvolutionMuon().matrix_dtype == dtype

    def test_whoever_names_a_policy_gets_it(self, timed):
        import keras

        from flaskapp.training.distillation import fast_layout

        timed(float32=2, bfloat16=1)
        with fast_layout("float32"):
            assert keras.config.dtype_policy().name == "float32"

    def test_both_types_can_be_timed(self):
        from flaskapp.training.precision import DTYPES, _seconds

        assert all(_seconds(dtype) > 0 for dtype in DTYPES)


TORCH_CHECK = """
import numpy as np, keras
from flaskapp.training.fused import FusedBatchNormalization
assert keras.backend.backend() == "torch"
for axis in (-1, 1):
    plain, fused = keras.layers.BatchNormalization(axis=axis), FusedBatchNormalization(axis=axis)
    for batch in np.random.default_rng(0).normal(3, 5, (4, 64, 6, 6, 6)).astype("float32"):
        first, second = (keras.ops.convert_to_numpy(layer(batch, training=True)) for layer in (plain, fused))
        np.testing.assert_allclose(first, second, atol=1e-4)
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(layer.moving_mean) for layer in (plain, fused)), atol=1e-5)

import torch
from flaskapp.training.quick import QuickConvolution
keras.config.set_image_data_format("channels_first")

def answers(layer, x):
    # the maps, and the gradients of the inputs and the weights
    x = x.clone().requires_grad_()
    y = layer(x)
    (y.float() * torch.arange(y.numel()).reshape(y.shape).sin()).sum().backward()
    return y.detach(), x.grad, layer.kernel.value.grad

# bfloat16 keeps three digits; sizes of one tile and of many, square and not.
for dtype, tolerance in (("float32", 2e-5), ("mixed_bfloat16", 2e-2)):
    for height, width in ((3, 3), (6, 6), (7, 7), (12, 12), (25, 25), (6, 7)):
        x = torch.randn(5, 4, height, width).to(memory_format=torch.channels_last)
        plain, quick = (
            kind(6, 3, padding="same", use_bias=False, dtype=policy)
            for kind, policy in ((keras.layers.Conv2D, "float32"), (QuickConvolution, dtype))
        )
        plain.build(x.shape), quick.build(x.shape), quick.set_weights(plain.get_weights())
        for one, other in zip(answers(plain, x), answers(quick, x)):
            assert (one - other).norm() < tolerance * one.norm(), (dtype, height, width)

elsewhere = torch.empty(5, 4, 6, 6, device="meta")
assert quick._is_usual(torch.empty(5, 4, 6, 6)) and not quick._is_usual(elsewhere)
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_on_pytorch_the_quick_layers_compute_the_same():
    import os
    import subprocess
    import sys
    from pathlib import Path

    root = Path(__file__).resolve().parent.parent
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", TORCH_CHECK], cwd=root, env=environment, check=True)
