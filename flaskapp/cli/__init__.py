"""``facial-recognition …``: the program from a terminal. Its commands are ``flaskapp.cli.program.main``."""

from flaskapp.cli.running import run

__all__ = ["run"]
