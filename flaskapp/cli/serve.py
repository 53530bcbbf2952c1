"""The command that serves the page and the API."""

from __future__ import annotations

from pathlib import Path

import click

from flaskapp.cli.options import ANY_PATH


@click.command()
@click.option("--host", help="Address to listen on; else $HOST, else 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; else $PORT, else 5000.")
@click.option(
    "--model", type=ANY_PATH, metavar="DIR|FILE.h5", help="Use a personal model, or other weights; also $FR_MODEL."
)
@click.option("--browser", is_flag=True, help="Open the page in a browser, where there is a display.")
def serve(host: str | None, port: int | None, model: Path | None, browser: bool) -> None:
    """Serve the page and the API, on this machine alone unless told otherwise.

    \b
    Examples:
      facial-recognition serve
      facial-recognition serve --browser
      facial-recognition serve --model my_model
      facial-recognition serve --port 8000
      FR_ALLOWED_HOSTS=faces.example.org facial-recognition serve --host 0.0.0.0

    Browsers allow the camera on http://localhost and on https:// pages only. docs/serving.md
    lists all settings.
    """
    from flaskapp import app

    app.serve(host, port, {"FR_MODEL": str(model)} if model else {}, browser=browser)
