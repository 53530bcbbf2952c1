from __future__ import annotations

import numpy as np
import pytest

from flaskapp.detection.pyramid import Pyramid


@pytest.fixture(scope="module")
def ramps() -> np.ndarray:
    """Red is half the x of a pixel's centre, green half its y, measured from the photo's edge."""
    photo = np.zeros((480, 500, 3), np.uint8)
    photo[:, :, 0] = np.round((np.arange(500) + 0.5) / 2)
    photo[:, :, 1] = np.round((np.arange(480) + 0.5) / 2)[:, None]
    return photo


@pytest.mark.parametrize("scale", [1.5, 1.0, 0.6, 0.21, 0.05])
def test_levels_keep_places(ramps, scale):
    level = Pyramid(ramps).level(scale)
    height, width = level.pixels.shape[:2]
    assert (width, height) == (round(500 * scale), round(480 * scale))
    expected = (np.arange(width) + 0.5) / level.scale_xy[0] / 2
    assert np.abs(level.pixels[height // 2, 1:-1, 0] - expected[1:-1]).max() < 1.5


@pytest.mark.parametrize("square", [(100, 100, 124, 124), (50.3, 80.8, 170.3, 200.8), (20, 10, 468, 458)])
def test_pieces_reach_from_edge_to_edge(ramps, square):
    (piece,) = Pyramid(ramps).pieces(np.array([square], float), 24)
    centres = (np.arange(24) + 0.5) / 24 * (square[2] - square[0])
    # Halving rounds to whole greys, up to four times for the largest square.
    assert np.abs(piece[12, :, 0] - (square[0] + centres) / 2).max() < 2
    assert np.abs(piece[:, 12, 1] - (square[1] + centres) / 2).max() < 2


def test_samples_begin_and_end_on_the_border(ramps):
    (piece,) = Pyramid(ramps).samples(np.array([(100.0, 60, 146, 106)]), 24)
    assert np.abs(piece[0, :, 0] - (100.5 + np.arange(24) * 2) / 2).max() < 1


def test_beyond_the_photo_is_mid_grey(ramps):
    (piece,) = Pyramid(ramps).pieces(np.array([(-300.0, -300, -100, -100)]), 24)
    assert (piece == 128).all()


def test_no_squares_no_pieces(ramps):
    assert Pyramid(ramps).pieces(np.empty((0, 4)), 24).shape == (0, 24, 24, 3)


def test_pieces_of_fine_stripes_are_grey_not_striped():
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    (piece,) = Pyramid(stripes).pieces(np.array([(3.0, 3, 930, 930)]), 24)
    assert np.abs(piece[1:-1, 1:-1] - 127.5).max() < 8
