"""Ranges of the network's tensors, of a network that has learned nothing."""

from __future__ import annotations

import numpy as np
import pytest
from weights_files import random_arrays

from flaskapp import preprocess
from flaskapp.onnx_session import open_session
from flaskapp.weights.graph import embedding_graph
from research.distil.ranges import tensor_ranges


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 100, 100, 3), np.uint8)


@pytest.fixture(scope="module")
def ranges(faces) -> dict[str, list[float]]:
    return tensor_ranges(random_arrays(), faces[:3])


def test_what_whole_numbers_are_computed_of_has_a_range(ranges):
    assert {"concat0", "relu0", "maxpool0", "maxpool3"} < set(ranges)
    assert not any(name.startswith(("gemm", "reducemean", "flatten", "add")) for name in ranges)
    # Blocks 1 to 3 are one convolution with a ReLU behind it; block 4 has two units, whose sums are of convolutions.
    assert sorted(name for name in ranges if name.startswith("conv")) == ["conv5", "conv7", "conv9"]


def test_nothing_lies_beyond_its_range(ranges, faces):
    assert ranges["concat0"][0] == 0
    assert 0.99 < ranges["concat0"][1] <= 1
    assert all(low <= 0 < high for low, high in ranges.values())
    assert all(low == 0 for name, (low, _) in ranges.items() if name.startswith(("relu", "maxpool")))
    assert ranges["maxpool0"] == ranges["relu0"]


def test_rounded_the_network_answers_nearly_the_same(ranges, faces):
    arrays, seen = random_arrays(), []
    for known in ({}, {name: tuple(ends) for name, ends in ranges.items()}):
        graph, constants = embedding_graph(arrays, known)
        answer = open_session(graph, constants).run(None, {"face": preprocess.to_model_input(faces)})[0]
        seen.append(answer / np.linalg.norm(answer, axis=1, keepdims=True))
    nearness = np.sum(seen[0] * seen[1], axis=1)
    assert nearness.min() > 0.99
    assert nearness.max() < 1
