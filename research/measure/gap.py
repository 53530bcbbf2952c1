"""Whether more training or more photos would help: how near weights come to the teacher, on photos seen and unseen.

``python -m research.measure.gap base-sets.toml --work runs/base --weights siamese_model_final.h5`` prints
the mean cosine to the teacher's vectors, set by set, of photos that training saw and of validation
people. What both lack is for more training to win; what only the second lack, for more people.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from flaskapp import preprocess
from flaskapp.dataset import sets
from flaskapp.dataset.sets import FaceTable
from flaskapp.training.base import prepare, refit_projection, start_from
from flaskapp.training.centring import centred_teacher
from flaskapp.training.distillation import build_student

SEED = 2026
FEWEST = 100
ROLES = {"training": sets.TRAINING, "validation": sets.VALIDATION}


def samples(table: FaceTable, targets: np.ndarray, size: int) -> Iterator[tuple[str, list[np.ndarray | None]]]:
    """Yield each set's name and rows of ``size`` of its photos of each role; None where there are too few."""
    rng = np.random.default_rng(SEED)
    taught = ~np.isnan(targets).any(axis=1)
    for index, name in enumerate(table.set_names):
        rows = [np.flatnonzero((table.role == role) & (table.set_index == index) & taught) for role in ROLES.values()]
        yield (
            name,
            [
                np.sort(rng.choice(few, min(size, len(few)), replace=False)) if len(few) >= FEWEST else None
                for few in rows
            ],
        )


@click.command()
@click.argument("sets_file", type=click.Path(exists=True, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder with the crops, as of train-base.")
@click.option(
    "--weights", type=click.Path(exists=True, path_type=Path), required=True, help="Weights to look at, an .h5."
)
@click.option("--photos", type=click.IntRange(min=FEWEST), default=600, show_default=True, help="Of a set and role.")
def main(sets_file: Path, work: Path, weights: Path, photos: int) -> None:
    """Print the mean cosines, set by set."""
    table, crops = prepare(sets_file, work)
    targets = centred_teacher(table)
    training = np.flatnonzero((table.role == sets.TRAINING) & ~np.isnan(targets).any(axis=1))
    student = build_student()
    start_from(student, weights)
    refit_projection(student, crops, training, targets, SEED)

    def cosine(rows: np.ndarray | None) -> str:
        if rows is None:
            return "–"
        vectors = student.predict(preprocess.to_model_input(crops[rows]), batch_size=64, verbose=0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return f"{np.mean(np.sum(vectors * targets[rows], axis=1)):.3f}"

    click.echo(f"\n| cosine to the teacher | {' | '.join(ROLES)} |\n|---|---|---|")
    for name, groups in samples(table, targets, photos):
        click.echo(f"| {name} | {' | '.join(map(cosine, groups))} |")


if __name__ == "__main__":
    main()
