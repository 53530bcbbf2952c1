"""What commands tell on standard error while they work: how far they are, and what they left out.

Where standard error is no terminal no bar is drawn: a log file has no use for a thousand states of one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from flaskapp.cli.options import shown

Item = TypeVar("Item")

PARTS = 1000
MOST_SHOWN = 20


def progress_bar(label: str, unit: str) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """Return what wraps an iteration of known length and tells how far it is, units a second, and the time left."""

    def iterate(items: Iterable[Item]) -> Iterator[Item]:
        count, started = 0, time.perf_counter()

        def rate(_: Any) -> str:
            return f"{count / (time.perf_counter() - started):.1f} {unit}/s" if count else ""

        with _bar(items, label=label, show_pos=True, item_show_func=rate) as bar:
            for item in bar:
                yield item
                count += 1

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


def report_left_out(left_out: Mapping[str, str], label: str = "left out", more: str = "more.") -> None:
    """List the first of the photos that could not be used, with reasons, and say how many more there are."""
    for name, reason in list(left_out.items())[:MOST_SHOWN]:
        click.echo(f"  {label}: {shown(Path(name))}: {reason}", err=True)
    if len(left_out) > MOST_SHOWN:
        click.echo(f"  … and {len(left_out) - MOST_SHOWN:,} {more}", err=True)
