"""The command that looks for faults in training sets: audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flaskapp.cli.options import EXISTING_FILE, OUTPUT_FILE, ReadingCommand

if TYPE_CHECKING:
    from flaskapp.dataset.quality import Audit

MOST_SHOWN = 5


@click.command(cls=ReadingCommand)
@click.argument("sets_file", metavar="SETS.toml", type=EXISTING_FILE)
@click.option("--json", "json_file", type=OUTPUT_FILE, metavar="OUT.json", help="Write every finding with its path.")
def audit(sets_file: Path, json_file: Path | None) -> None:
    """Find what is wrong with training sets, by the teacher's embeddings.

    Photos that stand under two names; photos far from the centre of their own person; people
    who must not be learned from. `train-base` leaves all of them out of training; people who
    choose and measure stay as they are. Photos without an embedding cannot be checked.

    \b
    Examples:
      facial-recognition audit sets.toml
      facial-recognition audit sets.toml --json faults.json

    \b
    Exit codes:
      0 looked through   2 wrong usage, or sets that cannot be used
    """
    from flaskapp.dataset.quality import audit_sets
    from flaskapp.dataset.sets import read_sets

    found = audit_sets(*read_sets(sets_file))
    click.echo("\n".join(_lines(found)))
    if json_file:
        json_file.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")


def _lines(found: Audit) -> list[str]:
    counts = found.counts()
    faults = list(next(iter(counts.values())))
    totals = {fault: sum(of_set[fault] for of_set in counts.values()) for fault in faults}
    lines = []
    for name, of_set in [*counts.items(), ("all sets", totals)]:
        lines += [f"  {name}", *(f"    {fault:<32} {of_set[fault]:>9,}" for fault in faults)]
    for name, leaving in found.leaving.items():
        lines.append(f"  {leaving:,} training photos leave with the people of {name}.")
    told = found.to_json()
    for pair in told["duplicates"][:MOST_SHOWN]:
        first, second = pair["first"], pair["second"]
        lines.append(
            f"  under two names: {first['photo']} ({first['person']}) and {second['photo']} ({second['person']}), "
            f"cosine {pair['cosine']}"
        )
    lines += [
        f"  mislabelled: {face['photo']} is hardly {face['person']}, cosine {face['cosine']}"
        for face in told["mislabelled"][:MOST_SHOWN]
    ]
    return lines
