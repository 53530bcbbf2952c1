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
from PIL import Image
from web_process import ROOT, Server
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from tests.browser.sample_photos import HOPPER, POSES, encoded, posed

URL = "/api/v1/own-face"
SETTINGS = {"FR_OWN_MINUTES": "0.2"}
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
    for _ in range(4 * PATIENCE):
        training = server.ask("GET", URL).json["training"]
        if condition(training):
            return training
        pause.wait(0.25)
    raise AssertionError(f"it does not happen: {training}")


def has_tensorflow(process: int) -> bool:
    return "tensorflow" in Path(f"/proc/{process}/maps").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.needs_tensorflow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at in /proc")
def test_p25_a_killed_server_takes_its_training_along_and_the_same_photos_go_on(tmp_path, hopper, collins):
    """Break: the checkpoint not read; nobody watches the pipe; a training inside the server."""
    with Server(ROOT, tmp_path, settings=SETTINGS) as server:
        faces = faces_from(server.agree())
        assert train(server, faces) == 202
        training_when(server, lambda training: training["share"] > 0.5 or training["state"] != "running")
        served = server.process.pid
        children = Path(f"/proc/{served}/task").glob("*/children")
        (child,) = [int(pid) for one in children for pid in one.read_text(encoding="utf-8").split()]
        assert (has_tensorflow(served), has_tensorflow(child)) == (False, True)
        os.kill(served, signal.SIGKILL)
        pause = threading.Event()
        for _ in range(4 * PATIENCE):
            if not Path(f"/proc/{child}").exists():
                break
            pause.wait(0.25)
        assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "my_model").exists()
    with Server(ROOT, tmp_path, settings=SETTINGS) as server:
        assert train(server.agree(), faces_from(server)) == 202
        begun = training_when(server, lambda training: training["share"] > 0 or training["state"] != "running")
        assert begun["share"] > 0.2
        assert server.verify(collins, collins).json["decision"] == "match"
        done = training_when(server, lambda training: training["state"] != "running")
        assert done["state"] == "done", done
        answer = server.verify(collins, collins).json
        assert (answer["decision"], answer["model"].partition("@")[0]) == ("out_of_scope", "my_model")
        assert server.verify(hopper, hopper).json["similarity_score"] is not None
        assert "my_model/model.h5" in server.ask("DELETE", URL).json["removed"]
    assert not list(tmp_path.glob("my_model*"))
