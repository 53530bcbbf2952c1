"""The .onnx files that we write without the package for it; that ONNX Runtime reads them shows elsewhere too."""

from __future__ import annotations

import numpy as np

from flaskapp.onnx_format import integers, message, model, node
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
