"""Checkpoints: whole, of this network, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from flaskapp.errors import DataError
from research.distil.checkpoints import load_checkpoint, save_checkpoint

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4, np.float32)]


@pytest.fixture
def checkpoint(tmp_path):
    save_checkpoint(tmp_path / "state.npz", ARRAYS, {"step": 3, "seconds": 12.5})
    return tmp_path / "state.npz"


def test_everything_comes_back(checkpoint):
    arrays, state = load_checkpoint(checkpoint, ARRAYS)
    assert state == {"step": 3, "seconds": 12.5}
    assert all(np.array_equal(found, saved) for found, saved in zip(arrays, ARRAYS, strict=True))
    assert [path.name for path in checkpoint.parent.iterdir()] == ["state.npz"]


@pytest.mark.parametrize("spoil", [lambda content: content[:-40], lambda _: b"", lambda _: b"no checkpoint"])
def test_a_damaged_one_is_named(checkpoint, spoil):
    checkpoint.write_bytes(spoil(checkpoint.read_bytes()))
    with pytest.raises(DataError, match=r"state\.npz is damaged or of another network"):
        load_checkpoint(checkpoint, ARRAYS)


@pytest.mark.parametrize("others", [ARRAYS[:1], [*ARRAYS, ARRAYS[0]], [ARRAYS[0], np.ones(5, np.float32)]])
def test_one_of_another_network_is_named(checkpoint, others):
    with pytest.raises(DataError, match="another network"):
        load_checkpoint(checkpoint, others)
