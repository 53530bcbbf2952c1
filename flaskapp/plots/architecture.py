"""The Siamese network as a drawing: two photos, one set of weights, one score."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flaskapp.plots import style

NAMES = {
    "face": "aligned face",
    "with_other_views": "with its mirror image, and both moved down",
    "flatten": "depthwise convolution over the whole map",
    "mean_of_views": "mean of the views",
    "embedding": "Dropout, Dense",
    "certainty_length": "scaled, longer where it is surer: the embedding",
}
BOX_HEIGHT, STEP = 0.5, 0.82
COLUMNS = (2.2, 7.0)


def plot_architecture(network: Any) -> Figure:
    """Draw a Siamese network from its layers' own names and shapes.

    Args:
        network: as ``flaskapp.model.build_siamese_network`` returns it.
    """
    stages = _stages(network)
    height = (len(stages) + 2.6) * STEP
    figure = style.new_figure(9.2, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 9.2), ylim=(0, height))
    axes.set_axis_off()
    for column, title in zip(COLUMNS, ("reference", "probe"), strict=True):
        axes.text(column, height - 0.25, title, ha="center", weight="bold", color=style.INK)
        for row, text in enumerate(stages):
            top = height - 0.6 - row * STEP
            _box(axes, column, top, text)
            last = row == len(stages) - 1
            aim = 4.6 + (column - 4.6) * 0.3 if last else column
            _arrow(axes, (column, top - BOX_HEIGHT), (aim, top - STEP))
    small: dict[str, Any] = {"ha": "center", "va": "center", "color": style.QUIET_INK, "size": style.SMALL_SIZE}
    axes.text(4.6, height / 2 + STEP, "the same\nweights", **small)
    top = height - 0.6 - len(stages) * STEP
    _box(axes, 4.6, top, f"L1 distance  |a − b|   {_shape(network.get_layer('l1_distance'))}")
    _arrow(axes, (4.6, top - BOX_HEIGHT), (4.6, top - STEP))
    _box(axes, 4.6, top - STEP, "Dense, sigmoid: similarity score 0 to 1", style.GENUINE_COLOUR)
    return figure


def _stages(network: Any) -> list[str]:
    """Name each stage of the twin with the shape of what comes out of it."""
    stages = []
    for layer in network.get_layer("embedding_network").layers:
        name = layer.name
        if name.endswith("_pool"):
            stages.append(f"block {name[5]}: convolutions, pooling   {_shape(layer)}")
        elif name in NAMES:
            stages.append(f"{NAMES[name]}   {_shape(layer)}")
    return stages


def _shape(layer: Any) -> str:
    return " × ".join(f"{size:,}" for size in layer.output.shape[1:])


def _box(axes: Axes, centre: float, top: float, text: str, edge: str = style.RULE) -> None:
    box = {"boxstyle": "round,pad=0.5", "facecolor": style.PAPER, "edgecolor": edge, "linewidth": 1.4}
    axes.text(
        centre, top - BOX_HEIGHT / 2, text, ha="center", va="center", size=style.SMALL_SIZE, color=style.INK, bbox=box
    )


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": style.QUIET_INK, "shrinkA": 0, "shrinkB": 0}
    )
