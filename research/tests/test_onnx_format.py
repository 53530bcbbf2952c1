"""What the product writes of ONNX's format, read by the package ``onnx``."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper

from flaskapp.onnx_format import IR_VERSION, OPSET, declared, integers, model, node


def test_a_file_of_ours_says_what_the_package_would_write():
    nodes = node("Slice", ["x", "from", "to", "axis"], "y"), node("MaxPool", ["y"], "z", kernel_shape=[2, 300])
    told = integers("from", [1]), integers("to", [2**40, 7]), declared("axis", np.zeros((3, 5), np.float32))
    ours = onnx.load_from_string(model(nodes, {"x": ("n", 3, 400, 4)}, {"z": ("n", 3)}, told))
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", ["n", 3, 400, 4]), ("z", ["n", 3]))
    ]
    theirs = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("Slice", ["x", "from", "to", "axis"], ["y"], name="y"),
                onnx.helper.make_node("MaxPool", ["y"], ["z"], name="z", kernel_shape=[2, 300]),
            ],
            "graph",
            ports[:1],
            ports[1:],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    constants = list(ours.graph.initializer)
    del ours.graph.initializer[:]
    assert ours == theirs
    assert [onnx.numpy_helper.to_array(one).tolist() for one in constants[:2]] == [[1], [2**40, 7]]
    axis = constants[2]
    assert (list(axis.dims), axis.data_type, axis.data_location) == ([3, 5], onnx.TensorProto.FLOAT, 1)
    assert {entry.key: entry.value for entry in axis.external_data} == {
        "location": "memory",
        "offset": "0",
        "length": "60",
    }
