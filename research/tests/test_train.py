from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from flaskapp.errors import DataError
from research.distil.faces import Batches, Changes, training_faces
from research.distil.idle import IdleCores
from research.distil.network import build_student
from research.distil.train import Recipe, Run, Schedule, embedder, loss_of

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(batch_size=8, seed=4)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Leave the compiler out: what a step computes is the same, and a test does not wait a minute for it."""
    monkeypatch.setattr(torch, "compile", lambda function: function)


def run_in(folder: Path, table, faces, schedule: Schedule | None = None, recipe: Recipe = RECIPE) -> Run:
    import keras

    keras.utils.set_random_seed(1)
    rows, targets = training_faces(table)
    batches = Batches(faces, targets, rows, recipe.batch_size, recipe.changes, recipe.seed)
    network = build_student((0, 0, 0, 0))
    return Run(folder, network, table, batches, schedule or Schedule(warm_up=2, until=64), recipe, threads=lambda: 1)


def learned(run: Run, save_every: int = 2) -> dict[str, np.ndarray]:
    run.learn(lambda *_: None, 10_000, save_every)
    return run.averaged()


def test_the_loss_is_half_regression_and_half_neighbourhoods():
    rng = np.random.default_rng(0)
    vectors, targets, neighbours = (rng.normal(size=(count, 128)) for count in (5, 5, 40))
    targets, neighbours = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (targets, neighbours))

    def log_softmax(x):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))

    regression = np.mean((vectors - targets * np.sqrt(128)) ** 2)
    teacher = log_softmax(targets @ neighbours.T / 0.1)
    student = log_softmax(vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ neighbours.T / 0.1)
    divergence = np.mean(np.sum(np.exp(teacher) * (teacher - student), axis=1))
    found = loss_of(*(torch.from_numpy(array) for array in (vectors, targets, neighbours)))
    assert float(found) == pytest.approx((regression + divergence) / 2)


def test_the_rate_is_constant_and_falls_once():
    schedule = Schedule(until=1000, fall=0.4)
    assert [schedule.share(faces) for faces in (0, 600, 800, 1000, 2000)] == [1, 1, 0.5, 0, 0]
    assert Schedule(until=1000, fall=0.5).share(900, begun=800) == 1
    assert Schedule().share(10**9) == 1


def test_the_average_is_mostly_of_the_last_tenth(table, faces, tmp_path):
    run = run_in(tmp_path, table, faces)
    name, where = run.names[0], 0
    with torch.no_grad():
        for step in range(1000):
            run.weights[where].fill_(float(step >= 900))
            run._add_to_average()
    assert run.averaged()[name].min() == pytest.approx(1 - 0.9**10, abs=0.01)


def test_a_network_learns_what_the_teacher_says(table, faces, tmp_path):
    run = run_in(tmp_path, table, faces, Schedule(rate=0.02, warm_up=2, until=8 * 60), Recipe(8, Changes(0, 0), 4))

    def cosine() -> float:
        vectors = embedder(run.with_average())(faces)
        run.with_weights()
        rows, targets = training_faces(table)
        return float(np.mean(np.sum(vectors * targets, axis=1)[rows] / np.linalg.norm(vectors, axis=1)[rows]))

    before = cosine()
    learned(run)
    assert cosine() > before + 0.3


def test_looking_leaves_the_weights_as_they_are(table, faces, tmp_path):
    run = run_in(tmp_path, table, faces)
    run.learn(lambda *_: None, 10_000)
    before = [weight.detach().clone() for weight in run.weights]
    run.with_average()
    assert not all(torch.equal(a, b) for a, b in zip(before, run.weights, strict=True))
    run.with_weights()
    assert all(torch.equal(a, b) for a, b in zip(before, run.weights, strict=True))


def test_a_run_that_was_stopped_ends_where_it_would_have(table, faces, tmp_path):
    whole = learned(run_in(tmp_path / "whole", table, faces))
    half = run_in(tmp_path / "parts", table, faces)
    left = iter([1] * 5)
    half.threads = lambda: next(left)
    with pytest.raises(StopIteration):
        learned(half)
    again = run_in(tmp_path / "parts", table, faces)
    assert again.state.step == 4, "the last checkpoint"
    parts = learned(again)
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, atol=1e-6)


def test_a_checkpoint_of_another_recipe_is_refused(table, faces, tmp_path):
    learned(run_in(tmp_path, table, faces))
    with pytest.raises(DataError, match="changes"):
        run_in(tmp_path, table, faces, recipe=Recipe(8, Changes(spoiled=0.1), 4))


def test_looks_come_at_their_faces_and_at_the_end(table, faces, tmp_path):
    seen = []
    run_in(tmp_path, table, faces).learn(lambda run, loss: seen.append((run.state.faces, loss)), look_every=24)
    assert [at for at, _ in seen] == [24, 48, 64]
    assert all(np.isfinite(loss) and loss > 0 for _, loss in seen)


def test_other_work_leaves_fewer_threads(monkeypatch):
    seconds = {"now": 0.0, "others": 0.0}
    monkeypatch.setattr("research.distil.idle.time.monotonic", lambda: seconds["now"])
    monkeypatch.setattr("research.distil.idle._others_seconds", lambda: seconds["others"])
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})

    threads = IdleCores()
    assert threads() == 4
    for busy, expected in ((0.1, 4), (1.0, 3), (2.2, 2), (4.0, 1), (0.0, 4)):
        seconds["now"] += 20
        seconds["others"] += 20 * busy
        assert threads() == expected
    seconds["now"] += 1
    seconds["others"] += 4
    assert threads() == 4, "not looked again yet"
