"""Checkpoints of base training: whole, of this network, and never without their line in the log."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from flaskapp.errors import DataError

pytestmark = pytest.mark.needs_tensorflow


class TestCheckpoints:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        """Return what makes a run of a network as small as can be."""
        import keras

        from flaskapp.training import distillation
        from flaskapp.training.batches import Batches, Jitter
        from flaskapp.training.distillation import Distillation, Schedule

        def student():
            convolution = keras.layers.Conv2D(4, 3, strides=50)
            layers = [keras.Input((100, 100, 3)), convolution, keras.layers.Flatten(), keras.layers.Dense(128)]
            return keras.Sequential(layers)

        monkeypatch.setattr(distillation, "build_student", student)
        crops = np.zeros((8, 100, 100, 3), np.uint8)
        batches = Batches(crops, np.eye(128, dtype=np.float32)[:8], np.arange(8), 8, Jitter(), 0)
        return lambda: Distillation(tmp_path, batches, Schedule(steps=4), lambda _: {})

    def test_a_kill_between_the_last_checkpoint_and_its_line_leaves_no_log_without_it(self, run, tmp_path):
        def log() -> list[dict[str, str]]:
            with (tmp_path / "log.csv").open(newline="") as file:
                return list(csv.DictReader(file))

        run().run()
        assert [row["step"] for row in log()] == ["4"]
        assert float(log()[0]["loss"]) > 0
        (tmp_path / "log.csv").unlink()
        run().run()
        assert [(row["step"], row["loss"]) for row in log()] == [("4", "")]
        run().run()
        assert len(log()) == 1

    def test_everything_that_learns_is_in_it(self, run, tmp_path):
        first = run()
        first.state.step, first.state.seconds = 3, 12.5
        for variable in first._variables():
            variable.assign(np.full(variable.shape, 3))
        first.save()
        second = run()
        second.resume()
        assert second.state == first.state
        assert all((np.asarray(variable) == 3).all() for variable in second._variables())
        assert not list(tmp_path.glob("*.part"))

    @pytest.mark.parametrize("spoil", [lambda content: content[:-4000], lambda _: b"", lambda _: b"no checkpoint"])
    def test_a_damaged_one_is_named(self, run, tmp_path, spoil):
        first = run()
        first.save()
        checkpoint = tmp_path / "state.npz"
        checkpoint.write_bytes(spoil(checkpoint.read_bytes()))
        with pytest.raises(DataError, match=r"state\.npz is damaged or of another network"):
            first.resume()

    def test_one_of_another_network_is_named(self, run, tmp_path):
        first = run()
        first.save()
        with np.load(tmp_path / "state.npz") as arrays:
            fewer = {name: arrays[name] for name in arrays.files if name != "0003"}
        np.savez(tmp_path / "state.npz", **fewer)
        with pytest.raises(DataError, match="another network"):
            first.resume()
