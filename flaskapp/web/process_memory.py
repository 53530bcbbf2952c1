"""Memory that goes back to the system, overwritten, when a photo has been answered for."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any

from flaskapp.onnx_session import give_arena_back

M_MMAP_THRESHOLD, M_PERTURB, M_ARENA_MAX = -3, -6, -8  # malloc.h of glibc; other C libraries have other habits
LARGE_BYTES, ARENAS, OVERWRITE_WITH = 256 * 1024, 2, 255
ARENA_SECONDS = 1.0

_library: Any = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
_is_glibc = hasattr(_library, "mallopt") and hasattr(_library, "malloc_trim")
_tidying = threading.Lock()


def give_memory_back() -> bool:
    """Tell glibc to overwrite what was freed and to return it; call it before threads start. Say whether it listened.

    By itself it keeps up to eight heaps a processor core, one after the other as threads need
    them, and each keeps what photos once needed: after every large block that is freed, even
    larger ones come from the heaps. Here two heaps must do, and large blocks always come
    straight from the system. Of smaller ones only whole pages go back; in the rest a part of a face
    or of a photo would stay until something else takes its place.
    """
    if not _is_glibc:
        return False
    settings = {M_ARENA_MAX: ARENAS, M_MMAP_THRESHOLD: LARGE_BYTES, M_PERTURB: OVERWRITE_WITH}
    return all(_library.mallopt(name, value) for name, value in settings.items())


def trim_memory() -> None:
    """Return what comparisons no longer need; call it after each.

    The free pages between what is still in use go back each time, which takes a quarter of a
    millisecond; what the networks worked in ``ARENA_SECONDS`` later, once for all comparisons
    until then, since the next one has to ask for it anew.
    """
    _trim()
    if _tidying.acquire(blocking=False):
        timer = threading.Timer(ARENA_SECONDS, _tidy)
        timer.name, timer.daemon = "memory", True
        try:
            timer.start()
        except RuntimeError:  # no room for one more thread: the next comparison tries again
            _tidying.release()


def _tidy() -> None:
    _tidying.release()  # first: who comes now may still need a later turn
    give_arena_back()
    _trim()


def _trim() -> None:
    if _is_glibc:
        _library.malloc_trim(0)
