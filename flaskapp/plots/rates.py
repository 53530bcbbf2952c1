"""Figures of error rates: ROC, DET, the scores themselves, and what they say beside what was seen."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

from flaskapp.evaluation import ErrorCurve, Evaluation, Quality, eer, error_curve
from flaskapp.evaluation.curves import reachable_rate
from flaskapp.plots import style

FloatArray = npt.NDArray[np.float64]

BINS = 50
FEW_PAIRS = 10
"""A bin of fewer pairs is drawn hollow: what it shows may be chance."""
# A DET's customary ticks, as rates; the fewer where the axis reaches far down.
DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
FAR_DET_TICKS = (1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.4)
HIGHEST_DET_RATE = 0.5
OVER_CURVES: dict[str, Any] = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}
UNREACHABLE = "fewer than 10 errors: no claim"


def plot_evaluation(scores: npt.ArrayLike, same: npt.ArrayLike, evaluation: Evaluation) -> dict[str, Figure]:
    """Draw all figures of one evaluation of scores float (N,), ``same`` bool (N,).

    Returns:
        "scores"; "roc" and "det" where there are pairs of both kinds; "reliability" where the
        scores are chances.
    """
    figures = {"scores": plot_scores(scores, same, evaluation.band, evaluation.threshold)}
    if evaluation.confusion.genuine and evaluation.confusion.impostor:
        curve = error_curve(scores, same)
        figures["roc"] = plot_roc(curve, evaluation.threshold)
        figures["det"] = plot_det(curve, evaluation.threshold)
    if evaluation.quality:
        figures["reliability"] = plot_reliability(evaluation.quality)
    return figures


def plot_roc(curve: ErrorCurve, threshold: float | None = None) -> Figure:
    """Draw 1 − FNMR over FMR, on a logarithmic scale: what matters is where FMR is small.

    The grey part lies below ten false matches, where a rate would rest on accidents.

    Args:
        curve: errors at every threshold.
        threshold: the one to mark.
    """
    figure, axes = _square(f"ROC   {_counts(curve)}")
    lowest = min(0.5 / curve.impostor, 0.1)
    fmr, fnmr = corners(curve)
    bottom, step = _roc_height(curve)
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(bottom, 1 + step / 10))
    axes.yaxis.set_major_locator(MultipleLocator(step))
    _shade_unreachable(axes, reachable_rate(curve.impostor), lowest)
    axes.plot(np.maximum(fmr, lowest), 1 - fnmr, color=style.GENUINE_COLOUR, linewidth=2.2, zorder=3)
    if threshold is not None:
        at_fmr, at_fnmr = _rates_at(curve, threshold)
        _mark(axes, max(at_fmr, lowest), 1 - at_fnmr, _threshold_label(threshold, at_fmr, at_fnmr))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda rate, _: f"{round(100 * rate, 9):g} %"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="False match rate (FMR)", ylabel="True match rate (1 − FNMR)")
    style.legend(axes, "lower right", **OVER_CURVES)
    return figure


def plot_det(curve: ErrorCurve, threshold: float | None = None) -> Figure:
    """Draw FNMR over FMR on axes of normal deviates, as ISO/IEC 19795-1 describes the DET.

    Normally distributed scores give a straight line there. The grey parts lie below ten
    errors; the dotted diagonal is where both rates are equal.

    Args:
        curve: errors at every threshold.
        threshold: the one to mark.
    """
    figure, axes = _square(f"DET   {_counts(curve)}")
    lowest_fmr, lowest_fnmr = (min(0.5 / pairs, 0.1) for pairs in (curve.impostor, curve.genuine))
    limits = probit(np.array([lowest_fmr, lowest_fnmr, HIGHEST_DET_RATE]))
    axes.set(xlim=limits[[0, 2]], ylim=limits[[1, 2]])
    reachable = [min(reachable_rate(pairs), HIGHEST_DET_RATE) for pairs in (curve.impostor, curve.genuine)]
    end_fmr, end_fnmr = probit(np.array(reachable))
    _shade_unreachable(axes, end_fmr, limits[0])
    _shade_unreachable(axes, end_fnmr, limits[1], upwards=True)
    axes.plot(limits[[0, 2]], limits[[0, 2]], color=style.QUIET_INK, linewidth=1, linestyle=":", zorder=2)
    fmr, fnmr = corners(curve)
    axes.plot(
        _deviate(fmr, lowest_fmr), _deviate(fnmr, lowest_fnmr), color=style.GENUINE_COLOUR, linewidth=2.2, zorder=3
    )
    _mark_equal_errors(axes, eer(curve), lowest_fmr)
    if threshold is not None:
        at_fmr, at_fnmr = _rates_at(curve, threshold)
        x, y = _deviate(np.array([at_fmr]), lowest_fmr)[0], _deviate(np.array([at_fnmr]), lowest_fnmr)[0]
        _mark(axes, float(x), float(y), _threshold_label(threshold, at_fmr, at_fnmr))
    for axis, lowest in ((axes.xaxis, lowest_fmr), (axes.yaxis, lowest_fnmr)):
        ticks = [rate for rate in (DET_TICKS if lowest > 3e-4 else FAR_DET_TICKS) if rate >= lowest]
        axis.set_major_locator(FixedLocator(probit(np.array(ticks)).tolist()))
        axis.set_major_formatter(FuncFormatter(lambda deviate, _: style.percent(NormalDist().cdf(deviate))))
    axes.set(xlabel="False match rate (FMR)", ylabel="False non-match rate (FNMR)")
    style.legend(axes, "upper right", **OVER_CURVES)
    return figure


def plot_scores(scores: npt.ArrayLike, same: npt.ArrayLike, band: tuple[float, float], threshold: float) -> Figure:
    """Draw how the scores of genuine and impostor pairs are spread, each in its own row.

    Counts are on a logarithmic scale: the few pairs on the wrong side are the ones to see.

    Args:
        scores: float (N,); failures to acquire (NaN) are counted in the title of their row.
        same: bool (N,), True = genuine.
        band: (low, high), shaded.
        threshold: dashed.
    """
    values, truths = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=bool)
    figure = style.new_figure(8, 6)
    edges = _edges(values, (*band, threshold))
    kinds = (("genuine", truths, style.GENUINE_COLOUR), ("impostor", ~truths, style.IMPOSTOR_COLOUR))
    for bottom, (kind, chosen, colour) in zip((0.545, 0.11), kinds, strict=True):
        axes = style.gridded(style.quiet(figure.add_axes((0.12, bottom, 0.84, 0.335))))
        label = f"inconclusive {band[0]:.3f} to {band[1]:.3f}"
        axes.axvspan(*band, color=style.INCONCLUSIVE_COLOUR, alpha=0.28, linewidth=0, label=label)
        label = f"threshold {threshold:.3f}"
        axes.axvline(threshold, color=style.INK, linewidth=1.3, linestyle=(0, (3, 2)), label=label, zorder=4)
        acquired = values[chosen & ~np.isnan(values)]
        if acquired.size:
            axes.hist(acquired, edges.tolist(), color=colour, alpha=0.85, zorder=3)
        axes.set_xlim(edges[0], edges[-1])
        style.on_pairs_axis(axes)
        axes.set_title(
            _row_title(kind, values[chosen]), size=style.SMALL_SIZE + 1, weight="bold", color=colour, loc="left"
        )
    figure.axes[0].tick_params(labelbottom=False)
    figure.axes[1].set_xlabel("Similarity score")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", bbox_to_anchor=(0.97, 0.99), ncols=2, frameon=False,
        fontsize=style.SMALL_SIZE, labelcolor=style.INK,
    )  # fmt: skip
    figure.text(0.12, 0.965, "Scores", size=style.TITLE_SIZE, weight="bold", color=style.INK, va="center")
    return figure


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


def corners(curve: ErrorCurve) -> tuple[FloatArray, FloatArray]:
    """Return FMR float64 (M,), ascending, and FNMR float64 (M,) where the staircase turns.

    A curve of a million thresholds turns a few thousand times; the rest lies on straight lines.
    """
    # On the way to a lower threshold FMR is paid first, then FNMR falls: a stair, also where
    # tied scores of both kinds would make it a slope that no threshold reaches.
    fmr, fnmr = np.repeat(curve.fmr[::-1], 2)[1:], np.repeat(curve.fnmr[::-1], 2)[:-1]
    moved = np.append(True, (np.diff(fmr) != 0) | (np.diff(fnmr) != 0))
    fmr, fnmr = fmr[moved], fnmr[moved]
    across = np.diff(fmr) != 0
    turns = np.ones(fmr.size, dtype=bool)
    turns[1:-1] = across[1:] != across[:-1]
    return fmr[turns], fnmr[turns]


def probit(rate: FloatArray) -> FloatArray:
    """Return the normal deviate of each rate, the inverse of the normal distribution.

    >>> probit(np.array([0.025, 0.5])).round(4).tolist()
    [-1.96, 0.0]
    """
    inverse = NormalDist().inv_cdf
    return np.array([inverse(value) for value in rate.tolist()])


def _deviate(rate: FloatArray, lowest: float) -> FloatArray:
    """Return deviates; a rate of 0 or 1, which has none, is drawn at the border."""
    return probit(np.clip(rate, lowest, 1 - 1e-9))


def _rates_at(curve: ErrorCurve, threshold: float) -> tuple[float, float]:
    index = int(np.searchsorted(curve.thresholds, threshold))
    return float(curve.fmr[index]), float(curve.fnmr[index])


def _square(title: str) -> tuple[Figure, Axes]:
    figure = style.new_figure(7, 6.4)
    axes = style.gridded(style.quiet(figure.add_axes((0.13, 0.1, 0.83, 0.83))))
    style.titled(axes, title)
    return figure, axes


def _counts(curve: ErrorCurve) -> str:
    return f"{curve.genuine:,} genuine and {curve.impostor:,} impostor pairs"


def _roc_height(curve: ErrorCurve) -> tuple[float, float]:
    """Return bottom and tick step of the ROC: all of it, or the top where the curve stays there."""
    reached = 1 - curve.fnmr[np.argmax(curve.fmr <= reachable_rate(curve.impostor))]
    for bottom, step in ((0.9, 0.02), (0.8, 0.05), (0.5, 0.1)):
        if reached > bottom + step:
            return bottom, step
    return 0.0, 0.2


def _shade_unreachable(axes: Axes, end: float, start: float, *, upwards: bool = False) -> None:
    if upwards:
        axes.axhspan(start, end, color=style.RULE, alpha=0.45, linewidth=0)
    else:
        axes.axvspan(start, min(end, axes.get_xlim()[1]), color=style.RULE, alpha=0.45, linewidth=0, label=UNREACHABLE)


def _mark(axes: Axes, x: float, y: float, label: str) -> None:
    axes.plot(
        [x], [y], "o", markersize=8, color=style.IMPOSTOR_COLOUR, markeredgecolor="white", markeredgewidth=1.2,
        zorder=4, label=label, clip_on=False,
    )  # fmt: skip


def _mark_equal_errors(axes: Axes, rate: float, lowest: float) -> None:
    if lowest < rate < HIGHEST_DET_RATE:
        where, label = probit(np.array([rate])), f"EER {style.percent(rate)}"
        axes.plot(
            where, where, "D", markersize=11, color=style.INK, fillstyle="none", markeredgewidth=1.3, zorder=4,
            label=label,
        )  # fmt: skip


def _threshold_label(threshold: float, fmr: float, fnmr: float) -> str:
    return f"threshold {threshold:.3f}: FMR {style.percent(fmr)}, FNMR {style.percent(fnmr)}"


def _edges(values: FloatArray, marks: tuple[float, ...]) -> FloatArray:
    """Return bin edges over [0, 1], or further where scores of another system lie outside."""
    finite = values[~np.isnan(values)]
    low, high = min(0.0, *marks), max(1.0, *marks)
    if finite.size:
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return np.linspace(low, high, BINS + 1)


def _row_title(kind: str, values: FloatArray) -> str:
    failed = int(np.isnan(values).sum())
    without = f", of which {failed:,} failed to acquire" if failed else ""
    return f"{values.size:,} {kind} pairs{without}"
