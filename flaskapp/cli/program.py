"""All commands as one program; how each ends."""

from __future__ import annotations

import contextlib
import sys
import traceback
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from flaskapp import __version__
from flaskapp.cli.augment import augment
from flaskapp.cli.capture import capture
from flaskapp.cli.compare import compare, detect
from flaskapp.cli.evaluate import evaluate
from flaskapp.cli.exit_codes import BUG, OUT_OF_MEMORY, STOPPED, USAGE
from flaskapp.cli.find import find
from flaskapp.cli.serve import serve
from flaskapp.cli.train import forget, train
from flaskapp.errors import FacialRecognitionError


class _Program(click.Group):
    """A group whose commands never end with a traceback, nor by accident with a verdict's exit code."""

    def main(self, *arguments: Any, **settings: Any) -> NoReturn:
        """Run a command, and exit: with 1 only where a command says so and its answer has got out."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a sign is no error
        try:
            # Left to itself, click would end with 1 after Ctrl-C and after errors of its own.
            told = super().main(*arguments, **settings | {"standalone_mode": False})
            sys.stdout.flush()
            code = told if isinstance(told, int) else 0
        except BaseException as error:  # noqa: BLE001 - the last net below every command
            code = _tell(error)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None  # click would print an empty line before


def _tell(error: BaseException) -> int:
    """Say what went wrong, on standard error if that can be written, and return the exit code."""
    code, words = _code_and_words(error)
    with contextlib.suppress(OSError):
        if isinstance(error, click.ClickException):
            error.show()
        elif words:
            click.echo(words, err=True)
    return code


def _code_and_words(error: BaseException) -> tuple[int, str]:
    match error:
        case SystemExit(code=1) | BrokenPipeError():
            return USAGE, ""  # whoever read our answer has gone; 1 is click's for that
        case SystemExit():
            return error.code if isinstance(error.code, int) else BUG if error.code else 0, ""
        case click.ClickException():
            return max(error.exit_code, USAGE), ""
        case KeyboardInterrupt() | click.Abort():
            return STOPPED, "Stopped."
        case FacialRecognitionError():
            return error.exit_code, f"Error: {error}"
        case OSError():
            return USAGE, f"Error: {error.filename or 'the answer or a file'}: {error.strerror or error}."
        case MemoryError():
            return OUT_OF_MEMORY, "Error: there is too little memory. Close other programs, or use smaller photos."
    # Its text stays out: it may hold what no log should.
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {place.name}, line {place.lineno}"
    return BUG, f"Error: this should not have happened ({where}). Please report it."


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="facial-recognition")
def main() -> None:
    """Say whether two photos show the same person, on this machine alone.

    \b
    Are these two the same person?
      facial-recognition compare passport.jpg selfie.heic
    Several people in a photo: which number is the face I mean?
      facial-recognition detect group.jpg --plot boxes/
      facial-recognition compare group.jpg selfie.jpg --reference-face 2
    Which of these photos show Anna?
      facial-recognition find anna/ holiday/
    How often is it wrong, on photos of my own?
      facial-recognition evaluate --pairs pairs.csv --root photos/
    Can it know my own face better?
      facial-recognition train --me my_photos/
    I would rather do this in a browser.
      facial-recognition serve

    Photos are JPEG, PNG, WebP or HEIC. Nothing is uploaded. Nothing is stored but files
    that you name, the model that train makes, and LFW where train fetches it. COMMAND --help shows more examples.
    """


for command in (augment, capture, compare, detect, evaluate, find, forget, serve, train):
    main.add_command(command)
