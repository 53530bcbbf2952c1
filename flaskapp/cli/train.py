"""The commands ``train`` and ``forget``."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flaskapp.cli.options import ANY_PATH, FILE, FOLDER, OUTPUT_FOLDER, finite, shown
from flaskapp.cli.progress import progress_bar, report_left_out, share_bar
from flaskapp.errors import MissingExtraError, how_to_install

if TYPE_CHECKING:
    from flaskapp.personal.album import Album
    from flaskapp.personal.result import OwnResult

# Of others so many at most: more would only take longer to read.
OTHERS_PEOPLE, OTHERS_PHOTOS = 60, 30
MINUTES = click.FloatRange(min=0, min_open=True)


def _folder_or_lfw(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the name as it was given, or end where there is no such folder."""
    if value not in (None, "lfw"):
        FOLDER.convert(value, param, ctx)
    return value


@click.command()
@click.option("--me", required=True, type=FOLDER, metavar="DIR", help="Your photos: 10 to 20, of many days.")
@click.option(
    "--others",
    metavar="DIR|lfw",
    callback=_folder_or_lfw,
    help="A folder for each other person, or lfw; else a stand-in serves.",
)
@click.option("--out", type=OUTPUT_FOLDER, default=Path("my_model"), metavar="DIR", help="The model's folder.")
@click.option(
    "--recipe",
    type=click.Choice(["head", "whole"]),
    default="head",
    help="Train the last layers, or every weight, which takes other people's photos.",
)
@click.option("--weights", type=FILE, metavar="FILE.h5", help="Start from other weights than the shipped ones.")
@click.option("--minutes", type=MINUTES, callback=finite, default=5.0, help="Longest training.")
@click.option("--epochs", type=click.IntRange(min=1), default=30, help="Most epochs.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=2026, help="Seed of every draw.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's log into the model's folder.")
def train(
    me: Path, others: str | None, out: Path, recipe: str, weights: Path | None, tensorboard: bool, **effort: Any
) -> None:
    """Train a model on your own face, and say honestly how good it is.

    A fifth of your photos and of the other people is kept aside and scored once, at the end.
    Stop it whenever you like: the same command carries on where it stopped, and an earlier
    model in --out stays in use until the new one is finished. It needs the training extra:
    pip install -e ".[train]"

    \b
    Examples:
      facial-recognition train --me my_photos/
      facial-recognition train --me my_photos/ --others friends/ --out my_model
      facial-recognition train --me my_photos/ --others lfw --recipe whole
      facial-recognition compare a.jpg b.jpg --model my_model
      facial-recognition forget my_model

    A model that is optimised for its owner may not generalise to anybody else.

    \b
    Exit codes:
      0 written   2 wrong usage, photos that cannot be used, a leak, or a training that collapsed
    """
    from flaskapp.personal import check_out
    from flaskapp.personal.greeting import without_greeting

    check_out(out)
    try:
        with without_greeting():
            from flaskapp.personal import train as training
            from flaskapp.personal.loop import OwnRecipe
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Training needs {error.name}, which is not installed.",
            f"Run {how_to_install('train')}.",
        ) from None
    from flaskapp.personal.album import read_album

    settings = OwnRecipe(recipe, tensorboard=tensorboard, **effort)
    training.check_recipe(settings, others is not None)
    mine = read_album(me, progress=progress_bar("Reading your photos", "photos"))
    report_left_out(mine.left_out)
    reporter = training.OwnReporter(partial(click.echo, err=True), share_bar("Training"))
    result = training.train_own_face(mine, _read_others(others), out, settings, reporter, base=weights)
    click.echo(describe(result))
    click.echo(f"Try it: {how_to_try(out)}")


def how_to_try(model: Path) -> str:
    """Return the command that asks a model about a photo, as a shell reads it."""
    return shlex.join(["facial-recognition", "compare", "PHOTO", "--model", shown(model)])


def _read_others(others: str | None) -> Album | None:
    from flaskapp.personal.album import fetch_lfw, read_people

    if others is None:
        return None
    progress = progress_bar("Reading others' photos", "photos")
    if others == "lfw":
        return read_people(fetch_lfw(), progress, "centre", OTHERS_PHOTOS, OTHERS_PEOPLE)
    album = read_people(Path(others), progress, most=OTHERS_PHOTOS, people=OTHERS_PEOPLE)
    report_left_out(album.left_out)
    return album


def describe(result: OwnResult) -> str:
    """Return what came of a training as lines of text, the shipped weights' figures beside."""
    from flaskapp.report.rows import percent

    scope = result.scope
    lines = [*result.in_words(), f"{'':<9}  this model  shipped weights, same photos  shipped weights, one photo"]
    for name, told in result.even_figures().items():
        personal, shipped, alone = map(percent, told.values())
        lines.append(f"{name:<9}  {personal:>10}  {shipped:>28}  {alone:>26}")
    lines.append(
        f"Of two photos, out_of_scope: {scope.strangers_out:,} of {scope.stranger_pairs:,} pairs of two strangers,"
        f" {scope.owner_out:,} of {scope.owner_pairs:,} pairs of you."
    )
    return "\n".join(lines)


@click.command()
@click.argument("model", type=ANY_PATH, metavar="MODEL")
def forget(model: Path) -> None:
    """Remove every trace of a personal model: weights, templates, report, checkpoints, logs.

    Your photos stay where they are: training reads them and copies none. Anything else you
    put into the model's folder stays too.

    \b
    Examples:
      facial-recognition forget my_model
      facial-recognition forget models/anna

    \b
    Exit codes:
      0 removed, and listed   2 there is no personal model of that name
    """
    from flaskapp import personal

    removed = personal.forget(model)
    for path in removed:
        click.echo(f"removed: {shown(path)}")
    yours = ", ".join(path.name for path in personal.foreign(model))
    left = f"your own files stay in {shown(model)}: {yours}" if yours else f"nothing is left of {shown(model)}"
    click.echo(f"{len(removed)} files and folders removed; {left}.")
