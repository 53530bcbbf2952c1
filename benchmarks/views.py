"""What looking at several views of each face is worth, on validation people.

``python -m benchmarks.views base-sets.toml --work runs/base --weights siamese_model_final.h5`` prints FNMR
by cosine of the 128 numbers learned: from the face alone, from its mirror image alone, from the
mean of both, and from the mean of both and both moved down, as the network computes it.
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from keras import ops

from flaskapp import preprocess
from flaskapp.dataset import sets
from flaskapp.layers import VIEWS, WithOtherViews
from flaskapp.training.base import VALIDATION_PHOTOS, fnmr_figures, prepare, start_from
from flaskapp.training.distillation import build_student
from flaskapp.training.scores import labelled


def vectors_of(student: keras.Model, faces: np.ndarray) -> dict[str, np.ndarray]:
    """Return float32 (N, 128) for each way of looking at uint8 (N, 100, 100, 3) faces."""
    parts = np.array_split(faces, max(1, len(faces) // 256))
    said = np.concatenate([_said_of_views(student, part) for part in parts], axis=1)
    return {
        "the face": said[0],
        "its mirror image": said[1],
        "both": said[:2].mean(axis=0),
        "both, and both moved down": said.mean(axis=0),
    }


def _said_of_views(student: keras.Model, faces: np.ndarray) -> np.ndarray:
    views = ops.convert_to_numpy(WithOtherViews()(preprocess.to_model_input(faces)))
    return np.asarray(student.predict(views, batch_size=64, verbose=0)).reshape(VIEWS, len(faces), -1)


@click.command()
@click.argument("sets_file", type=click.Path(exists=True, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder with the crops, as of train-base.")
@click.option(
    "--weights", type=click.Path(exists=True, path_type=Path), required=True, help="Weights to look at, an .h5."
)
def main(sets_file: Path, work: Path, weights: Path) -> None:
    table, crops = prepare(sets_file, work)
    rows = labelled(table, sets.VALIDATION).rows[:VALIDATION_PHOTOS]
    person = table.person[rows]
    student = build_student()
    start_from(student, weights)
    first, second = np.triu_indices(len(person), 1)
    click.echo(
        f"\n{len(rows):,} photos of validation people\n\n| looks at | FNMR at FMR 1 % | at 0.1 % |\n|---|---|---|"
    )
    for name, vectors in vectors_of(student, crops[rows]).items():
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        figures = fnmr_figures((unit @ unit.T)[first, second], person[first] == person[second])
        click.echo(f"| {name} | {' | '.join(f'{100 * figure:.1f} %' for figure in figures.values())} |")


if __name__ == "__main__":
    main()
