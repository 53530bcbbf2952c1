"""The command that makes faces of nobody for base training: blend."""

from __future__ import annotations

from pathlib import Path

import click

from flaskapp.allowance import allowed_cores
from flaskapp.cli.left_out import report_left_out
from flaskapp.cli.options import EXISTING_FILE, OUTPUT_FOLDER, shown
from flaskapp.cli.progress import progress_bar


@click.command()
@click.argument("sets_file", metavar="SETS.toml", type=EXISTING_FILE)
@click.option("--out", required=True, type=OUTPUT_FOLDER, metavar="DIR", help="Where the new photos go.")
@click.option(
    "--pairs", type=click.IntRange(min=1), default=60_000, show_default=True, help="How many; each gives two photos."
)
@click.option("--seed", type=click.IntRange(min=0), default=2026, show_default=True, help="Of drawing and blending.")
@click.option("--workers", type=click.IntRange(min=1), default=allowed_cores, help="Processes; one a core.")
def blend(sets_file: Path, out: Path, pairs: int, seed: int, workers: int) -> None:
    """Put pairs of training faces together: faces of nobody, for `train-base` to learn from.

    Of each pair one new photo is the mean of both faces, the other shows the first with a part of
    the second in its place. Only photos that training may learn from are used; a set whose folder
    is DIR may stand in the file already and is passed over. Then ask the teacher about the new
    photos; docs/training.md says how.

    \b
    Examples:
      facial-recognition blend sets.toml --out blends/
      facial-recognition blend sets.toml --out blends/ --pairs 1000

    \b
    Exit codes:
      0 written   2 wrong usage, or sets that cannot be used
    """
    from flaskapp.dataset.blends import write_blends
    from flaskapp.dataset.quality import leave_out_faults
    from flaskapp.dataset.sets import load_faces, read_sets

    sets, exclude = read_sets(sets_file)
    table = load_faces([one for one in sets if one.folder.resolve() != out.resolve()], exclude)
    report_left_out(table.passed_over)
    leave_out_faults(table)
    count = write_blends(table, out, pairs, seed, progress_bar("Blending faces", "pairs"), workers)
    click.echo(f"{count:,} photos of nobody in {shown(out)}")
