"""False matches and failures to acquire by group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from flaskapp.plots.style import (
    IMPOSTOR_COLOUR,
    INCONCLUSIVE_COLOUR,
    INK,
    QUIET_INK,
    SMALL_SIZE,
    TITLE_SIZE,
    gridded,
    new_figure,
    percent,
    quiet,
)
from research.measure.strangers import Operating, Rate, Strangers

ROW_HEIGHT = 0.26


def plot_strangers(strangers: Strangers) -> Figure:
    """Draw who is taken for whom, by the first column, and the rates of every combination of labels.

    Args:
        strangers: as measured; the first threshold is drawn.
    """
    point, rows = strangers.operating[0], len(strangers.failures_of_cells)
    values = list(dict.fromkeys(name for pair in point.across for name in pair))
    upper, lower = max(3.4, 0.62 * len(values) + 1.5), rows * ROW_HEIGHT
    height = upper + lower + 2.5
    figure = new_figure(11, height)
    figure.text(
        0.03, 1 - 0.3 / height, f"False matches between strangers, {point.name} {point.threshold:.3f}",
        size=TITLE_SIZE, weight="bold", color=INK, va="center",
    )  # fmt: skip
    heat = figure.add_axes((0.2, 1 - (upper + 0.2) / height, 0.5, (upper - 1.1) / height))
    _draw_across(figure, heat, point, values)
    for left, rates, title, colour in (
        (0.2, point.cells, "false match rate within the group", IMPOSTOR_COLOUR),
        (0.62, strangers.failures_of_cells, "failures to acquire", INCONCLUSIVE_COLOUR),
    ):
        axes = gridded(quiet(figure.add_axes((left, 0.6 / height, 0.34, lower / height))))
        _draw_rates(axes, rates, title, colour, named=left < 0.5)
    return figure


def _draw_across(figure: Figure, axes: Axes, point: Operating, values: list[str]) -> None:
    shares = np.array([[point.between(a, b).share or np.nan for b in values] for a in values], np.float64)
    seen = shares[np.isfinite(shares)]
    norm = LogNorm(seen.min(), max(seen.max(), 1.01 * seen.min())) if seen.size else None
    axes.imshow(np.ma.masked_invalid(shares), cmap="cividis_r", norm=norm, aspect="auto")
    for row, a in enumerate(values):
        for column, b in enumerate(values):
            known = point.between(a, b).share
            dark = norm is not None and np.isfinite(shares[row, column]) and float(norm(shares[row, column])) > 0.55
            axes.text(
                column, row, "—" if known is None else percent(known), ha="center", va="center", size=SMALL_SIZE - 1,
                color="white" if dark else INK,
            )  # fmt: skip
    axes.set_xticks(range(len(values)), values, rotation=25, ha="right", size=SMALL_SIZE)
    axes.set_yticks(range(len(values)), values, size=SMALL_SIZE)
    axes.tick_params(length=0, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("one photo of each group", size=SMALL_SIZE + 1, color=QUIET_INK, loc="left")
    figure.text(
        0.73, axes.get_position().y1 - 0.02, "Darker: more often\ntaken for each other", size=SMALL_SIZE, va="top"
    )


def _draw_rates(axes: Axes, rates: Mapping[str, Rate], title: str, colour: str, *, named: bool) -> None:
    places = np.arange(len(rates))[::-1]
    axes.barh(places, [rate.share or 0 for rate in rates.values()], 0.62, color=colour, alpha=0.75, zorder=2)
    for place, rate in zip(places, rates.values(), strict=True):
        if rate.interval is not None:
            axes.plot([rate.interval.low, rate.interval.high], [place, place], color=INK, linewidth=1.3, zorder=3)
    axes.set_yticks(places, list(rates) if named else [""] * len(rates), size=SMALL_SIZE)
    axes.set(ylim=(-0.6, len(rates) - 0.4), xlim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_title(title, size=SMALL_SIZE + 1, weight="bold", color=INK, loc="left")
