"""A client that a generator made of the API's description, before a server in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from web_helpers import side_by_side
from web_process import PATIENCE, Server, copy_program

from flaskapp.web.openapi import describe

# The server as it is, but that what trains is a process that waits to be cancelled.
SERVE = """
import sys
from flaskapp import app
from flaskapp.web.settings import services

create = app.create_app

def with_idle_training(*arguments):
    made = create(*arguments)
    services(made).personal_model.command = (sys.executable, "-c", "import sys; sys.stdin.buffer.read()")
    return made

app.create_app = with_idle_training
app.main()
"""

DRIVE = """
import base64, io, json, sys
from pathlib import Path
from client import AuthenticatedClient, Client
from client.api.default import (
    cancel_own_training, consent, detect, forget_own_face, give_consent, healthz, live, look_at_own_photo, notice,
    own_face, train_own_face, use_own_model, verify, withdraw_consent,
)
from client.models import (
    DetectBody, LiveBody, LookAtOwnPhotoBody, Statements, TrainOwnFaceBody, UseOwnModelBody, VerifyBody,
)
from client.types import File

url, photos = sys.argv[1], Path(sys.argv[2])
told = {}

def photo(name):
    return File(payload=io.BytesIO((photos / name).read_bytes()), file_name=name)

def note(name, answer):
    said = answer.parsed.to_dict() if answer.parsed is not None else {}
    told[name] = said | {"status": answer.status_code.value}
    return answer.parsed

def ask(name, operation, **more):
    return note(name, operation.sync_detailed(client=person, **more))

stranger = Client(base_url=url)
note("ready", healthz.sync_detailed(client=stranger))
version = note("notice", notice.sync_detailed(client=stranger)).version
stated = Statements(notice_version=version, consent=True, age_confirmed=True)
token = note("agreed", give_consent.sync_detailed(client=stranger, body=stated)).token
person = AuthenticatedClient(base_url=url, token=token)

ask("stands", consent)
ask("found", detect, body=DetectBody(photo=photo("two.jpg")))
ask("unchosen", verify, body=VerifyBody(reference=[photo("two.jpg")], probe=photo("one.jpg")))
ask("compared", verify, body=VerifyBody(reference=[photo("two.jpg")], probe=photo("one.jpg"), reference_face=2))
ask("out of range", verify, body=VerifyBody(reference=[photo("one.jpg")], probe=photo("one.jpg"), probe_face=9))
several = VerifyBody(reference=[photo("one.jpg"), photo("two.jpg")], probe=photo("one.jpg"))
several["reference_2_face"] = 2
ask("several", verify, body=several)
ask("frame", live, body=LiveBody(reference=photo("two.jpg"), frame=photo("one.jpg"), reference_face=1))
looked = ask("looked", look_at_own_photo, body=LookAtOwnPhotoBody(photo=photo("one.jpg"), looks="[]"))
faces = [File(payload=io.BytesIO(base64.b64decode(looked.face_png)), file_name="face.png") for _ in range(8)]
ask("too few", train_own_face, body=TrainOwnFaceBody(face=faces[:1], keep_model="yes"))
ask("training", train_own_face, body=TrainOwnFaceBody(face=faces, keep_model="yes"))
ask("under way", own_face)
ask("cancelled", cancel_own_training)
ask("no model", use_own_model, body=UseOwnModelBody(own=True))
ask("forgotten", forget_own_face)
ask("withdrawn", withdraw_consent)
ask("refused", detect, body=DetectBody(photo=photo("one.jpg")))
print(json.dumps(told))
"""


def generate(folder: Path) -> None:
    """Write a client of the API as its description says it, a package by the name of ``client``."""
    description = folder / "openapi.json"
    description.write_text(json.dumps(describe()), encoding="utf-8")
    scripts = Path(sys.executable).parent
    subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"),
            *("--path", str(description), "--output-path", str(folder / "client")),
        ],
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},  # it tidies up by ruff
        cwd=folder,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory, hopper, collins) -> dict[str, Any]:
    """Return what the server told the client, by what it was asked."""
    program, folder = copy_program(tmp_path_factory.mktemp("program")), tmp_path_factory.mktemp("client")
    generate(folder)
    (folder / "one.jpg").write_bytes(collins)
    (folder / "two.jpg").write_bytes(side_by_side(hopper, collins))
    with Server(
        program, folder, command=(sys.executable, "-c", SERVE), settings={"PYTHONPATH": str(program)}
    ) as server:
        done = subprocess.run(
            [sys.executable, "-c", DRIVE, f"http://127.0.0.1:{server.port}", str(folder)],
            env=os.environ | {"PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.needs_tensorflow
class TestGeneratedClient:
    """Break: photos described as text without ``format: binary``."""

    def test_agrees_and_withdraws(self, told):
        asked = ("ready", "notice", "agreed", "stands", "withdrawn", "refused")
        assert [told[name]["status"] for name in asked] == [200, 200, 201, 200, 204, 403]
        assert told["refused"]["code"] == "consent_required"

    def test_finds_faces(self, told):
        assert (told["found"]["status"], len(told["found"]["faces"])) == (200, 2)

    def test_compares_the_face_that_was_chosen(self, told):
        assert (told["unchosen"]["status"], told["unchosen"]["code"]) == (422, "several_faces")
        assert len(told["unchosen"]["faces"]) == 2
        assert told["compared"]["status"] == 200
        assert told["compared"]["faces"]["reference"]["number"] == 2
        assert (told["out of range"]["status"], told["out of range"]["code"]) == (422, "bad_face_number")

    def test_compares_a_frame(self, told):
        assert told["frame"]["status"] == 200
        assert told["frame"]["decision"] is not None

    def test_trains_and_forgets(self, told):
        assert told["looked"]["status"] == 200
        assert (told["too few"]["status"], told["too few"]["code"]) == (422, "too_few_photos")
        assert (told["training"]["status"], told["training"]["state"]) == (202, "running")
        assert told["under way"]["training"]["state"] == "running"
        asked = ("cancelled", "no model", "forgotten")
        assert [told[name]["status"] for name in asked] == [204, 404, 200]
