"""The command that writes the model card: model-card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from flaskapp.cli.options import EXISTING_FILE, OUTPUT_FILE, ReadingCommand
from flaskapp.errors import DataError


@click.command("model-card", cls=ReadingCommand)
@click.argument("runs", nargs=-1, metavar="RUN.json...", type=EXISTING_FILE)
@click.option("--weights", type=EXISTING_FILE, metavar="FILE.h5", help="Other weights than the shipped ones.")
@click.option("--recipe", type=EXISTING_FILE, metavar="FILE.md", help="How the recipe was chosen; told as it is.")
@click.option("--out", type=OUTPUT_FILE, metavar="CARD.md", required=True, help="The card, as Markdown.")
def model_card(runs: tuple[Path, ...], weights: Path | None, recipe: Path | None, out: Path) -> None:
    """Write the model card from the weights' own JSON and from what `evaluate --json` wrote.

    All runs must be of these very weights.

    \b
    Examples:
      facial-recognition model-card figures.json --out card.md
      facial-recognition model-card lfw.json strangers.json worse.json --out model-card.md

    \b
    Exit codes:
      0 written   2 wrong usage, or a run that cannot be told
    """
    from flaskapp.report import card
    from flaskapp.runtime import default_weights_path, read_info

    note = read_info(weights or default_weights_path()).details
    told = [_read(run, card.weights_id(note)) for run in runs]
    text = _text_of(recipe) if recipe else ""
    try:
        out.write_text(card.model_card(note, told, text), encoding="utf-8")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"A run lacks what the card tells ({type(error).__name__}: {error}).", "Measure anew."
        ) from None


def _text_of(recipe: Path) -> str:
    try:
        return recipe.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{recipe.name} is not text in UTF-8.", "Save it as UTF-8.") from None


def _read(run: Path, weights: str) -> dict[str, Any]:
    try:
        told = json.loads(run.read_text(encoding="utf-8"))
        measured = told["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{run.name} is no JSON of evaluate.", "Give what evaluate --json wrote.") from None
    if measured != weights:
        raise DataError(f"{run.name} was measured with {measured}, and the card is of {weights}.", "Measure anew.")
    return dict(told)
