"""How every figure looks, and how it gets into a file.

Never through pyplot, whose state is global. Colours are Okabe and Ito's
(https://jfly.uni-koeln.de/color/), which people with any colour vision can tell apart; whatever a
colour says, a word, a number or a line style says too.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from flaskapp.errors import DataError
from flaskapp.parallel import new_file

MATCH_COLOUR = GENUINE_COLOUR = "#0072B2"
NON_MATCH_COLOUR = IMPOSTOR_COLOUR = "#D55E00"
INCONCLUSIVE_COLOUR = "#8A8A8A"
CHOSEN_COLOUR = "#56B4E9"
OTHER_COLOUR = "#FFFFFF"

INK = "#1F2328"
QUIET_INK = "#59636E"
RULE = "#D1D9E0"
PAPER = "#FFFFFF"

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 15, 11, 9.5
DOTS_PER_INCH = 144
DASHED: dict[str, Any] = {"color": INK, "linewidth": 1.3, "linestyle": (0, (3, 2))}
# What the formats are told to leave out: without a date, the same figure gives the same file.
FORMATS = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor=PAPER)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, as the file's name ends; an earlier file stays where that fails.

    Raises:
        DataError: the name ends otherwise, or the file cannot be written.
    """
    path = Path(path)
    metadata = FORMATS.get(path.suffix.lower())
    if metadata is None:
        raise DataError(
            f"A figure expects a file name ending in {' or '.join(FORMATS)}. Received: {path.name}.",
            f"Write {path.stem}.png, for example.",
        )
    try:
        with new_file(path) as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for it
            figure.savefig(file.buffer, format=path.suffix[1:].lower(), metadata=metadata)
    except OSError as error:
        raise DataError(f"{path.name} cannot be written: {error.strerror}.", "Choose another folder.") from None


def quiet(axes: Axes) -> Axes:
    """Take away what is not data: frame, tick marks, dark grid lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(which="both", length=0, pad=6, labelsize=SMALL_SIZE, labelcolor=QUIET_INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(size=TEXT_SIZE, color=INK)
    axes.set_axisbelow(True)
    return axes


def gridded(axes: Axes) -> Axes:
    """Add a light grid at the major ticks."""
    axes.grid(True, which="major", color=RULE, linewidth=0.7)
    return axes


def titled(axes: Axes, text: str) -> None:
    """Write the title of a figure of one plot."""
    axes.set_title(text, size=TITLE_SIZE - 2, weight="bold", color=INK, loc="left", pad=12)


def legend(axes: Axes, where: str, **style: Any) -> None:
    """Explain what is drawn."""
    axes.legend(loc=where, **{"frameon": False, "fontsize": SMALL_SIZE, "labelcolor": INK} | style)


def on_pairs_axis(axes: Axes, lowest: float = 10.0) -> None:
    """Make y a logarithmic count of pairs that reaches ``lowest`` at least."""
    axes.set(yscale="log", ylabel="pairs")
    axes.set_ylim(0.7, max(lowest, axes.get_ylim()[1]))
    # All digits of a million would push the axis's label out of the picture.
    shown = FuncFormatter(lambda count, _: f"{count / 1e6:g} M" if count >= 1e6 else f"{count:,.0f}")
    axes.yaxis.set_major_formatter(shown)
    axes.yaxis.set_minor_locator(NullLocator())


def percent(share: float) -> str:
    """Write a share so that small ones keep two digits.

    >>> [percent(share) for share in (0, 0.00123, 0.0456, 0.5)]
    ['0 %', '0.12 %', '4.6 %', '50 %']
    """
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"
