"""A training as a process of its own: what it reads, and that it ends with whoever started it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flaskapp.personal.data import Doubt
from flaskapp.personal.worker import read_order

PATIENCE = 120


def order_for(faces: np.ndarray, out: Path) -> bytes:
    return json.dumps({"out": str(out), "minutes": 1, "photos": len(faces)}).encode() + b"\n" + faces.tobytes()


def started_with(out: Path) -> subprocess.Popen[bytes]:
    """Start one that is to train on eight black squares; its pipe stays open."""
    command = [sys.executable, "-m", "flaskapp.personal.worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdin.write(order_for(np.zeros((8, 100, 100, 3), np.uint8), out))
    process.stdin.flush()
    return process


def test_the_order_is_read_with_its_faces(tmp_path):
    faces = np.random.default_rng(0).integers(0, 256, (3, 100, 100, 3), np.uint8)
    order, read = read_order(io.BytesIO(order_for(faces, tmp_path) + b"more"))
    assert order["photos"] == 3
    np.testing.assert_array_equal(read, faces)


def test_a_pipe_that_ends_too_early_is_refused(tmp_path):
    faces = np.zeros((3, 100, 100, 3), np.uint8)
    with pytest.raises(ValueError, match="reshape"):
        read_order(io.BytesIO(order_for(faces, tmp_path)[:-1]))


@pytest.mark.needs_tensorflow
def test_photos_of_somebody_else_are_told_by_number(tmp_path, monkeypatch):
    from flaskapp.personal import train, worker

    told = list[dict]()
    monkeypatch.setattr(train, "make_own_model", lambda *rest: rest[-1].doubted(Doubt((0, 2), "", "")))
    worker.train(tmp_path, 1, np.zeros((3, 100, 100, 3), np.uint8), lambda **answer: told.append(answer))
    assert {"doubted": [1, 3]} in told


@pytest.mark.slow
def test_p25_it_ends_when_the_server_does(tmp_path):
    """Break: nobody watches the pipe."""
    process = started_with(tmp_path / "my_model")
    assert json.loads(process.stdout.readline())["words"]
    process.stdin.close()
    assert process.wait(PATIENCE) == 1
    process.stdout.close()
    assert not (tmp_path / "my_model").exists()


@pytest.mark.slow
@pytest.mark.needs_tensorflow
def test_photos_that_cannot_be_trained_on_are_answered_with_the_reason(tmp_path):
    process = started_with(tmp_path / "my_model")
    last = json.loads(process.stdout.readlines()[-1])
    # Only then is the pipe closed: until it has ended, that would end it like the server's end.
    assert process.wait(PATIENCE) == 0
    process.stdin.close()
    process.stdout.close()
    assert "8 different photos" in last["problem"]["detail"]
    assert last["problem"]["hint"]
