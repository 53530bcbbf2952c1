"""The figures around training: contact sheets, curves, the network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from flaskapp import plots


def texts(figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    return found + [text.get_text() for axes in figure.axes for text in axes.texts]


class TestSheet:
    def test_every_picture_stands_in_its_row_and_column(self):
        rows = [
            [np.full((40, 30 + 10 * column, 3), 50 * row + column, np.uint8) for column in range(3)] for row in (1, 2)
        ]
        figure = plots.plot_sheet(rows, ["as it is", "b", "c"])
        boxes = [axes.get_position() for axes in figure.axes]
        shown = [axes.images[0].get_array()[0, 0, 0] for axes in figure.axes]
        assert shown == [50, 51, 52, 100, 101, 102]
        assert boxes[0].x1 <= boxes[1].x0 <= boxes[2].x0
        assert boxes[3].y1 <= boxes[0].y0
        assert texts(figure) == ["as\nit is", "b", "c"]


def test_training_shows_both_losses_and_the_epoch_that_was_kept():
    losses, validation = [float("nan"), 0.5, 0.3, 0.2], [0.6, 0.4, 0.35, 0.5]
    (axes,) = plots.plot_training(losses, validation, 2).axes
    drawn = [line.get_ydata() for line in axes.lines]
    assert np.array_equal(drawn[0], losses, equal_nan=True)
    assert list(drawn[1]) == validation
    (note,) = axes.texts
    assert note.get_text() == "kept: epoch 2"
    assert tuple(note.xy) == (2, 0.35)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training pairs", "validation pairs"]


def test_the_network_is_drawn_from_its_own_names_and_shapes():
    def layer(name, *shape):
        return SimpleNamespace(name=name, output=SimpleNamespace(shape=(None, *shape)))

    twin = SimpleNamespace(
        layers=[
            layer("face", 100, 100, 3),
            layer("block1_conv", 50, 50, 64),
            layer("block1_pool", 25, 25, 64),
            layer("embedding", 4096),
        ]
    )
    parts = {"embedding_network": twin, "l1_distance": layer("l1_distance", 4096)}
    words = texts(plots.plot_architecture(SimpleNamespace(get_layer=parts.__getitem__)))
    assert words.count("aligned face   100 × 100 × 3") == 2
    assert words.count("block 1: convolutions, pooling   25 × 25 × 64") == 2
    assert not [word for word in words if "50 × 50" in word]
    assert "both at unit length, L1 distance  |a − b|   4,096" in words
    assert words.count("the same\nweights") == 1
