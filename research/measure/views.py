"""What looking at several views of each face is worth, and what the length of the mean tells, on validation people.

``python -m research.measure.views base-sets.toml --work runs/base --weights siamese_model_final.h5`` prints FNMR
by cosine of the 128 numbers learned: from the face alone, from its mirror image alone, from the
mean of both, and from the mean of both and both moved down, as the network computes it. Then, of
that mean, by distance with lengths to some powers: 0 is the cosine's order, 1 the vectors as they are.
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

EXPONENTS = 0, 0.1, 0.2, 0.3, 0.4, 0.5, 1
HEADING = "| FNMR at FMR 1 % | at 0.1 % |\n|---|---|---|"


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


def nearness(vectors: np.ndarray, exponent: float) -> np.ndarray:
    """Return minus the squared distances (N, N) of vectors (N, d) whose lengths are taken to a power."""
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    scaled = vectors / length * length**exponent
    squares = np.sum(scaled**2, axis=1)
    return np.asarray(2 * scaled @ scaled.T - squares[:, None] - squares)


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
    """Print what views and lengths are worth."""
    table, crops = prepare(sets_file, work)
    rows = labelled(table, sets.VALIDATION).rows[:VALIDATION_PHOTOS]
    person = table.person[rows]
    student = build_student()
    start_from(student, weights)
    first, second = np.triu_indices(len(person), 1)
    same = person[first] == person[second]
    said = vectors_of(student, crops[rows])
    click.echo(f"\n{len(rows):,} photos of validation people\n\n| looks at {HEADING}")
    for name, vectors in said.items():
        click.echo(_row(name, nearness(vectors, 0)[first, second], same))
    click.echo(f"\n| exponent of the length {HEADING}")
    for exponent in EXPONENTS:
        click.echo(_row(f"{exponent:g}", nearness(list(said.values())[-1], exponent)[first, second], same))


def _row(name: str, scores: np.ndarray, same: np.ndarray) -> str:
    return f"| {name} | {' | '.join(f'{100 * figure:.1f} %' for figure in fnmr_figures(scores, same).values())} |"


if __name__ == "__main__":
    main()
