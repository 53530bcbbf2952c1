"""One HTML file that holds everything it shows: no script, no other file, no other origin."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
# A table of more columns is scrolled sideways on a small screen rather than wrapped.
WRAPPED_COLUMNS = 3

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2328; background: #fff; max-width: 68rem;
       margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .25rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid #d1d9e0; }
p { max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .32rem .9rem .32rem 0; border-bottom: 1px solid #e7ebef; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; min-width: 6rem; }
.wide th, .wide td { white-space: nowrap; }
.wide td:last-child { white-space: normal; min-width: 11rem; }
th[scope=row] { font-weight: 500; white-space: nowrap; }
thead th { color: #59636e; font-weight: 500; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.quiet { color: #59636e; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Table:
    """Rows of words.

    Attributes:
        head: of the columns.
        rows: as many words each; the first names the row.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        title: its heading.
        paragraphs: what is said first.
        table: then this.
        pictures: then these, as ``picture`` gives them.
    """

    title: str
    paragraphs: Sequence[str] = ()
    table: Table | None = None
    pictures: Sequence[str] = field(default_factory=list)


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the whole HTML file."""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="quiet">{escape(subtitle)}</p>\n</header>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def picture(figure: Figure, text: str) -> str:
    """Return a figure as HTML that holds the picture itself.

    Args:
        figure: any of ``flaskapp.plots``.
        text: what it shows, for whoever cannot see it.
    """
    buffer = io.BytesIO()
    # Without a date and a program's name, the same figure gives the same page.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    width, height = (round(inches * DOTS_PER_INCH) for inches in figure.get_size_inches())
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(text)}" width="{width}" height="{height}">'
        "</figure>"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *(f"<p>{escape(text)}</p>" for text in section.paragraphs)]
    if section.table is not None:
        parts.append(_table(section.table))
    if section.pictures:
        parts.append('<div class="pictures">' + "\n".join(section.pictures) + "</div>")
    return "\n".join(["<section>", *parts, "</section>"])


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in table.rows
    )
    wide = ' class="wide"' if len(table.head) > WRAPPED_COLUMNS else ""
    return (
        f'<div class="scroll"><table{wide}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'
    )
