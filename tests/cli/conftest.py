"""Two ways in which what a command tells does not get out: nobody reads it, and the disk is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click
import pytest


@pytest.fixture
def nobody_reads(monkeypatch) -> None:
    """Let standard output be a pipe that nobody reads any more."""
    echo = click.echo

    def gone(message: object = None, *, err: bool = False) -> None:
        if not err:
            raise BrokenPipeError
        echo(message, err=True)

    monkeypatch.setattr(click, "echo", gone)


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Return what lets no file grow beyond a hundred bytes."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited() -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited
