"""What verdicts say as photos get worse: one small plot for each kind, two beside each other, for a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
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

COLUMNS, WIDTH, HEIGHT, HEAD = 2, 5.6, 2.2, 1.4  # inches; the height is that of a row
LINES = (
    ("impostor", "match", IMPOSTOR_COLOUR, "-s", "strangers reading match"),
    ("genuine", "non_match", GENUINE_COLOUR, "-o", "one person reading non-match"),
)


def plot_worse_photos(told: Json) -> Figure:
    """Draw which share of strangers reads match and of genuine pairs non-match, over the steps of each kind.

    Full lines where both photos are poor alike, dashed ones where only the probe is. Above a full line stands the
    share that reads inconclusive. Bars are pairs without a usable face.

    Args:
        told: ``WorsePhotos.to_json()``.
    """
    kinds, unchanged = told["kinds"], told["unchanged"]
    rows = -(-len(kinds) // COLUMNS)
    height = HEAD + rows * HEIGHT
    figure = new_figure(WIDTH, height)
    for index, (kind, part) in enumerate(kinds.items()):
        row, column = divmod(index, COLUMNS)
        place = (0.115 + 0.5 * column, 1 - (HEAD + row * HEIGHT + 1.55) / height, 0.37, 1.25 / height)
        steps = part["steps"] if kind == "yaw" else [{**unchanged, "step": "as it is"}, *part["steps"]]
        _draw(gridded(quiet(figure.add_axes(place))), steps, kind, part["label"])
    handles: list[Artist] = [
        Line2D([], [], color=colour, marker=style[1], label=name) for _, _, colour, style, name in LINES
    ]
    handles += [
        Patch(color=INCONCLUSIVE_COLOUR, alpha=0.3, label="no usable face"),
        Patch(color=GENUINE_COLOUR, alpha=0.16, label="inconclusive"),
    ]
    above = (0.01, 1 - 0.6 / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=above, ncols=2, frameon=False, fontsize=SMALL_SIZE)
    key = "Full lines: both photos poor alike; dashed: the probe alone."
    figure.text(0.02, 1 - 0.48 / height, key, size=SMALL_SIZE, color=INK, va="center")
    title: dict[str, Any] = {"size": TITLE_SIZE - 2, "weight": "bold", "color": INK, "va": "center"}
    figure.text(0.02, 1 - 0.2 / height, "Worse photos", **title)
    counts = ", ".join(f"{unchanged['ways']['unchanged'][of]['pairs']:,} {of}" for of in ("genuine", "impostor"))
    figure.text(
        0.98, 1 - 0.2 / height, f"{counts} pairs a step", size=SMALL_SIZE, color=QUIET_INK, ha="right", va="center"
    )
    return figure


def _draw(axes: Axes, steps: Sequence[Json], kind: str, label: str) -> None:
    where = range(len(steps))
    for of, verdict, colour, style, _ in LINES:
        wrong, unsure, missed = (_shares(steps, "alike", of, which) for which in (verdict, "inconclusive", "failed"))
        if of == "genuine":
            axes.bar(where, missed, 0.6, color=INCONCLUSIVE_COLOUR, alpha=0.3, zorder=1)
        above = [one + other for one, other in zip(wrong, unsure, strict=True)]
        axes.fill_between(where, wrong, above, color=colour, alpha=0.16, linewidth=0, zorder=2)
        axes.plot(
            where,
            wrong,
            style,
            color=colour,
            markersize=3.5,
            linewidth=1.6,
            clip_on=False,
            label=f"{of} {verdict}",
            zorder=4,
        )
        probe = _shares(steps, "probe", of, verdict)
        axes.plot(where, probe, "--", color=colour, linewidth=1.1, zorder=3)
    axes.set(ylim=(0, 1), xlim=(-0.4, len(steps) - 0.6))
    axes.set_xticks(list(where), [step["step"] for step in steps], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_title(kind, size=SMALL_SIZE + 1.5, weight="bold", color=INK, loc="left", pad=15)
    axes.text(0, 1.04, label, transform=axes.transAxes, size=SMALL_SIZE - 1.5, color=QUIET_INK)


def _shares(steps: Sequence[Json], way: str, of: str, verdict: str) -> list[float]:
    """Return a verdict's shares, those of unchanged photos where nothing was changed."""
    cells = [step["ways"].get(way) or step["ways"]["unchanged"] for step in steps]
    return [cell[of][verdict] / max(cell[of]["pairs"], 1) for cell in cells]
