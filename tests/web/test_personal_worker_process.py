"""A training in the page as people run it: by a server that is killed amid it, and started again."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_models import ONLY_THE_VERY_PHOTO, write_model
from PIL import Image
from web_process import ROOT, Server, copy_program
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from tests.browser.sample_photos import HOPPER, POSES, encoded, posed

URL = "/api/v1/own-face"
PATIENCE = 300


def faces_from(server: Server) -> list[bytes]:
    """Return the faces of somebody who moves before a camera, as the server hands them out."""
    portrait = np.asarray(Image.open(HOPPER).convert("RGB"))
    faces, looks = [], []
    for pose in POSES:
        photo = encoded(Image.fromarray(posed(portrait, *pose)), "JPEG", quality=95)
        answer = server.send(f"{URL}/photo", {"photo": photo}, looks=json.dumps(looks)).json
        looks.append(answer["look"])
        faces.append(base64.b64decode(answer["face_png"]))
    return faces


def train(server: Server, faces: list[bytes]) -> int:
    files = [FileStorage(io.BytesIO(face), "face.png") for face in faces]
    boundary, body = encode_multipart({"face": files, "keep_model": "yes"})
    content_type = f"multipart/form-data; boundary={boundary}"
    return server.ask("POST", f"{URL}/training", body, Content_Type=content_type).status


def training_when(server: Server, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until a training is as it is wanted, and return how it goes."""
    pause = threading.Event()
    for _ in range(20 * PATIENCE):
        training = server.ask("GET", URL).json["training"]
        if condition(training):
            return training
        pause.wait(0.05)
    raise AssertionError(f"it does not happen: {training}")


# The server as ``serve`` starts it, but for what trains: that is the worker with a training that learns nothing.
# The first stays amid its work, with a checkpoint on disk; the next finds that, and faces that are the same.
PROGRAM = """
import sys
from flaskapp import app
from flaskapp.web import personal_model

personal_model.COMMAND = (sys.executable, "-c", {worker!r})
app.serve()
"""
WORKER = """
import hashlib, shutil, sys, threading
sys.path.insert(0, {tests!r})
from types import SimpleNamespace
from flaskapp.personal import new_folder, work_folder, worker
from personal_models import write_run

def train(out, minutes, faces, tell):
    faces = hashlib.sha256(faces.tobytes()).hexdigest()
    seen = work_folder(out) / "backup" / "faces"
    if not seen.exists():
        write_run(work_folder(out))
        seen.write_text(faces)
        tell(share=0.6)
        threading.Event().wait()
    assert seen.read_text() == faces
    tell(share=0.7)
    shutil.copytree({model!r}, new_folder(out))
    scope = SimpleNamespace(stranger_pairs=1)
    return SimpleNamespace(even_figures=dict, in_words=lambda: ["It knew you."], scope=scope)

worker.train = train
worker.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at in /proc")
def test_p25_a_killed_server_takes_its_training_along_and_the_same_photos_go_on(tmp_path, hopper, collins):
    """Break: the work folder removed; nobody watches the pipe; a training inside the server."""
    home, program = tmp_path / "home", copy_program(tmp_path)
    home.mkdir()
    model = write_model(tmp_path / "prepared" / "my_model", ONLY_THE_VERY_PHOTO)
    worker = WORKER.format(tests=str(ROOT / "tests"), model=str(model))
    command = (sys.executable, "-c", PROGRAM.format(worker=worker))
    started = {"command": command, "settings": {"PYTHONPATH": f"{program}{os.pathsep}{ROOT}"}}
    with Server(program, home, **started) as server:
        faces = faces_from(server.agree())
        assert train(server, faces) == 202
        training_when(server, lambda training: training["share"] > 0.5 or training["state"] != "running")
        served = server.process.pid
        children = Path(f"/proc/{served}/task").glob("*/children")
        (child,) = [int(pid) for one in children for pid in one.read_text(encoding="utf-8").split()]
        os.kill(served, signal.SIGKILL)
        pause = threading.Event()
        for _ in range(20 * PATIENCE):
            if not Path(f"/proc/{child}").exists():
                break
            pause.wait(0.05)
        assert not Path(f"/proc/{child}").exists()
    assert not (home / "my_model").exists()
    with Server(program, home, **started) as server:
        assert train(server.agree(), faces_from(server)) == 202
        done = training_when(server, lambda training: training["state"] != "running")
        assert (done["state"], done["share"]) == ("done", 0.7), done
        answer = server.verify(collins, collins).json
        assert (answer["decision"], answer["model"].partition("@")[0]) == ("out_of_scope", "my_model")
        assert server.verify(hopper, hopper).json["similarity_score"] is not None
        assert "my_model/model.h5" in server.ask("DELETE", URL).json["removed"]
    assert not list(home.glob("my_model*"))
