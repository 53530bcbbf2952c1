"""Contact sheets: many small pictures in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from flaskapp.plots.style import INK, SMALL_SIZE, new_figure

CELL, LABEL, GAP = 1.25, 0.42, 0.06


def plot_sheet(rows: Sequence[Sequence[npt.NDArray[np.uint8]]], columns: Sequence[str]) -> Figure:
    """Draw pictures in a grid, each whole and in its own shape, with a word above each column.

    Args:
        rows: uint8 (height, width, 3) RGB pictures, as many a row as there are columns.
        columns: their names; a space starts a new line.

    Raises:
        ValueError: there is no row, or one of another length.
    """
    if not rows or {len(row) for row in rows} != {len(columns)}:
        raise ValueError(f"Expected rows of {len(columns)} pictures. Received: {[len(row) for row in rows]}")
    width, height = len(columns) * CELL, len(rows) * CELL + LABEL
    figure = new_figure(width, height)
    for index, pictures in enumerate(rows):
        bottom = height - LABEL - (index + 1) * CELL
        for column, pixels in enumerate(pictures):
            box = (column * CELL + GAP / 2, bottom + GAP / 2, CELL - GAP, CELL - GAP)
            axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
            axes.imshow(pixels)
            axes.set_axis_off()
    for column, name in enumerate(columns):
        place = ((column + 0.5) * CELL / width, 1 - LABEL / 2 / height)
        figure.text(*place, name.replace(" ", "\n", 1), size=SMALL_SIZE * 0.8, color=INK, ha="center", va="center")
    return figure
