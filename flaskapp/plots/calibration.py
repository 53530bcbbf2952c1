"""The reliability curve: what the scores say beside what was seen."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flaskapp.evaluation import Quality
from flaskapp.plots import style

FEW_PAIRS = 10
"""A bin of fewer pairs is drawn hollow: what it shows may be chance."""


def plot_reliability(quality: Quality) -> Figure:
    """Draw the share of genuine pairs over the score, and below it how many pairs lie where.

    Both kinds weigh one half, as the score assumes: on the dotted diagonal it is right.

    Args:
        quality: of the scores.
    """
    figure = style.new_figure(7, 7.4)
    upper = style.gridded(style.quiet(figure.add_axes((0.13, 0.4, 0.83, 0.52))))
    lower = style.gridded(style.quiet(figure.add_axes((0.13, 0.09, 0.83, 0.24))))
    _draw_curve(upper, quality)
    _draw_counts(lower, quality)
    loss = "" if quality.calibration_loss is None else f"   Cllr − minCllr {quality.calibration_loss:.3f} bits"
    style.titled(upper, f"Reliability   ECE {quality.ece:.3f}{loss}")
    return figure


def _draw_curve(axes: Axes, quality: Quality) -> None:
    axes.plot([0, 1], [0, 1], color=style.QUIET_INK, linewidth=1, linestyle=":", label="right at every score")
    filled = [part for part in quality.bins if part.mean_score is not None]
    points = np.array([(part.mean_score, part.observed) for part in filled], dtype=np.float64).reshape(-1, 2)
    many = np.array([part.genuine + part.impostor >= FEW_PAIRS for part in filled], dtype=bool)
    colour = style.GENUINE_COLOUR
    axes.plot(*points.T, color=colour, linewidth=1.6, zorder=3)
    for chosen, fill, label in ((many, colour, "bin of scores"), (~many, "white", f"fewer than {FEW_PAIRS} pairs")):
        if chosen.any():
            axes.plot(
                *points[chosen].T, "o", markersize=7, color=colour, markerfacecolor=fill, zorder=4, label=label,
                clip_on=False,
            )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of genuine pairs,\nboth kinds weighing the same")
    axes.tick_params(labelbottom=False)
    style.legend(axes, "upper left")


def _draw_counts(axes: Axes, quality: Quality) -> None:
    starts, width = np.array([part.low for part in quality.bins]), 1 / len(quality.bins)
    for kind, colour, offset in (("genuine", style.GENUINE_COLOUR, 0.07), ("impostor", style.IMPOSTOR_COLOUR, 0.5)):
        heights = [getattr(part, kind) for part in quality.bins]
        axes.bar(starts + offset * width, heights, 0.42 * width, align="edge", color=colour, label=kind)
    axes.set(xlim=(0, 1), xlabel="Similarity score")
    style.on_pairs_axis(axes, 3.0 * max(max(part.genuine, part.impostor) for part in quality.bins))
    style.legend(axes, "upper center", ncols=2)
