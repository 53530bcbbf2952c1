"""From the first instruction to the last: whatever happens, the exit code 1 is a non-match.

Python ends with 1 after any error that nobody caught, C libraries after what they take for
hopeless. Only the standard library is imported here, and little of it: the commands are imported
late, so that ``run`` can say what is wrong even where the memory does not suffice for that.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from flaskapp.cli.exit_codes import BUG, OUT_OF_MEMORY, STOPPED


def run() -> NoReturn:
    """Be the program, and end as soon as the answer is out.

    Python would first take apart what the system frees at once anyway: 0.13 of the 0.68
    seconds that a comparison takes.
    """
    code = BUG
    try:
        open_what_is_closed()
        answer_for_libraries()
        from flaskapp.cli.program import main

        main.main(prog_name="facial-recognition")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else BUG
    except KeyboardInterrupt:
        code = STOPPED
    except BaseException as error:  # noqa: BLE001 - the commands catch theirs; this is what failed around them
        words = f"Error: the program could not run ({type(error).__name__}). Free some memory, or install it again.\n"
        with contextlib.suppress(Exception):
            os.write(2, words.encode())  # the shortest way, as memory may be short
    os._exit(code)


def open_what_is_closed() -> None:
    """Give standard input, output and error that are closed (``>&-``) something to be.

    The next file that is opened would get the number, and the words of libraries would land in it. What is
    written to standard output then fails as on a full disk: an answer that nobody gets is none. What is written
    to standard error is lost, as was wished.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free number
    for number, name in enumerate(("stdout", "stderr"), start=1):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - stays to the end


def answer_for_libraries() -> None:
    """Let C's exit() end with another code than 1: OpenBLAS calls it where memory is short.

    The C library itself calls its ``_exit`` last; we never get there, we end by ``os._exit``.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(AttributeError, ImportError, OSError):
        import ctypes

        libc = ctypes.CDLL(None)
        libc["__cxa_atexit"](ctypes.cast(libc["_exit"], ctypes.c_void_p), ctypes.c_void_p(OUT_OF_MEMORY), None)
