"""The only door to ONNX Runtime: it opens quiet, single-threaded and repeatable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto
    from onnxruntime import InferenceSession

# From 1.29 on ONNX Runtime writes a device id under the home folder and opens sockets as
# soon as it is imported. The variable counts only if it is set before that, whichever
# module comes first; a call afterwards does not stop it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

OPSET = 17
"""Operator set of our graphs; every ONNX Runtime since 1.12 (2022) runs it."""

IR_VERSION = 8
"""File format that belongs to that operator set."""


def open_session(graph: GraphProto) -> InferenceSession:
    """Return a session that runs ``graph`` on the calling thread.

    One thread a session: the networks here are small, two photos each get a thread of
    their own, and a single thread adds its sums in one order only, so the same photo gives
    the same bits. ``run`` may be called from many threads at once.
    """
    import onnx.helper as onnx_helper
    import onnxruntime

    model = onnx_helper.make_model(graph, opset_imports=[onnx_helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: a warning would land in the user's terminal
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
