"""``python -m flaskapp.cli`` is ``facial-recognition``, also where that is not on the path."""

from flaskapp.cli import run

run()
