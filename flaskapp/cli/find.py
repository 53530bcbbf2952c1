"""``facial-recognition find``: the photos that show one person."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click

from flaskapp.cli.options import ANY_PATH, FIGURE_SUFFIXES, OUTPUT_FILE, OUTPUT_FOLDER, PATH, Output, ReadingCommand

SHEET = Output(".html", ".htm", *FIGURE_SUFFIXES, drawn=True, dir_okay=False)


@click.command(cls=ReadingCommand)
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="REFERENCE PHOTOS…")
@click.option(
    "--model", type=ANY_PATH, metavar="MODEL", help="A personal model in place of REFERENCE, or weights (.h5)."
)
@click.option("--strict", is_flag=True, help="Raise the bar until less than one false match is expected in all.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--csv", "csv_file", type=OUTPUT_FILE, metavar="OUT.csv", help="Write a line for each photo found.")
@click.option("--copy-to", type=OUTPUT_FOLDER, metavar="DIR", help="Copy the photos that match; no file is replaced.")
@click.option("--plot", type=SHEET, metavar="OUT.html", help="Show the faces found: one page, or PNG, SVG, PDF.")
def find(**given: Any) -> None:
    """Find the photos that show one person.

    REFERENCE is a photo of that person alone, or a folder of such photos: several, of different
    days, find more. PHOTOS are photos and folders, with any number of faces in each. To look for
    somebody else, ask them first: it takes their consent.

    Many faces are many chances to be wrong, so the answer says how many false matches to expect
    among so many. Ctrl-C ends the search with what was found so far.

    \b
    Examples:
      facial-recognition find anna/ holiday/
      facial-recognition find anna.jpg holiday/ party.jpg --plot anna.html
      facial-recognition find anna/ holiday/ --strict --copy-to holiday_with_anna
      facial-recognition find anna/ holiday/ --json | jq -r .found[].photo
      facial-recognition find --model my_model holiday/

    \b
    Exit codes:
      0 looked through, whatever was found   2 wrong usage, or nothing that can be looked at
      130 stopped by Ctrl-C: what was found until then is told
    """
    from flaskapp.cli.searching import search

    search(SimpleNamespace(**given))
