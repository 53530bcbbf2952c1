"""The model card's figures, drawn from the JSON of the measuring commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from flaskapp.evaluation import Quality, ReliabilityBin
from flaskapp.plots import plot_reliability
from flaskapp.plots.style import (
    GENUINE_COLOUR,
    IMPOSTOR_COLOUR,
    INCONCLUSIVE_COLOUR,
    INK,
    SMALL_SIZE,
    TITLE_SIZE,
    gridded,
    new_figure,
    percent,
    quiet,
)
from research.plots.strangers import plot_strangers
from research.plots.worse_photos import plot_worse_photos

Json = Mapping[str, Any]
PLAIN_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")


def draw_card(runs: Mapping[str, Json]) -> dict[str, Figure]:
    """Draw all figures of the card, by the names of their files.

    Args:
        runs: name of a run (``research.measure.card.RUNS``) → its JSON.
    """
    spoiled = {"reliability-spoiled": _plot_reliability(runs["mixture"])} if "mixture" in runs else {}
    return {
        "verdicts": plot_verdicts(runs["reporting"]["decisions"]),
        "missed": plot_missed(runs["people"]),
        "reliability": _plot_reliability(runs["reporting"]),
        **spoiled,
        "strangers": plot_strangers(runs["strangers"]),
        "strangers-by-age": plot_strangers(runs["ages"]),
        "worse-photos": plot_worse_photos(runs["worse"]),
    }


def plot_verdicts(decisions: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw which share of either kind of pairs got which verdict.

    Args:
        decisions: "genuine" and "impostor" → verdict → pairs.
    """
    figure = new_figure(8, 2.9)
    axes = quiet(figure.add_axes((0.17, 0.2, 0.79, 0.48)))
    rows = {"one person": decisions["genuine"], "two people": decisions["impostor"]}
    colours = {"match": GENUINE_COLOUR, "inconclusive": INCONCLUSIVE_COLOUR, "non_match": IMPOSTOR_COLOUR}
    start = [0.0, 0.0]
    for verdict, colour in colours.items():
        shares = [counts[verdict] / sum(counts.values()) for counts in rows.values()]
        axes.barh([1, 0], shares, 0.6, left=start, color=colour, alpha=0.8, label=verdict.replace("_", "-"))
        for place, share, left in zip((1, 0), shares, start, strict=True):
            if share > 0.08:
                axes.text(left + share / 2, place, percent(share), ha="center", va="center", color="white")
        start = [left + share for left, share in zip(start, shares, strict=True)]
    axes.set_yticks([1, 0], [f"{name}\n{sum(counts.values()):,} pairs" for name, counts in rows.items()])
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PLAIN_PERCENT)
    figure.legend(loc="upper right", bbox_to_anchor=(0.97, 0.86), ncols=3, frameon=False, fontsize=SMALL_SIZE)
    _title(figure, "Verdicts")
    return figure


def plot_missed(run: Json) -> Figure:
    """Draw FNMR at stated FMRs with intervals, and the peer's beside it.

    Args:
        run: JSON of ``evaluate`` with a peer.
    """
    figure = new_figure(7, 4.2)
    axes = gridded(quiet(figure.add_axes((0.13, 0.15, 0.83, 0.68))))
    known = {key: rate for key, rate in run["fnmr_at_fmr"].items() if rate is not None}
    names = [f"fnmr_at_fmr.{key}" for key in known]
    theirs = [run["beside"][name]["theirs"] for name in names]
    for place, name in enumerate(names):
        interval = run["intervals"][name]
        axes.plot([place] * 2, [interval["low"], interval["high"]], color=GENUINE_COLOUR, linewidth=4, alpha=0.35)
    axes.plot(list(known.values()), "-o", color=GENUINE_COLOUR, label="these weights, 95 % intervals")
    axes.plot(theirs, "--s", color=IMPOSTOR_COLOUR, label="the network that taught them")
    axes.set(yscale="log", xlabel="FMR: strangers let through", ylabel="FNMR: same person missed")
    axes.set_xticks(range(len(known)), [f"{100 * float(key):g} %" for key in known])
    axes.yaxis.set_major_formatter(PLAIN_PERCENT)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.legend(frameon=False, fontsize=SMALL_SIZE)
    _title(figure, f"{run['genuine']:,} genuine and {run['impostor']:,} impostor pairs of LFW")
    return figure


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.03, y=0.96, ha="left", size=TITLE_SIZE - 2, weight="bold", color=INK)


def _plot_reliability(run: Json) -> Figure:
    parts = {f"worse photo {grade}": _quality(part) for grade, part in run.get("by_worse_grade", {}).items()}
    return plot_reliability(_quality(run), parts)


def _quality(run: Json) -> Quality:
    bins = tuple(ReliabilityBin(**part) for part in run["reliability"])
    return Quality(
        **{name: run[name] for name in ("brier", "ece", "cllr", "min_cllr", "calibration_loss")},
        genuine=sum(part.genuine for part in bins),
        impostor=sum(part.impostor for part in bins),
        bins=bins,
    )
