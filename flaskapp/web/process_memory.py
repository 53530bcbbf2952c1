"""Memory that goes back to the system when a photo has been answered for."""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any

from flaskapp.onnx_session import give_arena_back

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h of glibc; other C libraries have other habits
LARGE_BYTES, ARENAS = 256 * 1024, 2
ARENA_SECONDS = 1.0

_arena_given_back = 0.0
_library: Any = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
_is_glibc = hasattr(_library, "mallopt") and hasattr(_library, "malloc_trim")


def give_memory_back() -> bool:
    """Tell glibc to return what was freed; call it before threads start. Say whether it listened.

    By itself it keeps up to eight heaps a processor core, one after the other as threads need
    them, and each keeps what photos once needed: after every large block that is freed, even
    larger ones come from the heaps. Here two heaps must do, and large blocks always come
    straight from the system.
    """
    if not _is_glibc:
        return False
    return bool(_library.mallopt(M_ARENA_MAX, ARENAS) and _library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))


def trim_memory() -> None:
    """Return what comparisons no longer need; call it after each.

    The free pages between what is still in use go back each time, which takes a quarter of a
    millisecond; what the networks worked in at most once in ``ARENA_SECONDS``, since the next
    comparison has to ask for it anew.
    """
    global _arena_given_back
    now = time.monotonic()
    if now - _arena_given_back >= ARENA_SECONDS:
        _arena_given_back = now
        give_arena_back()
    if _is_glibc:
        _library.malloc_trim(0)
