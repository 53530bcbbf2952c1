"""The .onnx files that we write without the package for it; that ONNX Runtime reads them shows elsewhere too."""

from __future__ import annotations

import numpy as np

from flaskapp.onnx_format import declared, integers, message, model, node
from flaskapp.onnx_session import open_session


def test_integers_take_seven_bits_a_byte():
    """The example of protobuf's own description: field 1 is 150."""
    assert message([(1, 150)]).hex() == "089601"
    assert message([(2, "testing")]).hex() == "120774657374696e67"


def test_numbers_below_zero_and_beyond_a_byte_reach_the_operator():
    backwards = node("Slice", ["x", "from", "to", "axis", "step"], "y")
    told = [integers(name, [number]) for name, number in (("from", -1), ("to", -301), ("axis", 1), ("step", -1))]
    summed = node("ReduceMean", ["y"], "z", axes=[1], keepdims=0)
    session = open_session(model([backwards, summed], {"x": ["n", 300]}, {"y": ["n", 300], "z": ["n"]}, told))
    numbers = np.arange(600, dtype=np.float32).reshape(2, 300)
    turned, means = session.run(["y", "z"], {"x": numbers})
    assert np.array_equal(turned, numbers[:, ::-1])
    assert means.tolist() == [149.5, 449.5]


def test_whole_numbers_of_each_size_reach_the_operator():
    """Rounded to steps of a half, as the embedding network's tensors are; and apart from the graph."""
    step, zero = np.array(0.5, np.float32), np.array(3, np.uint8)
    constants = {"step": step, "zero": zero, "signed": np.array([-5, 7], np.int8), "wide": np.array([70_000], np.int32)}
    nodes = [
        node("QuantizeLinear", ["x", "step", "zero"], "whole"),
        node("DequantizeLinear", ["whole", "step", "zero"], "y"),
        node("DequantizeLinear", ["signed", "step"], "z"),
        node("DequantizeLinear", ["wide", "step"], "far"),
    ]
    told = [declared(name, array) for name, array in constants.items()]
    session = open_session(model(nodes, {"x": ["n"]}, {"y": ["n"], "z": [2], "far": [1]}, told), constants)
    near, signed, far = session.run(None, {"x": np.array([-9.0, 0.2, 0.3, 126.1, 999.0], np.float32)})
    assert near.tolist() == [-1.5, 0.0, 0.5, 126.0, 126.0]
    assert signed.tolist() == [-2.5, 3.5]
    assert far.tolist() == [35_000.0]
