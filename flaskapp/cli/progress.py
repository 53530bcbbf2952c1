"""Progress bars on standard error, so that standard output stays clean.

Where standard error is no terminal nothing at all is written: a log file has no use for a
thousand states of a bar.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

Item = TypeVar("Item")

PARTS = 1000


def progress_bar(label: str, unit: str, each: int = 1) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """Return what wraps an iteration of known length: how far, how fast, how long still.

    Args:
        label: what is being done.
        unit: what is counted, for example "photos".
        each: how many of them one step is.
    """

    def iterate(items: Iterable[Item]) -> Iterator[Item]:
        rate = _Rate(unit)
        with _bar(items, label=label, show_pos=True, item_show_func=lambda _: str(rate)) as bar:
            for item in bar:
                yield item
                rate.count += each

    return iterate


def share_bar(label: str) -> Callable[[float], None]:
    """Return what is told the share of a way that is gone, 0 to 1, and draws it from the first time on.

    It ends with the command, wherever that stops.
    """
    bar = _bar(None, length=PARTS, label=label)

    def moved(share: float) -> None:
        if not bar.pos:
            click.get_current_context().call_on_close(bar.render_finish)
        bar.update(max(int(share * PARTS), 1) - bar.pos)

    return moved


def _bar(items: Iterable[Any] | None, **settings: Any) -> Any:
    return click.progressbar(items, file=sys.stderr, hidden=not sys.stderr.isatty(), **settings)


class _Rate:
    """Counts steps and says how many a second there were."""

    def __init__(self, unit: str) -> None:
        self.count, self._unit, self._started = 0, unit, time.monotonic()

    def __str__(self) -> str:
        seconds = time.monotonic() - self._started
        return f"{self.count / seconds:.1f} {self._unit}/s" if self.count else ""
