"""Which arithmetic trains quicker on this machine."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
from keras import ops

__all__ = ["quicker_dtype"]

DTYPES = ("float32", "bfloat16")
SHAPE, KERNEL = (16, 25, 25, 64), (3, 3, 64, 64)
WARM_UP, REPETITIONS = 2, 5


@cache
def quicker_dtype() -> str:
    """Return ``"bfloat16"`` where the processor computes with it quicker than with float32, else ``"float32"``.

    Both are tried, on a convolution like the trunk's: with instructions of its own bfloat16 is
    two to three times as quick, without them it can take five times as long. The answer is
    kept for as long as the process lives.
    """
    return min(DTYPES, key=_seconds)


def _seconds(dtype: str) -> float:
    """Return the least time that one convolution took."""
    rng = np.random.default_rng(0)
    x, kernel = (ops.cast(rng.random(shape, np.float32), dtype) for shape in (SHAPE, KERNEL))
    taken = []
    for _ in range(WARM_UP + REPETITIONS):
        started = time.perf_counter()
        y = ops.conv(x, kernel, padding="same", data_format="channels_last")
        ops.convert_to_numpy(ops.cast(ops.sum(y), "float32"))  # accelerators answer before they have computed
        taken.append(time.perf_counter() - started)
    return min(taken[WARM_UP:])
