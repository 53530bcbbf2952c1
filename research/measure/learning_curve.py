"""What more training brings: errors of validation people against faces seen, run by run.

``python -m research.measure.learning_curve learning.csv --out learning.png`` in ``research/notes/figures``
draws the lines of ``train-base``'s logs, added up over runs that went on from each other.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import click

from flaskapp.plots.style import GENUINE_COLOUR, IMPOSTOR_COLOUR, gridded, new_figure, quiet, save

FACES_A_SECOND = 116
"""Of one core, undisturbed, when it was measured."""

LINES = {"fnmr_at_fmr_0.01": ("at FMR 1 %", GENUINE_COLOUR), "fnmr_at_fmr_0.001": ("at FMR 0.1 %", IMPOSTOR_COLOUR)}


@click.command()
@click.argument("log", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
def main(log: Path, out: Path) -> None:
    """Draw the learning curve of a log."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    figure = new_figure(7, 3.6)
    axes = gridded(quiet(figure.add_axes((0.1, 0.15, 0.87, 0.8))))
    for _, lines in itertools.groupby(rows, lambda row: int(row["run"])):
        kept = list(lines)
        for name, (label, colour) in LINES.items():
            hours = [row["faces"] / FACES_A_SECOND / 3600 for row in kept]
            axes.plot(hours, [100 * row[name] for row in kept], "-o", markersize=3, color=colour)
            if kept[-1] is rows[-1]:
                end = hours[-1], 100 * kept[-1][name]
                axes.annotate(label, end, (-60, -20), textcoords="offset points", color=colour)
    axes.set(
        xlabel=f"hours of training, all runs together, at {FACES_A_SECOND} faces a second",
        ylabel="FNMR of validation people, %",
    )
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    save(figure, out)


if __name__ == "__main__":
    main()
