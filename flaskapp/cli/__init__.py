"""``facial-recognition …``: the program from a terminal."""

from __future__ import annotations

import os
import sys
import traceback
from io import TextIOWrapper
from typing import Any

import click

from flaskapp import __version__
from flaskapp.cli.auditing import audit
from flaskapp.cli.augmenting import augment
from flaskapp.cli.blending import blend
from flaskapp.cli.capturing import capture
from flaskapp.cli.carding import model_card
from flaskapp.cli.completing import completion
from flaskapp.cli.evaluating import evaluate
from flaskapp.cli.own_face import forget, stand_in, train
from flaskapp.cli.photos import compare, detect
from flaskapp.cli.serving import serve
from flaskapp.cli.training import train_base
from flaskapp.errors import FacialRecognitionError

__all__ = ["main"]

STOPPED, BUG = 130, 70
"""What a shell gives a program that Ctrl-C ended, and ``EX_SOFTWARE`` of ``sysexits.h``. Python's
own answer to both would be 1, and that is ours for a non-match."""


class _Program(click.Group):
    """A group whose commands never end with a traceback, nor by accident with a verdict's exit code."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run as the program, and end as soon as the answer is out.

        Python would first take apart what the system frees at once anyway: 0.13 of the 0.68
        seconds that a comparison takes.
        """
        try:
            return super().__call__(*arguments, **settings)
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else BUG)

    def main(self, *arguments: Any, **settings: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a sign is no error
        return super().main(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except FacialRecognitionError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read our answer has gone; keep Python from flushing to nobody at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(2)
        except OSError as error:
            click.echo(f"Error: {error.filename or 'a file'}: {error.strerror or error}.", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(STOPPED)
        except Exception as error:  # noqa: BLE001 - the last net below every command
            click.echo(f"Error: this should not have happened ({_where(error)}). Please report it.", err=True)
            ctx.exit(BUG)


def _where(error: Exception) -> str:
    """Name an error's kind and place. Its text stays out: it may hold what no log should."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}"


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facial-recognition")
def main() -> None:
    """Say whether two photos show the same person, on this machine alone.

    \b
    Are these two the same person?
      facial-recognition compare passport.jpg selfie.heic
    Who is in this photo, and which number has the face I mean?
      facial-recognition detect group.jpg --plot boxes/
      facial-recognition compare group.jpg selfie.jpg --reference-face 2
    How often is it wrong, on photos of my own?
      facial-recognition evaluate --pairs pairs.csv --root photos/
    Can it know my own face better?
      facial-recognition train --me my_photos/
    I would rather do this in a browser.
      facial-recognition serve

    Photos are JPEG, PNG, WebP or HEIC. Nothing is uploaded and nothing is stored, except
    where you name a file to write. COMMAND --help shows more examples.
    """


commands = (
    audit,
    augment,
    blend,
    capture,
    compare,
    completion,
    detect,
    evaluate,
    forget,
    model_card,
    serve,
    stand_in,
    train,
    train_base,
)
for command in commands:
    main.add_command(command)
