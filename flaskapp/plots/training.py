"""How a training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from flaskapp.plots import style


def plot_training(losses: Sequence[float], validation_losses: Sequence[float], best: int) -> Figure:
    """Draw the losses of each epoch; the first is before training, and the one that was kept is marked.

    Args:
        losses: of the training pairs; NaN where there is none.
        validation_losses: as many.
        best: the epoch that was kept.
    """
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
