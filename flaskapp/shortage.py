"""Too little memory, told as what it is, whichever library met it: never as a fault of the photo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from flaskapp.errors import NotEnoughMemoryError

OPENCV_NO_MEMORY = -4
WORDS = ("allocate memory", "bad_alloc", "bad allocation")
"""How ONNX Runtime and its C++ library put it; neither has an error of its own for it."""


@contextmanager
def tell_shortage() -> Iterator[None]:
    """Turn whatever error a library has for too little memory into ours; a decorator too.

    Raises:
        NotEnoughMemoryError: there was too little memory.
    """
    try:
        yield
    except Exception as error:
        if is_shortage(error):
            raise NotEnoughMemoryError(
                "There is not enough memory for this photo right now.",
                "Try again in a moment, or make the photo smaller.",
            ) from None
        raise


def is_shortage(error: Exception) -> bool:
    """Say whether an error of any library means that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    if type(error).__module__ == "cv2":
        return getattr(error, "code", None) == OPENCV_NO_MEMORY
    return type(error).__module__.startswith("onnxruntime") and any(word in str(error) for word in WORDS)


def raise_if_memory_lacks(error: Exception, size_bytes: int) -> None:
    """Raise MemoryError in place of a decoder's error if there is no room for what it works in.

    Most decoders say "damaged" in both cases. What is asked for here is not touched, so it takes no time.
    """
    try:
        np.empty(size_bytes, np.uint8)
    except MemoryError:
        raise MemoryError from error
