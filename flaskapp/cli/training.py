"""The command that makes the shipped weights."""

from __future__ import annotations

from pathlib import Path

import click

from flaskapp.allowance import allowed_cores
from flaskapp.cli.options import EXISTING_FILE, OUTPUT_FOLDER, WEIGHTS, FiniteRange
from flaskapp.cli.progress import progress_bar, share_bar
from flaskapp.errors import MissingExtraError
from flaskapp.training.greeting import without_greeting


@click.command("train-base")
@click.argument("sets_file", metavar="SETS.toml", type=EXISTING_FILE)
@click.option(
    "--work",
    type=OUTPUT_FOLDER,
    default=Path("training-run"),
    show_default=True,
    help="Folder for aligned faces, checkpoints and the log; a run that was stopped goes on from it.",
)
@click.option(
    "--out",
    type=WEIGHTS,
    default=Path("siamese_model_final.h5"),
    show_default=True,
    help="The weights; their .json is written beside them.",
)
@click.option(
    "--epochs",
    type=FiniteRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Passes over the training photos.",
)
@click.option(
    "--minutes",
    type=FiniteRange(min=0, min_open=True),
    default=None,
    help="Distil at most so long, over all resumptions; without it, for all epochs.",
)
@click.option(
    "--start",
    type=EXISTING_FILE,
    default=None,
    help="Go on from the weights of an earlier run, an .h5, at a new rate; without it, from nothing.",
)
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    default=0.035,
    show_default=True,
    help="Learning rate of the convolutions, by Muon; about 0.01 to go on from earlier weights.",
)
@click.option(
    "--constant",
    type=FiniteRange(min=0, max=1, max_open=True),
    default=0.6,
    show_default=True,
    help="Share of the way at that rate; over the rest it falls to nothing.",
)
@click.option("--batch-size", type=click.IntRange(min=8), default=64, show_default=True, help="Faces in a batch.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=2026, show_default=True, help="Of order, augmentation, all."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=allowed_cores, help="Processes that cut faces; one a core."
)
def train_base(
    sets_file: Path,
    work: Path,
    out: Path,
    epochs: float,
    minutes: float | None,
    start: Path | None,
    rate: float,
    constant: float,
    batch_size: int,
    seed: int,
    workers: int,
) -> None:
    """Make weights that know faces in general, from folders of photos.

    Three steps: distil a teacher network, fold its numbers into the Siamese head, train the
    head on pairs. Stop it at any time; the same command goes on where it was. It needs the
    training extra: pip install -e ".[train]"

    \b
    Examples:
      facial-recognition train-base sets.toml
      facial-recognition train-base sets.toml --minutes 150 --work training-run
      KERAS_BACKEND=torch facial-recognition train-base sets.toml --epochs 40
      facial-recognition train-base sets.toml --start siamese_model_final.h5 --rate 0.01

    SETS.toml names folders of people, folders of unlabelled faces, and a teacher's
    embeddings with landmarks where there are some:

    \b
      [[set]]
      name = "people"
      folder = "people"            # a folder of photos for each person
      teacher = "people.npz"       # paths, landmarks, embedding, ok
      identities = "folder"
      roles = "hashed"             # by name: 80 % train, others choose and measure
      drop = ["somebody_mislabelled"]

    \b
      [[exclude]]
      name = "lfw"                 # whoever looks like these is never learned from
      teacher = "lfw.npz"

    docs/training.md tells the whole story.

    \b
    Exit codes:
      0 written   2 wrong usage, or sets that cannot be used
    """
    try:
        with without_greeting():
            from flaskapp.dataset.crops import CHUNK
            from flaskapp.training import base
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Training needs {error.name}, which is not installed.",
            'Try, in the folder of this program: pip install -e ".[train]"',
        ) from None
    recipe = base.Recipe(epochs, minutes, batch_size, rate, constant, seed, start)
    reporter = base.Reporter(
        say=lambda text: click.echo(text, err=True),
        cutting=progress_bar("Aligning faces", "photos", each=CHUNK),
        learning=share_bar("Distilling", "batches"),
    )
    base.train_base(sets_file, work, out, recipe, reporter, workers)
