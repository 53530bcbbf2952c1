"""How errors grow as photos get worse: one small plot for each way of getting worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from flaskapp.plots.style import (
    GENUINE_COLOUR,
    IMPOSTOR_COLOUR,
    INCONCLUSIVE_COLOUR,
    INK,
    QUIET_INK,
    SMALL_SIZE,
    TITLE_SIZE,
    gridded,
    new_figure,
    quiet,
)

Json = Mapping[str, Any]

COLUMNS = 4
CELL_WH = (3.4, 3.3)


def plot_robustness(told: Mapping[str, Any]) -> Figure:
    """Draw FNMR with its interval, failures to acquire and FMR over the steps of each kind.

    One point of each plot is the photos as they are: the first, or between less and more light.
    Of the yaw there is no such point.

    Args:
        told: ``Robustness.to_json()``.
    """
    kinds, unchanged = told["degraded"], told["unchanged"]
    rows = -(-len(kinds) // COLUMNS)
    figure = new_figure(COLUMNS * CELL_WH[0], rows * CELL_WH[1] + 0.9)
    height = figure.get_size_inches()[1]
    for index, (kind, part) in enumerate(kinds.items()):
        row, column = divmod(index, COLUMNS)
        left = (column * CELL_WH[0] + 0.62) / (COLUMNS * CELL_WH[0])
        bottom = (height - 0.75 - (row + 1) * CELL_WH[1] + 0.85) / height
        axes = figure.add_axes((left, bottom, 2.6 / (COLUMNS * CELL_WH[0]), (CELL_WH[1] - 1.2) / height))
        steps = list(part["steps"])
        if kind != "yaw":
            steps.insert(sum(step["value"] < 0 for step in steps), {**unchanged, "step": "as it is"})
        _draw(gridded(quiet(axes)), steps, kind, part["label"])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", bbox_to_anchor=(0.99, 1.0), ncols=4, frameon=False, fontsize=SMALL_SIZE
    )
    figure.text(
        0.02, 1 - 0.28 / height,
        f"Worse photos   {unchanged['genuine']:,} genuine, {unchanged['impostor']:,} impostor pairs a step",
        size=TITLE_SIZE, weight="bold", color=INK, va="center",
    )  # fmt: skip
    return figure


def _draw(axes: Axes, steps: Sequence[Json], kind: str, label: str) -> None:
    where = range(len(steps))
    failed = [step["failures"]["genuine"] / max(step["genuine"], 1) for step in steps]
    axes.bar(where, failed, 0.55, color=INCONCLUSIVE_COLOUR, alpha=0.55, label="failures to acquire", zorder=2)
    for name, colour, style in (("fnmr", GENUINE_COLOUR, "-o"), ("fmr", IMPOSTOR_COLOUR, "--s")):
        _draw_rate(axes, steps, name, colour, style)
    axes.set(ylim=(0, 1), xlim=(-0.6, len(steps) - 0.4))
    axes.set_xticks(list(where), [step["step"] for step in steps], rotation=40, ha="right")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_title(kind, size=SMALL_SIZE + 1.5, weight="bold", color=INK, loc="left", pad=17)
    axes.text(0, 1.035, label, transform=axes.transAxes, size=6.8, color=QUIET_INK, zorder=5)


def _draw_rate(axes: Axes, steps: Sequence[Json], name: str, colour: str, style: str) -> None:
    known = {at: step for at, step in enumerate(steps) if step[name] is not None}
    if not known:
        return
    rates = [step[name] for step in known.values()]
    axes.plot(list(known), rates, style, color=colour, markersize=4, linewidth=1.5, label=name.upper(), zorder=4)
    for at, step in known.items():
        if interval := step["intervals"].get(name):
            axes.plot([at, at], [interval["low"], interval["high"]], color=colour, linewidth=3, alpha=0.35, zorder=3)
