"""Every code of an error, provoked by what a person or a program can really send."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from web_helpers import Browser, FakeVerifier, picture, side_by_side
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from flaskapp.app import create_app
from flaskapp.errors import SlowRequestError, WeightsError
from flaskapp.web.guards import REFUSED
from flaskapp.web.openapi import every_problem

MEGABYTE = 1024 * 1024
ADDRESS = "http://localhost:5000"


class Scene(NamedTuple):
    """A browser whose person has agreed, before a server that really looks at photos; and two portraits."""

    browser: Browser
    hopper: bytes
    collins: bytes

    def verify(self, probe: bytes | None = None, **fields: str) -> TestResponse:
        return self.browser.verify(self.hopper, self.collins if probe is None else probe, **fields)


@pytest.fixture
def scene(working, hopper, collins, tmp_path) -> Scene:
    working.services.personal_model.place = tmp_path / "my_model"
    return Scene(working, hopper, collins)


def below_the_eyes(photo: bytes) -> bytes:
    """Return Hopper's portrait without what is above the lower half of her eyes."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        image.crop((0, 193, image.width, image.height)).save(buffer, "PNG")
    return buffer.getvalue()


def animation() -> bytes:
    frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def damaged(png: bytes) -> bytes:
    """Return a PNG with its compressed pixels changed."""
    place = png.index(b"IDAT") + 10
    return png[:place] + bytes(byte ^ 0xFF for byte in png[place : place + 40]) + png[place + 40 :]


def withdrawn(scene: Scene) -> TestResponse:
    scene.browser.delete("/api/v1/consent")
    return scene.verify()


def too_fast(scene: Scene) -> TestResponse:
    limited = Browser(create_app({"FR_RATE_LIMIT": 1}, scene.browser.services.comparer.verifier))
    limited.agree()
    assert limited.verify(scene.hopper, scene.collins).status_code == 200
    return limited.verify(scene.hopper, scene.collins)


def crowded(scene: Scene) -> TestResponse:
    comparer = scene.browser.services.comparer
    while comparer.admitted.acquire(blocking=False):
        pass
    return scene.verify()


def cold(scene: Scene) -> TestResponse:
    scene.browser.services.comparer.warm.clear()
    return scene.browser.get("/healthz")


def broken(scene: Scene) -> TestResponse:
    scene.browser.services.comparer.verifier = None  # type: ignore[assignment]
    return scene.verify()


def short_of_memory(scene: Scene) -> TestResponse:
    def decode(*_: object) -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cv2.imdecode", decode)
        return scene.verify(picture(kind="WEBP"))


def without_weights(scene: Scene) -> TestResponse:
    lame = FakeVerifier()
    lame.raises = WeightsError("The weights were changed.", "Install them again.")
    scene.browser.services.comparer.verifier = lame
    return scene.verify()


def train(scene: Scene, count: int, keep: str = "yes") -> TestResponse:
    faces = [FileStorage(io.BytesIO(picture((100, 100))), "face.png") for _ in range(count)]
    return scene.browser.send("/api/v1/own-face/training", {}, face=faces, keep_model=keep)


def two_of_one_name(scene: Scene) -> TestResponse:
    probes = [FileStorage(io.BytesIO(scene.collins), "probe.jpg") for _ in range(2)]
    return scene.browser.send("/api/v1/verify", {"reference": scene.hopper}, probe=probes)


def train_twice(scene: Scene) -> TestResponse:
    own_face = scene.browser.services.personal_model
    own_face.command = (sys.executable, "-c", "import sys; sys.stdin.buffer.read()")
    assert train(scene, 8).status_code == 202
    second = train(scene, 8)
    scene.browser.delete("/api/v1/own-face/training")
    return second


def train_without_libraries(scene: Scene) -> TestResponse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flaskapp.web.personal_model.NEEDED", ("no_such_library",))
        return train(scene, 8)


def train_where_nothing_can_be_written(scene: Scene) -> TestResponse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flaskapp.web.personal_model.os.access", lambda *_: False)
        return train(scene, 8)


def forget_something_else(scene: Scene) -> TestResponse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene.browser.services.personal_model, "place", Path(__file__).parent)
        return scene.browser.delete("/api/v1/own-face")


PROVOKED: dict[str, tuple[Callable[[Scene], TestResponse], int, str | None]] = {
    "consent_required": (withdrawn, 403, None),
    "age_required": (lambda scene: scene.browser.state(age_confirmed=False), 403, None),
    "missing_photo": (lambda scene: scene.browser.send("/api/v1/verify", {"reference": scene.hopper}), 400, "probe"),
    "several_photos": (two_of_one_name, 400, "probe"),
    "keep_model_required": (lambda scene: train(scene, 8, keep="no"), 403, None),
    "not_a_file": (
        lambda scene: scene.browser.send("/api/v1/verify", {"reference": scene.hopper}, probe="/etc/passwd"),
        400,
        "probe",
    ),
    "bad_face_number": (lambda scene: scene.verify(probe_face="7"), 422, "probe"),
    "too_large": (lambda scene: scene.verify(scene.collins + bytes(12 * MEGABYTE)), 413, "probe"),
    "unsupported_format": (lambda scene: scene.verify(b"GIF89a"), 415, "probe"),
    "animated_photo": (lambda scene: scene.verify(animation()), 415, "probe"),
    "empty_photo": (lambda scene: scene.verify(b""), 422, "probe"),
    "truncated_photo": (lambda scene: scene.verify(scene.collins[:20_000]), 422, "probe"),
    "unreadable_photo": (lambda scene: scene.verify(damaged(picture((320, 240)))), 422, "probe"),
    "no_face": (lambda scene: scene.verify(picture((320, 240))), 422, "probe"),
    "face_cut_off": (lambda scene: scene.verify(below_the_eyes(scene.hopper)), 422, "probe"),
    "several_faces": (lambda scene: scene.verify(side_by_side(scene.hopper, scene.collins)), 422, "probe"),
    "not_enough_memory": (short_of_memory, 503, "probe"),
    "rate_limited": (too_fast, 429, None),
    "busy": (crowded, 503, None),
    "warming_up": (cold, 503, None),
    "cross_site": (
        lambda scene: scene.browser.post("/api/v1/verify", headers={"Origin": "http://evil.example"}),
        403,
        None,
    ),
    "unknown_host": (lambda scene: scene.browser.get("/api/v1/notice", base_url="http://evil.example"), 400, None),
    "not_found": (lambda scene: scene.browser.get("/api/v1/nothing"), 404, None),
    "method_not_allowed": (lambda scene: scene.browser.get("/api/v1/verify"), 405, None),
    "own_face_closed": (
        lambda scene: scene.browser.get("/api/v1/own-face", environ_base={"REMOTE_ADDR": "192.0.2.7"}),
        403,
        None,
    ),
    "too_few_photos": (lambda scene: train(scene, 1), 422, None),
    "training_under_way": (train_twice, 409, None),
    "no_model": (
        lambda scene: scene.browser.client.put("/api/v1/own-face/use", json={"own": True}, base_url=ADDRESS),
        404,
        None,
    ),
    "missing_extra": (train_without_libraries, 501, None),
    "unwritable": (train_where_nothing_can_be_written, 507, None),
    "too_slow": (
        lambda scene: scene.browser.post("/api/v1/verify", environ_base={REFUSED: SlowRequestError("It took long.")}),
        408,
        None,
    ),
    "bad_request": (lambda scene: scene.browser.post("/api/v1/consent", data="no"), 400, None),
    "not_removed": (forget_something_else, 409, None),
    "weights_unusable": (without_weights, 500, None),
    "internal_error": (broken, 500, None),
}


@pytest.mark.parametrize("code", PROVOKED)
def test_a_code_comes_with_its_status_its_photo_and_what_to_try(scene, code):
    provoke, status, photo = PROVOKED[code]
    response = provoke(scene)
    assert response.content_type == "application/problem+json"
    assert (response.json["code"], response.status_code, response.json["photo"]) == (code, status, photo)
    assert response.json["status"] == status
    assert response.json["detail"].strip()
    if photo:
        assert response.json["hint"].strip()
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) >= 1
    if code == "several_faces":
        assert [len(face["box_xyxy"]) for face in response.json["faces"]] == [4, 4]


def test_a_form_of_an_earlier_start_says_so_on_the_page(scene):
    photos = {"reference": scene.hopper, "probe": scene.collins}
    response = scene.browser.send("/compare", photos, csrf_token="0" * 64)
    assert (response.status_code, response.content_type) == (403, "text/html; charset=utf-8")
    assert "Reload the page" in response.get_data(as_text=True)


def test_no_code_is_left_out():
    # Forms are answered with a page, never with a problem of the API.
    assert {kind.code for kind in every_problem()} == {*PROVOKED, "form_expired"}
