"""A contact sheet of the pairs that went wrong most. It shows faces: make it only where asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from flaskapp.plots.style import INK, QUIET_INK, SMALL_SIZE, TITLE_SIZE, new_figure

COLUMNS = 4
CELL_WH = (2.6, 1.75)
TITLE_HEIGHT = 0.5


@dataclass(frozen=True)
class HardPair:
    """A pair with the two faces that the network saw.

    Attributes:
        reference: uint8 (100, 100, 3) RGB.
        probe: likewise.
        similarity_score: what it got.
        names: of both photos, to be found again.
    """

    reference: np.ndarray
    probe: np.ndarray
    similarity_score: float
    names: tuple[str, str]


def plot_hardest(genuine: Sequence[HardPair], impostor: Sequence[HardPair]) -> Figure:
    """Draw the genuine pairs of lowest score, then the impostor pairs of highest score.

    Args:
        genuine: hardest first; may be empty.
        impostor: likewise.
    """
    parts = [("One person, lowest scores", genuine), ("Two people, highest scores", impostor)]
    shown = [(title, pairs, math.ceil(len(pairs) / COLUMNS)) for title, pairs in parts if pairs]
    height = sum(TITLE_HEIGHT + rows * CELL_WH[1] for _, _, rows in shown) + 0.3
    figure = new_figure(COLUMNS * CELL_WH[0] + 0.2, height)
    top = height - 0.1
    for title, pairs, rows in shown:
        top -= TITLE_HEIGHT
        figure.text(0.02, (top + 0.18) / height, title, size=TITLE_SIZE - 2, weight="bold", color=INK)
        for index, pair in enumerate(pairs):
            row, column = divmod(index, COLUMNS)
            _draw(figure, pair, 0.2 + column * CELL_WH[0], top - (row + 1) * CELL_WH[1], height)
        top -= rows * CELL_WH[1]
    return figure


def _draw(figure: Figure, pair: HardPair, left: float, bottom: float, height: float) -> None:
    width, side = COLUMNS * CELL_WH[0] + 0.2, 1.15
    for number, face in enumerate((pair.reference, pair.probe)):
        place = ((left + number * (side + 0.04)) / width, (bottom + 0.52) / height, side / width, side / height)
        axes = figure.add_axes(place)
        axes.imshow(face)
        axes.set_axis_off()
    figure.text(
        left / width, (bottom + 0.34) / height, f"score {pair.similarity_score:.3f}", size=SMALL_SIZE, color=INK
    )
    for line, name in enumerate(pair.names):
        figure.text(
            left / width,
            (bottom + 0.2 - 0.13 * line) / height,
            _short(name),
            size=6.5,
            color=QUIET_INK,
            parse_math=False,
        )


def _short(name: str, most: int = 42) -> str:
    return name if len(name) <= most else f"…{name[-most + 1 :]}"
