"""The only door to ONNX Runtime: it opens quiet, single-threaded and repeatable."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from flaskapp import onnx_format
from flaskapp.parallel import once

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# From 1.29 on ONNX Runtime writes a device id under the home folder and opens sockets as
# soon as it is imported. The variable counts only if it is set before that, whichever
# module comes first; a call afterwards does not stop it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

AS_ASKED_FOR = 1  # kSameAsRequested, of ONNX Runtime's ArenaExtendStrategy


@once
def _make_arena() -> None:
    """Make one arena for all sessions of the process.

    Each would otherwise keep one of its own, as large as its own worst moment; and the
    networks work one after the other. Without any arena a comparison takes twice as long.
    It grows by what is asked for: by powers of two, as it would else, it never gives back its first part.
    """
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": AS_ASKED_FOR}))


def give_arena_back() -> None:
    """Return what the shared arena holds and no network is using to the system.

    It grows by as much as networks that happen to run at the same moment need, and keeps that
    for ever by itself. Giving it back takes two milliseconds, and the next comparison ten more.
    """
    if "onnxruntime" in sys.modules:  # else no network has run yet
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        _smallest_session().run(None, {"x": np.zeros(1, np.float32)}, options)


@cache
def _smallest_session() -> InferenceSession:
    """Return a session that does nothing: the arena is tidied at the end of a run only."""
    return open_session(onnx_format.model([onnx_format.node("Identity", ["x"], "y")], {"x": [1]}, {"y": [1]}))


def open_session(model: bytes, constants: Mapping[str, np.ndarray] | None = None) -> InferenceSession:
    """Return a session that runs a model on the calling thread.

    One thread a session: the networks here are small, two photos each get a thread of
    their own, and a single thread adds its sums in one order only, so the same photo gives
    the same bits. ``run`` may be called from many threads at once.

    Args:
        model: what an .onnx file holds.
        constants: C-contiguous: the numbers of what ``onnx_format.declared`` declares.
            The session reads them where they are: they must live as long as it does.
    """
    import onnxruntime

    _make_arena()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # It would keep a plan of its memory for each shape that it meets, for ever, and photos come
    # in all sizes. Without, it is no slower and takes less: with four comparisons at a time, of
    # photos of 11 megapixels, 900 instead of 1,310 MB at most.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: a warning would land in the user's terminal
    if constants:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in constants.values()]
        options.add_external_initializers(list(constants), values)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
