"""False matches and failures to acquire by group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

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

ROW_HEIGHT = 0.26


def plot_strangers(told: Mapping[str, Any]) -> Figure:
    """Draw who is taken for whom, by the first column, and the rates of every combination of labels.

    Args:
        told: ``Strangers.to_json()``; the first threshold is drawn.
    """
    point, failures = told["operating_points"][0], told["failures_to_acquire_by_combination"]
    shares = {tuple(pair["groups"]): pair["rate"] for pair in point["across"]}
    values = _in_order(dict.fromkeys(name for pair in shares for name in pair))
    upper, lower = max(3.4, 0.62 * len(values) + 1.5), len(failures) * ROW_HEIGHT
    height = upper + lower + 2.5
    figure = new_figure(11, height)
    figure.text(
        0.03, 1 - 0.3 / height, f"False matches between strangers, {point['name']} {point['threshold']:.3f}",
        size=TITLE_SIZE, weight="bold", color=INK, va="center",
    )  # fmt: skip
    heat = figure.add_axes((0.2, 1 - (upper + 0.2) / height, 0.5, (upper - 1.1) / height))
    _draw_across(figure, heat, shares, values)
    for left, rates, title, colour in (
        (0.2, point["within_combinations"], "false match rate within the group", IMPOSTOR_COLOUR),
        (0.62, failures, "failures to acquire", INCONCLUSIVE_COLOUR),
    ):
        axes = gridded(quiet(figure.add_axes((left, 0.6 / height, 0.34, lower / height))))
        _draw_rates(axes, rates, title, colour, named=left < 0.5)
    return figure


def _in_order(names: Iterable[str]) -> list[str]:
    """Put ages in order of years: 3-9 before 10-19; names without a number stay in place."""
    return sorted(names, key=lambda name: int((re.findall(r"\d+", name) or ["0"])[0]))


def _draw_across(figure: Figure, axes: Axes, known: Mapping[tuple[str, str], float | None], values: list[str]) -> None:
    rates = [[known.get((a, b), known.get((b, a))) for b in values] for a in values]
    shares = np.array([[rate or np.nan for rate in row] for row in rates], np.float64)
    seen = shares[np.isfinite(shares)]
    norm = LogNorm(seen.min(), max(seen.max(), 1.01 * seen.min())) if seen.size else None
    axes.imshow(np.ma.masked_invalid(shares), cmap="cividis_r", norm=norm, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        rate, dark = rates[row][column], norm is not None and np.isfinite(share) and float(norm(share)) > 0.55
        axes.text(
            column, row, "—" if rate is None else percent(rate), ha="center", va="center", size=SMALL_SIZE - 1,
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


def _draw_rates(axes: Axes, rates: Mapping[str, Any], title: str, colour: str, *, named: bool) -> None:
    rates = {name: rates[name] for name in _in_order(rates)}
    places = np.arange(len(rates))[::-1]
    axes.barh(places, [rate["rate"] or 0 for rate in rates.values()], 0.62, color=colour, alpha=0.75, zorder=2)
    for place, rate in zip(places, rates.values(), strict=True):
        if interval := rate["interval"]:
            axes.plot([interval["low"], interval["high"]], [place, place], color=INK, linewidth=1.3, zorder=3)
    axes.set_yticks(places, list(rates) if named else [""] * len(rates), size=SMALL_SIZE)
    axes.set(ylim=(-0.6, len(rates) - 0.4), xlim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_title(title, size=SMALL_SIZE + 1, weight="bold", color=INK, loc="left")
