"""Memory that goes back to the system when a photo has been answered for."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

__all__ = ["give_memory_back", "trim_memory"]

# malloc.h of glibc
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

LARGE_BYTES = 256 * 1024
ARENAS = 2


def _glibc() -> Any:
    """Return the C library if it is glibc; others have no such functions and other habits."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


_LIBRARY = _glibc()


def give_memory_back() -> bool:
    """Tell glibc to return what was freed; call it before threads start. Say whether it listened.

    By itself it keeps up to eight heaps a processor core, one after the other as threads need
    them, and each keeps what photos once needed: after every large block that is freed, even
    larger ones come from the heaps. Here two heaps must do, and large blocks always come
    straight from the system.
    """
    if not _LIBRARY:
        return False
    return bool(_LIBRARY.mallopt(M_ARENA_MAX, ARENAS) and _LIBRARY.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))


def trim_memory() -> None:
    """Return the free pages between what is still in use: a quarter of a millisecond after each comparison."""
    if _LIBRARY:
        _LIBRARY.malloc_trim(0)
