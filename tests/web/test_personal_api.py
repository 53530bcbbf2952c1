"""The API around one's own face: who may, what is asked for, and what becomes of a training."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from described import check
from personal_models import write_model
from PIL import Image
from web_helpers import Browser, FakeVerifier, picture
from werkzeug.datastructures import FileStorage

from flaskapp import personal
from flaskapp.app import create_app
from flaskapp.personal.split import FEWEST_PHOTOS
from flaskapp.web import personal_model

URL = "/api/v1/own-face"
PATIENCE = 60
TOLD = {"words": "Training.", "share": 0.5, "doubted": [2]}
# What the training process is to this server: a reader of one order, a writer of lines.
CHILD = f"""
import json, shutil, sys
order = json.loads(sys.stdin.buffer.readline())
pixels = sys.stdin.buffer.read(order["photos"] * 30000)
def tell(**answer): print(json.dumps(answer), flush=True)
tell(**{TOLD})
"""
FIGURE = {"personal": 1.0, "shipped": 0.95, "alone": 0.9}
RESULT = {
    "figures": dict.fromkeys(("accuracy", "precision", "recall", "f1"), FIGURE),
    "words": ["It knew you in 3 of 3 photos it had not seen."],
    "scope": {"stranger_pairs": 9, "strangers_out": 9, "owner_pairs": 1, "owner_out": 0},
}
WAITS = "sys.stdin.buffer.read(1)"
DIES = "sys.exit(3)"
REFUSES = 'tell(problem={"code": "unusable_data", "detail": "8 are expected.", "hint": "Add others."})'


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Return a personal model that a training process puts into place."""
    return write_model(tmp_path_factory.mktemp("prepared") / "my_model")


@pytest.fixture
def owner(tmp_path, monkeypatch, verifier) -> Browser:
    """Return a browser whose person has agreed, before a server started in an empty folder."""
    monkeypatch.chdir(tmp_path)
    browser = Browser(create_app({"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0}, verifier))
    browser.agree()
    yield browser
    browser.delete(f"{URL}/training")


@pytest.fixture
def succeeds(prepared) -> str:
    return succeeds_with(prepared)


def succeeds_with(model: Path) -> str:
    begins = 'import os; os.mkdir(order["out"] + ".training")'
    return f'{begins}; shutil.copytree({str(model)!r}, order["out"] + ".new"); tell(result={RESULT!r})'


def trained_by(browser: Browser, code: str) -> None:
    """Put other code in the place of the training process."""
    browser.services.personal_model.command = (sys.executable, "-c", CHILD + code)


def face(seed: int = 0, size: int = 100) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def train(browser: Browser, count: int = FEWEST_PHOTOS, keep: str = "yes", size: int = 100):
    files = [FileStorage(io.BytesIO(face(seed, size)), "face.png") for seed in range(count)]
    return browser.send(f"{URL}/training", {}, face=files, keep_model=keep)


def ended(browser: Browser) -> dict:
    """Wait for the training to end, and return how."""
    follow_to_its_end()
    return browser.get(URL).json["training"]


def follow_to_its_end() -> None:
    """Wait until nobody follows a training any more."""
    for thread in threading.enumerate():
        if thread.name == "training":
            thread.join(PATIENCE)


def problem(response) -> tuple[int, str]:
    assert response.content_type == "application/problem+json", response.get_data(as_text=True)
    return response.status_code, response.json["code"]


class TestLooking:
    def test_a_photo_gives_its_face_and_what_is_missing(self, owner, hopper):
        answer = owner.send(f"{URL}/photo", {"photo": hopper}).json
        assert answer["kept"]
        assert "2 more, straight" in answer["missing"]
        handed_out = Image.open(io.BytesIO(base64.b64decode(answer["face_png"])))
        assert handed_out.size == (100, 100)

    def test_the_same_again_adds_nothing(self, owner, hopper):
        first = owner.send(f"{URL}/photo", {"photo": hopper}).json
        again = owner.send(f"{URL}/photo", {"photo": hopper}, looks=json.dumps([first["look"]])).json
        assert not again["kept"]
        assert (first["counts"], again["counts"]) == (True, False)
        assert "Too like a photo that there is already." in again["words"]
        assert again["missing"] == first["missing"]

    def test_another_photo_of_a_kind_that_a_capture_has_enough_of_counts(self, owner, hopper):
        first = owner.send(f"{URL}/photo", {"photo": hopper}).json
        looks = [first["look"] | {"brightness": 46 + 13 * step} for step in range(13)]
        darker = [look for look in looks if abs(look["brightness"] - first["look"]["brightness"]) > 13]
        answer = owner.send(f"{URL}/photo", {"photo": hopper}, looks=json.dumps(darker)).json
        assert (answer["kept"], answer["counts"]) == (False, True)
        check(owner.send(f"{URL}/photo", {"photo": hopper}), f"{URL}/photo", "post")

    def test_a_photo_of_nobody_is_refused(self, owner):
        assert problem(owner.send(f"{URL}/photo", {"photo": picture((320, 240))})) == (422, "no_face")

    @pytest.mark.parametrize("looks", ["x", "{}", "[1]", '[{"turn": 1}]', '[{"turn": "a"}]', "[" * 5000, str([1] * 50)])
    def test_looks_that_no_answer_said_are_refused(self, owner, hopper, looks):
        assert problem(owner.send(f"{URL}/photo", {"photo": hopper}, looks=looks)) == (400, "bad_request")


class TestTraining:
    def test_its_model_takes_over(self, owner, succeeds):
        trained_by(owner, succeeds)
        before = owner.get(URL).json
        assert (before["exists"], before["in_use"], before["comparing_with"][:5]) == (False, False, "fake@")
        started = train(owner)
        assert started.status_code == 202
        assert started.json["state"] == "running"
        assert ended(owner) == {"state": "done", **TOLD, "problem": None, "result": RESULT}
        after = owner.get(URL).json
        assert (after["exists"], after["in_use"], after["model"]) == (True, True, "my_model")
        assert after["comparing_with"].startswith("my_model@")
        assert "the personal model my_model." in owner.get("/").get_data(as_text=True)

    def test_faces_arrive_as_they_were_sent(self, owner):
        check = 'import hashlib; tell(problem={"code": "x", "detail": hashlib.sha256(pixels).hexdigest(), "hint": ""})'
        trained_by(owner, check)
        train(owner)
        pixels = b"".join(np.asarray(Image.open(io.BytesIO(face(seed)))).tobytes() for seed in range(FEWEST_PHOTOS))
        assert ended(owner)["problem"]["detail"] == hashlib.sha256(pixels).hexdigest()

    def test_the_model_before_compares_until_then(self, owner, verifier):
        trained_by(owner, WAITS)
        train(owner)
        assert owner.verify().json["model"].startswith("fake@")
        assert verifier.calls

    @pytest.mark.parametrize(("code", "words"), [(DIES, "ended before it was done"), (REFUSES, "8 are expected.")])
    def test_one_that_fails_says_why_and_changes_nothing(self, owner, code, words):
        trained_by(owner, code)
        train(owner)
        told = ended(owner)
        assert told["state"] == "failed"
        assert words in told["problem"]["detail"]
        assert told["problem"]["hint"]
        assert not owner.get(URL).json["in_use"]

    def test_one_that_leaves_a_damaged_model_changes_nothing(self, owner, succeeds):
        damage = 'open(order["out"] + ".new/templates.npz", "ab").write(b"x")'
        trained_by(owner, succeeds.replace("; tell", f"; {damage}; tell"))
        train(owner)
        assert ended(owner)["problem"]["code"] == "weights_unusable"
        assert owner.get(URL).json["comparing_with"].startswith("fake@")

    def test_one_at_a_time(self, owner):
        trained_by(owner, WAITS)
        train(owner)
        assert problem(train(owner)) == (409, "training_under_way")
        assert owner.delete(f"{URL}/training").status_code == 204
        assert train(owner).status_code == 202

    def test_somebody_elses_is_nobodys_business(self, owner):
        trained_by(owner, WAITS)
        train(owner)
        other = Browser(owner.app)
        other.agree()
        assert other.get(URL).json["training"] is None
        other.delete(f"{URL}/training")
        assert owner.get(URL).json["training"]["state"] == "running"

    @pytest.mark.parametrize("count", [0, 1, FEWEST_PHOTOS - 1])
    def test_too_few_photos_are_counted(self, owner, count):
        response = train(owner, count)
        assert problem(response) == (422, "too_few_photos")
        assert f"Add {FEWEST_PHOTOS - count} more" in response.json["hint"]

    @pytest.mark.parametrize("keep", ["", "no", "true"])
    def test_it_takes_a_yes_to_keeping_the_model(self, owner, keep):
        assert problem(train(owner, keep=keep)) == (403, "keep_model_required")
        assert owner.services.personal_model.training is None

    def test_it_takes_a_form(self, owner):
        response = owner.post(f"{URL}/training", json={"keep_model": "yes"})
        assert problem(response) == (400, "bad_request")
        assert "Received: application/json." in response.json["detail"]

    def test_text_in_the_place_of_a_face_is_told_as_that(self, owner):
        response = owner.send(f"{URL}/training", {}, face="face.png", keep_model="yes")
        assert (problem(response), response.json["photo"]) == ((400, "not_a_file"), "face")

    def test_other_pictures_than_faces_are_refused(self, owner):
        assert problem(train(owner, size=99)) == (400, "bad_request")

    def test_more_photos_than_can_be_taken_are_refused(self, owner):
        assert problem(train(owner, 45)) == (413, "too_large")

    def test_trainings_count_as_comparisons_do(self, open_browser, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        browser = open_browser(FR_RATE_LIMIT=1)
        browser.agree()
        assert problem(train(browser, 1)) == (422, "too_few_photos")
        assert problem(train(browser, 1)) == (429, "rate_limited")


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(PATIENCE * 100):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it does not happen")


def test_the_answers_are_as_described(owner, succeeds, hopper):
    trained_by(owner, succeeds)
    for path, method, answer in [
        ("", "get", owner.get(URL)),
        ("/photo", "post", owner.send(f"{URL}/photo", {"photo": hopper})),
        ("/photo", "post", owner.send(f"{URL}/photo", {"photo": hopper}, looks="x")),
        ("/training", "post", train(owner, 1)),
        ("/training", "post", train(owner, keep="no")),
        ("/use", "put", owner.client.put(f"{URL}/use", json={"own": True}, base_url="http://localhost:5000")),
        ("/training", "post", train(owner)),
    ]:
        check(answer, URL + path, method)
    ended(owner)
    check(owner.get(URL), URL, "get")
    check(owner.client.put(f"{URL}/use", json={"own": False}, base_url="http://localhost:5000"), f"{URL}/use", "put")
    check(owner.delete(f"{URL}/training"), f"{URL}/training", "delete")
    check(owner.delete(URL), URL, "delete")
    check(owner.delete(URL, environ_base={"REMOTE_ADDR": "192.0.2.7"}), URL, "delete")


class TestForgetting:
    def test_p22_every_trace_goes_and_is_listed(self, owner, succeeds, tmp_path):
        """Break: the files removed, the model kept in memory; a training left running."""
        trained_by(owner, succeeds)
        train(owner)
        ended(owner)
        trained_by(owner, f'import os; os.mkdir(order["out"] + ".training"); tell(share=0.7); {WAITS}')
        train(owner)
        process = owner.services.personal_model.training.process
        wait_for(lambda: owner.get(URL).json["training"]["share"] == 0.7)
        removed = owner.delete(URL).json["removed"]
        assert {"my_model", "my_model/model.h5", "my_model/templates.npz", "my_model.training"} <= set(removed)
        assert list(tmp_path.iterdir()) == []
        assert process.poll() is not None
        state = owner.get(URL).json
        assert (state["exists"], state["in_use"], state["training"]) == (False, False, None)
        assert owner.verify().json["model"].startswith("fake@")
        assert problem(owner.send("/api/v1/verify", {"probe": b"two"})) == (400, "missing_photo"), "nobody is known"
        assert "you-slot" not in owner.get("/").get_data(as_text=True)

    def test_nothing_there_is_no_error(self, owner):
        assert owner.delete(URL).json == {"removed": []}

    def test_a_folder_that_is_something_else_stays(self, owner, tmp_path):
        (tmp_path / "my_model").mkdir()
        (tmp_path / "my_model" / "diary.txt").touch()
        assert problem(owner.delete(URL)) == (409, "not_removed")
        assert (tmp_path / "my_model" / "diary.txt").exists()

    def test_a_link_to_a_model_stays(self, owner, prepared, tmp_path):
        (tmp_path / "my_model").symlink_to(prepared, target_is_directory=True)
        response = owner.delete(URL)
        assert problem(response) == (409, "not_removed")
        check(response, URL, "delete")
        assert personal.is_personal(tmp_path / "my_model")

    def test_what_the_disk_does_not_let_go_is_told(self, owner, succeeds, monkeypatch):
        trained_by(owner, succeeds)
        train(owner)
        ended(owner)
        monkeypatch.setattr(Path, "unlink", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        response = owner.delete(URL)
        assert problem(response) == (409, "not_removed")
        assert "Permission denied" in response.json["detail"]
        assert not owner.get(URL).json["in_use"]


class TestUsing:
    def test_either_model_can_be_taken_into_use(self, owner, succeeds):
        assert problem(owner.client.put(f"{URL}/use", json={"own": True}, base_url="http://localhost:5000")) == (
            404,
            "no_model",
        )
        trained_by(owner, succeeds)
        train(owner)
        ended(owner)
        for own, name in ((False, "fake@"), (True, "my_model@")):
            answer = owner.client.put(f"{URL}/use", json={"own": own}, base_url="http://localhost:5000").json
            assert answer["in_use"] is own
            assert answer["comparing_with"].startswith(name)

    @pytest.mark.parametrize("stated", [None, {}, {"own": "true"}, [True]])
    def test_anything_but_true_or_false_is_refused(self, owner, stated):
        response = owner.client.put(f"{URL}/use", json=stated, base_url="http://localhost:5000")
        assert problem(response) == (400, "bad_request")

    def test_a_model_named_at_the_start_is_in_use_and_forgotten(self, tmp_path, monkeypatch):
        model = write_model(tmp_path / "anna")
        browser = Browser(create_app({"FR_MODEL": str(model)}))
        browser.agree()
        monkeypatch.setattr("flaskapp.web.personal_model.default_verifier", FakeVerifier)
        state = browser.get(URL).json
        assert (state["model"], state["in_use"]) == ("anna", True)
        assert "anna" in browser.delete(URL).json["removed"]
        assert browser.get(URL).json["comparing_with"].startswith("fake@")

    def test_the_report_can_be_had(self, owner, succeeds):
        assert owner.get("/own-face/report.html").status_code == 404
        trained_by(owner, succeeds)
        train(owner)
        ended(owner)
        report = owner.get("/own-face/report.html")
        assert report.headers["Content-Disposition"] == "attachment; filename=my_model-report.html"
        assert report.data == (owner.services.personal_model.place / personal.REPORT).read_bytes()


REQUESTS = [
    ("GET", URL),
    ("DELETE", URL),
    ("POST", f"{URL}/photo"),
    ("POST", f"{URL}/training"),
    ("DELETE", f"{URL}/training"),
    ("PUT", f"{URL}/use"),
]


class TestWhoMay:
    @pytest.mark.parametrize(("method", "path"), REQUESTS)
    def test_p4_nobody_without_consent(self, open_browser, method, path, monkeypatch, tmp_path):
        """Break: a view without its guard."""
        monkeypatch.chdir(tmp_path)
        response = open_browser().client.open(path, method=method, base_url="http://localhost:5000")
        assert problem(response) == (403, "consent_required")

    @pytest.mark.parametrize(("method", "path"), REQUESTS)
    @pytest.mark.parametrize(
        "elsewhere",
        [{"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}, {"headers": {"X-Forwarded-For": "127.0.0.1"}}],
        ids=["address", "proxy"],
    )
    def test_nobody_from_elsewhere(self, owner, method, path, elsewhere):
        response = owner.client.open(path, method=method, base_url="http://localhost:5000", **elsewhere)
        assert problem(response) == (403, "own_face_closed")

    @pytest.mark.parametrize("path", ["/own-face", "/own-face/report.html"])
    def test_pages_are_closed_to_others_too(self, owner, path):
        assert owner.get(path, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 403

    def test_the_page_offers_it_to_those_who_may(self, owner):
        assert 'href="/own-face"' in owner.get("/").get_data(as_text=True)
        elsewhere = owner.get("/", environ_base={"REMOTE_ADDR": "192.0.2.7"})
        assert 'href="/own-face"' not in elsewhere.get_data(as_text=True)

    def test_everyone_if_a_setting_says_so(self, open_browser, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        browser = open_browser(FR_OWN_FACE="everyone")
        browser.agree()
        assert browser.get(URL, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200

    def test_nobody_if_it_is_off(self, open_browser):
        browser = open_browser(FR_OWN_FACE="off")
        browser.agree()
        assert problem(browser.get(URL)) == (403, "own_face_closed")

    def test_the_others_site_sends_nothing(self, owner):
        response = owner.delete(URL, headers={"Origin": "http://evil.example"})
        assert problem(response) == (403, "cross_site")


def test_the_folder_is_where_the_server_was_started(owner, tmp_path):
    assert owner.services.personal_model.place == tmp_path / personal_model.DEFAULT_PLACE
