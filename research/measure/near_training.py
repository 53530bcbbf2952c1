"""Which people of an evaluation set stand near somebody whom training learned from.

``python -m research.measure.near_training sets.toml --teacher lfw.npz --out near.csv`` compares every
photo of the teacher's file with every photo that a sets file trains on, and writes a CSV for
``evaluate --labels near.csv --by training``: ``near`` for all photos of people (the folders) one of
whose photos is nearer than cosine 0.5, ``far`` for the rest. The figures of pairs that are far
are then those of strangers.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np

from flaskapp.cli.options import OUTPUT_FILE
from research.sets import table as sets
from research.sets.overlaps import SAME_PERSON_COSINE, nearest_cosine, of_whole_people


def near_training(folders: list[str], embeddings: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Return of whose people a photo is near one that was learned from.

    Args:
        folders: who is in each of N photos.
        embeddings: float32 (N, d) of unit length.
        learned: float32 (M, d), likewise.

    Returns:
        bool (N,).
    """
    people = np.unique(folders, return_inverse=True)[1]
    return of_whole_people(people, nearest_cosine(embeddings, learned) > SAME_PERSON_COSINE)


@click.command()
@click.argument("sets_file", type=click.Path(exists=True, path_type=Path))
@click.option("--teacher", type=click.Path(exists=True, path_type=Path), required=True, help="Of the set, a .npz.")
@click.option("--out", type=OUTPUT_FILE, required=True, help="The CSV to write.")
def main(sets_file: Path, teacher: Path, out: Path) -> None:
    """Write who stands near somebody whom training learned from."""
    table = sets.load_faces(*sets.read_sets(sets_file.resolve()))
    learned = table.teacher[table.role == sets.TRAINING]
    names, embeddings = sets.read_teacher(teacher)
    folders = [name.split("/")[0] for name in names]
    near = near_training(folders, embeddings, learned)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "training"))
        writer.writerows((name, "near" if one else "far") for name, one in zip(names, near, strict=True))
    people = len({folder for folder, one in zip(folders, near, strict=True) if one})
    click.echo(f"{int(near.sum()):,} of {len(near):,} photos, {people:,} of {len(set(folders)):,} people are near")


if __name__ == "__main__":
    main()
