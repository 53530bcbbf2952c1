"""The commands about photos: lay-out, often, audit, blend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flaskapp.allowance import allowed_cores
from flaskapp.cli.options import FILE, OUTPUT_FILE, OUTPUT_FOLDER, ReadingCommand, shown
from flaskapp.cli.progress import progress_bar, report_left_out

if TYPE_CHECKING:
    from research.sets.quality import Audit

MOST_SHOWN = 5


@click.command(cls=ReadingCommand)
@click.argument("sets_file", metavar="SETS.toml", type=FILE)
@click.option("--json", "json_file", type=OUTPUT_FILE, metavar="OUT.json", help="Write every finding with its path.")
def audit(sets_file: Path, json_file: Path | None) -> None:
    """Find what is wrong with training sets, by the teacher's embeddings.

    Photos that stand under two names; photos far from the centre of their own person; people
    who must not be learned from. ``train`` leaves all of them out; people who choose and measure
    stay as they are. Photos without an embedding cannot be checked.

    \b
    Examples:
      python -m research audit sets.toml
      python -m research audit sets.toml --json faults.json

    \b
    Exit codes:
      0 looked through   2 wrong usage, or sets that cannot be used
    """
    from research.sets.file import read_sets
    from research.sets.quality import audit_sets

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


@click.command()
@click.argument("sets_file", metavar="SETS.toml", type=FILE)
@click.option("--out", required=True, type=OUTPUT_FOLDER, metavar="DIR", help="Where the new photos go.")
@click.option(
    "--pairs", type=click.IntRange(min=1), default=60_000, show_default=True, help="How many; each gives two photos."
)
@click.option("--seed", type=click.IntRange(min=0), default=2026, show_default=True, help="Of drawing and blending.")
@click.option("--workers", type=click.IntRange(min=1), default=allowed_cores, help="Processes; one a core.")
def blend(sets_file: Path, out: Path, pairs: int, seed: int, workers: int) -> None:
    """Put pairs of training faces together: faces of nobody, for ``train`` to learn from.

    Of each pair one new photo is the mean of both faces, the other shows the first with a part of
    the second in its place. Only photos that training may learn from are used; a set whose folder
    is DIR may stand in the file already and is passed over. Then ask the teacher about the new
    photos: ``python -m research.measure.teacher``.

    \b
    Examples:
      python -m research blend sets.toml --out blends/
      python -m research blend sets.toml --out blends/ --pairs 1000

    \b
    Exit codes:
      0 written   2 wrong usage, or sets that cannot be used
    """
    from research.sets.blends import write_blends
    from research.sets.file import read_sets
    from research.sets.quality import leave_out_faults
    from research.sets.table import load_faces

    sets, exclude = read_sets(sets_file)
    table = load_faces([one for one in sets if one.folder.resolve() != out.resolve()], exclude)
    report_left_out(table.passed_over)
    leave_out_faults(table)
    count = write_blends(table, out, pairs, seed, progress_bar("Blending faces", "pairs"), workers)
    click.echo(f"{count:,} photos of nobody in {shown(out)}")


@click.command()
@click.option("--fairface", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its labels, a CSV.")
@click.option("--utkface", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Its folder of photos.")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def often(fairface: Path | None, utkface: Path | None, out: Path) -> None:
    """Write which photos to draw more often, children's and East Asian people's, for train --times."""
    from research.sets.often import fairface_times, utkface_times, write_times

    rows = list(fairface_times(fairface)) if fairface else []
    rows += list(utkface_times(sorted(path.name for path in utkface.iterdir()))) if utkface else []
    click.echo(f"{write_times(rows, out):,} photos: {out}")


@click.command("lay-out")
@click.argument("sets_file", metavar="SETS.toml", type=FILE)
@click.argument("mirrors", type=click.Path(exists=True, file_okay=False, path_type=Path))
def lay_out(sets_file: Path, mirrors: Path) -> None:
    """Lay the photos of SETS.toml out as files beside it, from bare git repositories in MIRRORS/owner+name."""
    from research.sets.laying_out import lay_out_sets

    for name, count in lay_out_sets(sets_file, mirrors):
        click.echo(f"{name}: {count:,} photos")
