"""Figures of error rates: ROC, DET, the scores themselves, and what they say beside what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

from flaskapp.evaluation import ErrorCurve, Evaluation, Quality, eer, error_curve
from flaskapp.evaluation.curves import FEWEST_ERRORS
from flaskapp.evaluation.decisions import FloatArray
from flaskapp.plots import style

BINS = 50
FEW_PAIRS = 10  # A bin of fewer pairs is drawn hollow: what it shows may be chance
# A DET's customary ticks, as rates; the fewer where the axis reaches far down.
DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
FAR_DET_TICKS = (1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.4)
HIGHEST_DET_RATE = 0.5
# On the way to a lower threshold FMR is paid first, then FNMR falls: a stair, also where tied scores of
# both kinds would make it a slope that no threshold reaches.
CURVE: dict[str, Any] = {"color": style.GENUINE_COLOUR, "linewidth": 2.2, "zorder": 3, "drawstyle": "steps-post"}
SHADE: dict[str, Any] = {"color": style.RULE, "alpha": 0.45, "linewidth": 0}
OVER_CURVES: dict[str, Any] = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}
PART_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#009E73", "linestyle": "--"},
    {"color": "#E69F00", "linestyle": "-."},
    {"color": "#CC79A7", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
)
UNREACHABLE = "fewer than 10 errors: no claim"


def plot_evaluation(
    scores: npt.ArrayLike, same: npt.ArrayLike, evaluation: Evaluation, parts: Mapping[str, Quality] | None = None
) -> dict[str, Figure]:
    """Draw "scores", float (N,); "roc" and "det" where there are pairs of both kinds; "reliability" of chances.

    The last is drawn of some ``parts`` of the pairs too, by name.
    """
    figures = {"scores": plot_scores(scores, same, evaluation.band, evaluation.threshold)}
    if evaluation.confusion.genuine and evaluation.confusion.impostor:
        curve = error_curve(scores, same)
        figures["roc"] = plot_roc(curve, evaluation.threshold)
        figures["det"] = plot_det(curve, evaluation.threshold)
    if evaluation.quality:
        figures["reliability"] = plot_reliability(evaluation.quality, parts)
    return figures


def plot_roc(curve: ErrorCurve, threshold: float | None = None) -> Figure:
    """Draw 1 − FNMR over FMR, on a logarithmic scale: what matters is where FMR is small.

    The grey part lies below ten false matches, where a rate would rest on accidents. ``threshold`` is marked.
    """
    figure, axes = _square("ROC", curve)
    lowest, reachable = min(0.5 / curve.impostor, 0.1), FEWEST_ERRORS / curve.impostor
    fmr, fnmr = corners(curve)
    # All of it, or the top where the curve stays there.
    reached = 1 - curve.fnmr[np.argmax(curve.fmr <= reachable)]
    tops = ((bottom, step) for bottom, step in ((0.9, 0.02), (0.8, 0.05), (0.5, 0.1)) if reached > bottom + step)
    bottom, step = next(tops, (0.0, 0.2))
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(bottom, 1 + step / 10))
    axes.yaxis.set_major_locator(MultipleLocator(step))
    axes.axvspan(lowest, min(reachable, 1), label=UNREACHABLE, **SHADE)
    axes.plot(np.maximum(fmr, lowest), 1 - fnmr, **CURVE)
    if threshold is not None:
        _mark(axes, curve, threshold, lambda fmr, fnmr: ([max(fmr, lowest)], [1 - fnmr]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda rate, _: f"{round(100 * rate, 9):g} %"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="False match rate (FMR)", ylabel="True match rate (1 − FNMR)")
    style.legend(axes, "lower right", **OVER_CURVES)
    return figure


def plot_det(curve: ErrorCurve, threshold: float | None = None) -> Figure:
    """Draw FNMR over FMR on axes of normal deviates, as ISO/IEC 19795-1 describes the DET.

    Normally distributed scores give a straight line there. The grey parts lie below ten
    errors; the dotted diagonal is where both rates are equal. ``threshold`` is marked.
    """
    figure, axes = _square("DET", curve)
    kinds = np.array([curve.impostor, curve.genuine])
    lowest = np.minimum(0.5 / kinds, 0.1)
    start, end = probit(lowest), probit(np.array([HIGHEST_DET_RATE]))[0]
    axes.set(xlim=(start[0], end), ylim=(start[1], end))
    reachable = probit(np.minimum(FEWEST_ERRORS / kinds, HIGHEST_DET_RATE))
    axes.axvspan(start[0], reachable[0], label=UNREACHABLE, **SHADE)
    axes.axhspan(start[1], reachable[1], **SHADE)
    axes.plot([start[0], end], [start[0], end], color=style.QUIET_INK, linewidth=1, linestyle=":", zorder=2)

    def deviates(fmr: npt.ArrayLike, fnmr: npt.ArrayLike) -> list[FloatArray]:
        """Return both axes' values; a rate of 0 or 1, which has none, is drawn at the border."""
        rates = zip((fmr, fnmr), lowest, strict=True)
        return [probit(np.clip(np.atleast_1d(rate), least, 1 - 1e-9)) for rate, least in rates]

    axes.plot(*deviates(*corners(curve)), **CURVE)
    equal = eer(curve)
    if lowest[0] < equal < HIGHEST_DET_RATE:
        axes.plot(
            *[probit(np.array([equal]))] * 2, "D", markersize=11, color=style.INK, fillstyle="none",
            markeredgewidth=1.3, zorder=4, label=f"EER {style.percent(equal)}",
        )  # fmt: skip
    if threshold is not None:
        _mark(axes, curve, threshold, deviates)
    for axis, least in zip((axes.xaxis, axes.yaxis), lowest, strict=True):
        ticks = [rate for rate in (DET_TICKS if least > 3e-4 else FAR_DET_TICKS) if rate >= least]
        axis.set_major_locator(FixedLocator(probit(np.array(ticks)).tolist()))
        axis.set_major_formatter(FuncFormatter(lambda deviate, _: style.percent(NormalDist().cdf(deviate))))
    axes.set(xlabel="False match rate (FMR)", ylabel="False non-match rate (FNMR)")
    style.legend(axes, "upper right", **OVER_CURVES)
    return figure


def _square(title: str, curve: ErrorCurve) -> tuple[Figure, Axes]:
    figure = style.new_figure(7, 6.4)
    axes = style.gridded(style.quiet(figure.add_axes((0.13, 0.1, 0.83, 0.83))))
    style.titled(axes, f"{title}   {curve.genuine:,} genuine and {curve.impostor:,} impostor pairs")
    return figure, axes


def _mark(axes: Axes, curve: ErrorCurve, threshold: float, place: Callable[[float, float], Any]) -> None:
    """Mark a threshold; ``place`` says where its FMR and FNMR stand."""
    index = int(np.searchsorted(curve.thresholds, threshold))
    fmr, fnmr = float(curve.fmr[index]), float(curve.fnmr[index])
    label = f"threshold {threshold:.3f}: FMR {style.percent(fmr)}, FNMR {style.percent(fnmr)}"
    axes.plot(
        *place(fmr, fnmr), "o", markersize=8, color=style.IMPOSTOR_COLOUR, markeredgecolor="white",
        markeredgewidth=1.2, zorder=4, label=label, clip_on=False,
    )  # fmt: skip


def plot_scores(scores: npt.ArrayLike, same: npt.ArrayLike, band: tuple[float, float], threshold: float) -> Figure:
    """Draw how the scores of genuine and impostor pairs are spread, each in its own row.

    Counts are on a logarithmic scale: the few pairs on the wrong side are the ones to see. Of the scores, float (N,),
    failures to acquire (NaN) are counted in the title of their row. The band is shaded, the threshold dashed.
    """
    values, truths = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=bool)
    figure = style.new_figure(8, 6)
    # Over [0, 1], or further where scores of another system lie outside.
    acquired = ~np.isnan(values)
    known = np.append(values[acquired], (0.0, 1.0, *band, threshold))
    edges = np.linspace(known.min(), known.max(), BINS + 1)
    kinds = (("genuine", truths, style.GENUINE_COLOUR), ("impostor", ~truths, style.IMPOSTOR_COLOUR))
    for bottom, (kind, chosen, colour) in zip((0.545, 0.11), kinds, strict=True):
        axes = style.gridded(style.quiet(figure.add_axes((0.12, bottom, 0.84, 0.335))))
        label = f"inconclusive {band[0]:.3f} to {band[1]:.3f}"
        axes.axvspan(*band, color=style.INCONCLUSIVE_COLOUR, alpha=0.28, linewidth=0, label=label)
        axes.axvline(threshold, **style.DASHED, label=f"threshold {threshold:.3f}", zorder=4)
        if (chosen & acquired).any():
            axes.hist(values[chosen & acquired], edges.tolist(), color=colour, alpha=0.85, zorder=3)
        axes.set_xlim(edges[0], edges[-1])
        style.on_pairs_axis(axes)
        failed = int(np.sum(chosen & ~acquired))
        title = f"{chosen.sum():,} {kind} pairs" + (f", of which {failed:,} failed to acquire" if failed else "")
        axes.set_title(title, size=style.SMALL_SIZE + 1, weight="bold", color=colour, loc="left")
    figure.axes[0].tick_params(labelbottom=False)
    figure.axes[1].set_xlabel("Similarity score")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", bbox_to_anchor=(0.97, 0.99), ncols=2, frameon=False,
        fontsize=style.SMALL_SIZE, labelcolor=style.INK,
    )  # fmt: skip
    figure.text(0.12, 0.965, "Scores", size=style.TITLE_SIZE, weight="bold", color=style.INK, va="center")
    return figure


def plot_reliability(quality: Quality, parts: Mapping[str, Quality] | None = None) -> Figure:
    """Draw the share of genuine pairs over the score, of all and of some parts, and below it how many pairs lie where.

    Both kinds weigh one half, as the score assumes: on the dotted diagonal it is right.
    """
    figure = style.new_figure(7, 7.4)
    upper = style.gridded(style.quiet(figure.add_axes((0.13, 0.4, 0.83, 0.52))))
    lower = style.gridded(style.quiet(figure.add_axes((0.13, 0.09, 0.83, 0.24))))
    upper.plot([0, 1], [0, 1], color=style.QUIET_INK, linewidth=1, linestyle=":", label="right at every score")
    points, many = _reliability(quality)
    for (name, part), line in zip((parts or {}).items(), PART_LINES, strict=False):
        of_part, enough = _reliability(part)
        upper.plot(*of_part[enough].T, label=f"{name}: ECE {part.ece:.3f}", linewidth=1.4, zorder=2, **line)
    colour = style.GENUINE_COLOUR
    upper.plot(*points.T, color=colour, linewidth=1.6, zorder=3)
    for chosen, fill, label in ((many, colour, "bin of scores"), (~many, "white", f"fewer than {FEW_PAIRS} pairs")):
        if chosen.any():
            dots: dict[str, Any] = {"color": colour, "markerfacecolor": fill, "label": label, "clip_on": False}
            upper.plot(*points[chosen].T, "o", markersize=7, zorder=4, **dots)
    upper.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of genuine pairs,\nboth kinds weighing the same")
    upper.tick_params(labelbottom=False)
    style.legend(upper, "upper left")
    starts, width = np.array([part.low for part in quality.bins]), 1 / len(quality.bins)
    for kind, colour, offset in (("genuine", style.GENUINE_COLOUR, 0.07), ("impostor", style.IMPOSTOR_COLOUR, 0.5)):
        heights = [getattr(part, kind) for part in quality.bins]
        lower.bar(starts + offset * width, heights, 0.42 * width, align="edge", color=colour, label=kind)
    lower.set(xlim=(0, 1), xlabel="Similarity score")
    style.on_pairs_axis(lower, 10.0 * max(max(part.genuine, part.impostor) for part in quality.bins))
    style.legend(lower, "upper center", ncols=2)
    loss = "" if quality.calibration_loss is None else f"   Cllr − minCllr {quality.calibration_loss:.3f} bits"
    style.titled(upper, f"Reliability   ECE {quality.ece:.3f}{loss}")
    return figure


def _reliability(quality: Quality) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return where the curve goes through, float64 (M, 2), and which of these bins hold many pairs, bool (M,)."""
    filled = [part for part in quality.bins if part.mean_score is not None]
    points = np.array([(part.mean_score, part.observed) for part in filled], dtype=np.float64)
    return points, np.array([part.genuine + part.impostor >= FEW_PAIRS for part in filled])


def corners(curve: ErrorCurve) -> tuple[FloatArray, FloatArray]:
    """Return FMR float64 (M,), ascending, and FNMR float64 (M,) at the ends of the staircase and its inner corners.

    There FNMR has just fallen and FMR is about to rise. Of a million thresholds these are a few thousand.
    """
    fmr, fnmr = curve.fmr[::-1], curve.fnmr[::-1]
    inner = np.ones(fmr.size, dtype=bool)
    inner[1:-1] = (fnmr[1:-1] < fnmr[:-2]) & (fmr[1:-1] < fmr[2:])
    return fmr[inner], fnmr[inner]


def probit(rate: FloatArray) -> FloatArray:
    """Return the normal deviate of each rate, the inverse of the normal distribution.

    >>> probit(np.array([0.025, 0.5])).round(4).tolist()
    [-1.96, 0.0]
    """
    return np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])(rate)
