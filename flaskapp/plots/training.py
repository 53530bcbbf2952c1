"""Figures around training: how it went epoch by epoch, and the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flaskapp.plots import style

# The network's drawing.
STAGES = {
    "face": "aligned face",
    "with_mirror_image": "with its mirror image",
    "flatten": "depthwise convolution over the whole map",
    "vector": "Dense: the vector",
    "mean_of_views": "mean of both, longer where it is surer",
    "with_distinctness": "with how far it lies from others",
    "embedding": "Dropout, Dense: the embedding",
}
BOX_HEIGHT, STEP, MIDDLE = 0.5, 0.82, 4.6


def plot_training(losses: Sequence[float], validation_losses: Sequence[float], best: int) -> Figure:
    """Draw the losses of each epoch, NaN where there is none; the first is before training, the best one is marked."""
    figure = style.new_figure(7, 4)
    axes = style.gridded(style.quiet(figure.add_axes((0.12, 0.15, 0.83, 0.7))))
    epochs = range(len(losses))
    axes.plot(epochs, losses, "--o", markersize=3, color=style.IMPOSTOR_COLOUR, label="training pairs")
    axes.plot(epochs, validation_losses, "-o", markersize=3, color=style.GENUINE_COLOUR, label="validation pairs")
    axes.annotate(
        f"kept: epoch {best}", (best, validation_losses[best]), xytext=(0, 24), textcoords="offset points", ha="center",
        size=style.SMALL_SIZE, color=style.INK, arrowprops={"arrowstyle": "-", "color": style.INK},
    )  # fmt: skip
    axes.set(xlabel="epoch (0: before training)", ylabel="binary cross-entropy")
    axes.set_ylim(bottom=0)
    style.titled(axes, "Training")
    style.legend(axes, "best")
    return figure


def plot_architecture(network: Any) -> Figure:
    """Draw what ``flaskapp.model.build_siamese_network`` returns, from its layers' own names and shapes."""
    stages = []
    for layer in network.get_layer("embedding_network").layers:
        pooling = f"block {layer.name[5]}: convolutions, pooling" if layer.name.endswith("_pool") else None
        if name := pooling or STAGES.get(layer.name):
            stages.append(f"{name}   {_shape(layer)}")
    height = (len(stages) + 2.6) * STEP
    figure = style.new_figure(2 * MIDDLE, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 2 * MIDDLE), ylim=(0, height))
    axes.set_axis_off()
    joined = height - 0.6 - len(stages) * STEP  # top of the box in which both ways end
    for column, title in ((2.2, "reference"), (7.0, "probe")):
        axes.text(column, height - 0.25, title, ha="center", weight="bold", color=style.INK)
        for row, text in enumerate(stages, start=1):
            end = column if row < len(stages) else MIDDLE + (column - MIDDLE) * 0.3
            _box(axes, column, joined + (len(stages) - row + 1) * STEP, text, end)
    words: dict[str, Any] = {"ha": "center", "va": "center", "color": style.QUIET_INK, "size": style.SMALL_SIZE}
    axes.text(MIDDLE, height / 2 + STEP, "the same\nweights", **words)
    distance = f"both at unit length, L1 distance  |a − b|   {_shape(network.get_layer('l1_distance'))}"
    _box(axes, MIDDLE, joined, distance, MIDDLE)
    _box(axes, MIDDLE, joined - STEP, "Dense, sigmoid: similarity score 0 to 1", edge=style.GENUINE_COLOUR)
    return figure


def _shape(layer: Any) -> str:
    return " × ".join(f"{size:,}" for size in layer.output.shape[1:])


def _box(axes: Axes, centre: float, top: float, text: str, end: float | None = None, edge: str = style.RULE) -> None:
    """Draw a box with its text, and an arrow to where the next one below is."""
    box = {"boxstyle": "round,pad=0.5", "facecolor": style.PAPER, "edgecolor": edge, "linewidth": 1.4}
    words: dict[str, Any] = {"ha": "center", "va": "center", "size": style.SMALL_SIZE, "color": style.INK}
    axes.text(centre, top - BOX_HEIGHT / 2, text, bbox=box, **words)
    if end is not None:
        arrow = {"arrowstyle": "-|>", "color": style.QUIET_INK, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (end, top - STEP), (centre, top - BOX_HEIGHT), arrowprops=arrow)
