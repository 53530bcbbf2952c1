"""``python -m research``: the commands."""

from __future__ import annotations

import hashlib
from typing import Any

import click

from flaskapp.errors import FacialRecognitionError
from research.distil.commands import measure, reasons, ship, stand_in, train
from research.measure.commands import COMMANDS
from research.sets.commands import audit, blend, lay_out, often


class _Refused(click.ClickException):
    """What cannot be used ends as wrong usage does."""

    exit_code = 2


class _Commands(click.Group):
    """Tells errors as one line, as the product's command line does."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FacialRecognitionError as error:
            raise _Refused(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """How the weights are made and measured."""


@click.command("mtcnn-weights")
def mtcnn_weights() -> None:
    """Write the detector's three networks again, from the weights of the mtcnn package."""
    from flaskapp.detection.networks import FOLDER
    from research.mtcnn_weights import write_models

    for path in write_models(FOLDER):
        click.echo(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")


for command in (audit, blend, lay_out, measure, mtcnn_weights, often, reasons, ship, stand_in, train, *COMMANDS):
    main.add_command(command)

if __name__ == "__main__":
    main()
