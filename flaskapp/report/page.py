"""Sections of words, tables and pictures: as text for a terminal, and as one HTML file.

The file holds everything it shows: no script, no other file, no other origin.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2
from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

DOTS_PER_INCH, FACE_QUALITY = 110, 88
LOADER = jinja2.PackageLoader("flaskapp", "templates/report")
TEMPLATES = jinja2.Environment(loader=LOADER, autoescape=True, keep_trailing_newline=True)


@dataclass(frozen=True)
class Table:
    """Rows of words under as many heads; the first word names its row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it: its bytes, what it shows in words, its size in pixels, and lines below it."""

    base64: str
    text: str
    width: int
    height: int
    kind: str = "png"
    caption: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """One part of a report: heading, paragraphs, a table, pictures, and faces beside each other."""

    title: str
    paragraphs: Sequence[str] = ()
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    faces: Sequence[Picture] = ()


def picture(figure: Figure, text: str) -> Picture:
    """Return a figure of ``flaskapp.plots`` for a page; ``text`` says what it shows."""
    buffer = io.BytesIO()
    # Without a date and a program's name, the same figure gives the same page.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    width, height = (round(inches * DOTS_PER_INCH) for inches in figure.get_size_inches())
    return Picture(base64.b64encode(buffer.getvalue()).decode("ascii"), text, width, height)


def face(pixels: npt.NDArray[np.uint8], text: str, caption: Sequence[str]) -> Picture:
    """Return a face, uint8 (height, width, 3) RGB, for a page: as JPEG, a few kilobytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=FACE_QUALITY)
    height, width = pixels.shape[:2]
    return Picture(base64.b64encode(buffer.getvalue()).decode("ascii"), text, width, height, "jpeg", caption)


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the whole HTML file; what is no text in a file's name reads "?" there."""
    written = TEMPLATES.get_template("page.html").render(title=title, subtitle=subtitle, sections=sections)
    return written.encode("utf-8", "replace").decode("utf-8")


def as_text(sections: Sequence[Section], *, titled: bool = False) -> str:
    """Return the tables of sections as text, with blank lines between and titles above if ``titled``."""
    lines: list[str] = []
    for section in sections:
        if section.table:
            lines += ["", f"  {section.title}"] if titled else [""]
            rows = [row for row in (section.table.head, *section.table.rows) if any(row)]
            # Cells stand below each other; the last one may be as long as it likes.
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines[1:])
