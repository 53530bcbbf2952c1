"""What TensorFlow says of itself when it is loaded, kept from whoever only wants a model."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SIEVE = r"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
for line in sys.stdin.buffer:
    if not re.match(rb"I\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog", line):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""


@contextmanager
def without_greeting() -> Iterator[None]:
    """Load TensorFlow within: of what its native code then writes to standard error, notes are left out.

    No variable of its own silences them all, but the one that also gives up oneDNN, which halves the
    speed. A process of its own sieves them, so that what a machine dies of, a processor that lacks an
    instruction for example, is still told.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it also warns of each new shape
    try:
        stderr = os.dup(2)
    except OSError:  # nobody reads it
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", SIEVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sieve:  # noqa: S603
        assert sieve.stdin is not None  # noqa: S101 - it was asked for
        os.dup2(sieve.stdin.fileno(), 2)
        sieve.stdin.close()
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
