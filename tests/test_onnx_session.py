from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from web_process import needs_proc

from flaskapp.onnx_format import declared, model, node
from flaskapp.onnx_session import open_session

DETECT_AND_REPORT = """
import os, sys
import flaskapp.preprocess as preprocess
face = preprocess.crop_photo(open(sys.argv[1], "rb").read())
unwanted = {"tensorflow", "keras", "matplotlib", "onnx"} & set(sys.modules)
print(os.environ["ORT_DISABLE_TELEMETRY"], sorted(unwanted), face.shape)
"""

RUN_AND_GIVE_BACK = """
import sys
sys.path.insert(0, "tests")
import numpy as np
from web_process import resident_bytes
from flaskapp.onnx_session import give_arena_back, open_session
session = open_session(open(sys.argv[1], "rb").read())
give_arena_back()
before = resident_bytes()
session.run(["y"], {"x": np.ones(2**24, np.float32)})
held = resident_bytes() - before
give_arena_back()
left = resident_bytes() - before
print(held >> 20, left >> 20, session.run(["y"], {"x": np.full(2, 2, np.float32)})[0][1])
"""

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def doubling() -> bytes:
    return model([node("Add", ["x", "x"], "y")], {"x": ["n"]}, {"y": ["n"]})


def test_a_graph_runs(doubling):
    session = open_session(doubling)
    (answer,) = session.run(["y"], {"x": np.array([1, 2.5], np.float32)})
    assert answer.tolist() == [2, 5]


def test_constants_can_be_kept_out_of_the_graph():
    shift = np.array([10, 0.5], np.float32)
    moving = model([node("Add", ["x", "shift"], "y")], {"x": ["n", 2]}, {"y": ["n", 2]}, [declared("shift", shift)])
    (answer,) = open_session(moving, {"shift": shift}).run(["y"], {"x": np.zeros((3, 2), np.float32)})
    assert answer.tolist() == [[10, 0.5]] * 3


def test_sessions_keep_to_one_thread_and_do_not_spin(doubling):
    options = open_session(doubling).get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_sessions_share_one_arena(doubling):
    options = open_session(doubling).get_session_options()
    assert options.get_session_config_entry("session.use_env_allocators") == "1"
    assert options.enable_cpu_mem_arena


@needs_proc
def test_the_arena_is_given_back_between_runs(tmp_path, doubling):
    """In a process of its own: elsewhere sessions of other tests hold parts of the same arena."""
    (tmp_path / "doubling.onnx").write_bytes(doubling)
    command = [sys.executable, "-c", RUN_AND_GIVE_BACK, str(tmp_path / "doubling.onnx")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    held, left, answer = done.stdout.split()
    assert int(held) > 60
    assert int(left) < 10
    assert answer == "4.0"


def test_sessions_remember_no_plans_for_the_shapes_they_met(doubling):
    assert not open_session(doubling).get_session_options().enable_mem_pattern


def test_detection_leaves_no_trace_and_imports_nothing_heavy(tmp_path, hopper):
    home, photo = tmp_path / "home", tmp_path / "photo.jpg"
    home.mkdir()
    photo.write_bytes(hopper)
    # CI=true would silence ONNX Runtime by itself.
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment = inherited | {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", DETECT_AND_REPORT, str(photo)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("1 [] (100, 100, 3)\n", "")
    assert list(home.rglob("*")) == []
