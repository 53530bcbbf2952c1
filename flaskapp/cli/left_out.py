"""What was left out, and why: told by every command that reads folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from flaskapp.cli.options import shown

MOST_SHOWN = 20


def report_left_out(left_out: Mapping[str, str]) -> None:
    """List what could not be used, with reasons."""
    for name, reason in list(left_out.items())[:MOST_SHOWN]:
        click.echo(f"  left out: {shown(Path(name))}: {reason}", err=True)
    if len(left_out) > MOST_SHOWN:
        click.echo(f"  … and {len(left_out) - MOST_SHOWN:,} more.", err=True)
