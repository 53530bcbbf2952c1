"""Promises about answers and about the browser: the same for the same photos, and for this page only.

Each docstring names the deliberate break that was seen to make its test fail.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from turned import STORED_AS, held
from web_helpers import Browser
from web_process import PATIENCE, WEIGHTS, Server, copy_program, environment

from flaskapp.app import create_app
from flaskapp.verifier import Verifier
from flaskapp.web.guards import HEADERS
from flaskapp.weights.runtime import Runtime

BOTH = {"reference": b"one", "probe": b"two"}
PAGES = (
    "/",
    "/privacy",
    "/api/docs",
    "/api/v1/notice",
    "/nothing",
    "/api/nothing",
    "/static/samples/whitson_portrait.jpg",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return copy_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def server(program, tmp_path_factory) -> Iterator[Server]:
    with Server(program, tmp_path_factory.mktemp("home")) as running:
        yield running.agree()


class TestP12BrowserHardening:
    """P12. Breaks: a header left out; ``unsafe-inline``; no ``check_origin``; no ``check_form_token``;
    a cookie without ``httponly``, ``samesite`` or ``secure``.
    """

    @pytest.mark.parametrize("path", PAGES)
    def test_every_answer_is_confined(self, browser, path):
        headers = browser.get(path).headers
        assert {name: headers.get(name) for name in HEADERS} == HEADERS

    def test_only_this_origin_and_nothing_inline(self, browser):
        policy = browser.get("/").headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules.pop("img-src") == "'self' blob:"
        assert rules["default-src"] == "'self'"
        assert set(rules.values()) <= {"'self'", "'none'"}
        assert {"frame-ancestors", "base-uri", "object-src", "form-action"} <= set(rules)

    def test_the_other_headers(self, browser):
        headers = browser.get("/").headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"

    @pytest.mark.parametrize("path", ["/", "/api/v1/notice", "/api/v1/consent", "/healthz", "/nothing"])
    def test_answers_are_not_kept(self, agreed, path):
        assert agreed.get(path).headers["Cache-Control"] == "no-store"

    def test_results_are_not_kept(self, agreed):
        form = agreed.send("/compare", BOTH, csrf_token=agreed.form_token())
        assert [answer.headers["Cache-Control"] for answer in (agreed.verify(), form)] == ["no-store"] * 2

    def test_static_files_are_asked_for_again(self, browser):
        response = browser.get("/static/samples/whitson_portrait.jpg")
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["ETag"]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_cookies_are_for_this_page_alone(self, browser, scheme):
        secure = scheme == "https"
        page = browser.get("/", base_url=f"{scheme}://localhost")
        version = browser.services.consents.notice.version
        stated = {"notice_version": version, "consent": True, "age_confirmed": True}
        given = browser.post("/api/v1/consent", json=stated, base_url=f"{scheme}://localhost")
        for cookie in (page.headers["Set-Cookie"], given.headers["Set-Cookie"]):
            parts = set(cookie.split("; "))
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts
            assert ("Secure" in parts) is secure

    def test_the_consent_s_cookie_ends_with_it(self, open_browser):
        cookie = open_browser(FR_CONSENT_MINUTES=5).state().headers["Set-Cookie"]
        assert "Max-Age=300" in cookie

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "http://localhost:5001"},
            {"Origin": "http://localhost"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
        ids=str,
    )
    def test_no_other_site_s_page_can_send_anything(self, agreed, verifier, headers):
        answers = [
            agreed.send("/api/v1/verify", BOTH, headers=headers),
            agreed.send("/compare", BOTH, headers=headers, csrf_token=agreed.form_token()),
            agreed.delete("/api/v1/consent", headers=headers),
            agreed.post("/consent/withdraw", headers=headers, data={"csrf_token": agreed.form_token()}),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4
        assert answers[0].json["code"] == "cross_site"
        assert not verifier.calls
        assert agreed.get("/api/v1/consent").status_code == 200

    def test_this_page_can(self, agreed):
        headers = {"Origin": "http://localhost:5000", "Sec-Fetch-Site": "same-origin"}
        assert agreed.send("/api/v1/verify", BOTH, headers=headers).status_code == 200

    @pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
    def test_forms_need_their_token(self, agreed, verifier, token):
        agreed.get("/")
        fields = {} if token is None else {"csrf_token": token}
        assert agreed.send("/compare", BOTH, **fields).status_code == 403
        assert agreed.post("/consent", data=fields).status_code == 403
        assert agreed.post("/consent/withdraw", data=fields).status_code == 403
        assert not verifier.calls
        assert agreed.get("/api/v1/consent").status_code == 200

    def test_a_form_s_token_is_of_no_use_elsewhere(self, agreed, verifier):
        elsewhere = Browser(agreed.app)
        elsewhere.agree()
        elsewhere.get("/")
        assert elsewhere.send("/compare", BOTH, csrf_token=agreed.form_token()).status_code == 403
        restarted = Browser(create_app({"FR_RATE_LIMIT": 0}, verifier))
        restarted.client.set_cookie("csrf-5000", agreed.client.get_cookie("csrf-5000").value)
        restarted.agree()
        assert restarted.send("/compare", BOTH, csrf_token=agreed.form_token()).status_code == 403
        assert not verifier.calls

    def test_no_other_origin_is_let_in(self, browser):
        answers = [
            browser.get("/api/v1/notice", headers={"Origin": "http://evil.example"}),
            browser.client.options(
                "/api/v1/verify", base_url="http://localhost", headers={"Origin": "http://evil.example"}
            ),
        ]
        for answer in answers:
            assert not [name for name in answer.headers if name[0].lower().startswith("access-control")]


@pytest.mark.parametrize("path", PAGES)
def test_p13_the_camera_is_for_this_page_only(browser, path):
    """P13. Break: ``camera=*``, or no Permissions-Policy."""
    rules = dict(rule.strip().split("=") for rule in browser.get(path).headers["Permissions-Policy"].split(","))
    assert rules.pop("camera") == "(self)"
    assert set(rules.values()) == {"()"}
    assert {"microphone", "geolocation", "display-capture"} <= set(rules)


@pytest.mark.slow
class TestP17SameAnswer:
    """P17. Break: a score that depends on the order (a − b without its absolute value), on the
    process, or on what was compared before.
    """

    def test_symmetric(self, server, hopper, collins):
        there, back = server.verify(hopper, collins).json, server.verify(collins, hopper).json
        assert there["similarity_score"] == back["similarity_score"]
        assert there["faces"]["reference"] == back["faces"]["probe"]

    def test_the_same_in_any_process(self, server, program, hopper, collins):
        answers = [server.verify(hopper, collins).json["similarity_score"] for _ in range(2)]
        here = Verifier(Runtime(program / WEIGHTS)).verify(hopper, collins).similarity_score
        assert answers == [here, here]


@pytest.mark.slow
def test_p18_concurrency_changes_nothing(server, hopper, collins):
    """P18. Break: one buffer or one result shared by all threads."""
    photos = [hopper, collins, mirrored(hopper), mirrored(collins)]
    pairs = [(one, other) for one in photos for other in photos] * 2
    serial = {pair: score(server, pair) for pair in set(pairs)}
    assert len(set(serial.values())) > 4
    with ThreadPoolExecutor(len(pairs)) as people:
        parallel = list(people.map(lambda pair: score(server, pair), pairs))
    assert len(pairs) == 32
    assert parallel == [serial[pair] for pair in pairs]


def mirrored(photo: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def score(server: Server, pair: tuple[bytes, bytes]) -> float:
    answer = server.verify(*pair)
    assert answer.status == 200, answer.body
    return answer.json["similarity_score"]


class TestP19OneFaceAPhoto:
    """P19. Break: the first or the largest of several faces is taken unasked."""

    @pytest.mark.needs_shared
    def test_several_are_listed_and_one_is_asked_for(self, working, photos, hopper):
        group = (photos / "two_people.jpg").read_bytes()
        response = working.verify(hopper, group)
        assert response.status_code == 422
        assert (response.json["code"], response.json["photo"]) == ("several_faces", "probe")
        assert [(face["number"], face["prominent"]) for face in response.json["faces"]] == [(1, True), (2, True)]
        answers = [working.verify(hopper, group, probe_face=str(number)).json for number in (1, 2)]
        boxes = [answer["faces"]["probe"]["box_xyxy"] for answer in answers]
        assert boxes == [face["box_xyxy"] for face in response.json["faces"]]
        assert working.verify(hopper, group, probe_face="3").json["code"] == "bad_face_number"

    def test_a_small_one_behind_is_listed_but_forces_no_choice(self, working, hopper, collins):
        photo = with_someone_behind(hopper, collins)
        faces = working.send("/api/v1/detect", {"photo": photo}).json["faces"]
        assert sorted(face["prominent"] for face in faces) == [False, True]
        (large,) = (face for face in faces if face["prominent"])
        unasked, asked = working.verify(photo, collins), working.verify(photo, collins, reference_face=large["number"])
        assert (unasked.status_code, asked.status_code) == (200, 200)
        told = [answer.json["faces"]["reference"] for answer in (unasked, asked)]
        assert [face["box_xyxy"] for face in told] == [large["box_xyxy"]] * 2
        assert [(face["number"], face["other_faces"]) for face in told] == [(1, 0), (large["number"], 1)]

    def test_nobody_in_it_says_which_photo_and_what_to_try(self, working, hopper):
        response = working.verify(hopper, camera_noise())
        assert (response.status_code, response.json["code"], response.json["photo"]) == (422, "no_face", "probe")
        assert response.json["hint"]


def camera_noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((320, 240), 40).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def with_someone_behind(front: bytes, behind: bytes) -> bytes:
    """Return a photo of one person close by and another far off, less than a third as high."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(front)) as near, Image.open(io.BytesIO(behind)) as other:
        large = near.convert("RGB").resize((1024, 1200))
        photo = Image.new("RGB", (1600, 1200), (120, 120, 120))
        photo.paste(large, (0, 0))
        photo.paste(other.convert("RGB"), (1050, 50))
        photo.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def turned(photo: bytes, orientation: int, kind: str = "JPEG") -> bytes:
    """Return a photo whose pixels lie otherwise, and whose tag says how to turn them upright."""
    with Image.open(io.BytesIO(photo)) as image:
        return held(image.convert("RGB"), orientation, kind)


class TestP20Orientation:
    """P20. Break: the tag is ignored; 6 and 8 exchanged."""

    @pytest.mark.slow
    def test_no_tag_changes_the_score_of_the_same_pixels(self, working, hopper, collins):
        scores = {
            working.verify(turned(hopper, number, "PNG"), collins).json["similarity_score"] for number in STORED_AS
        }
        assert len(scores) == 1

    @pytest.mark.slow
    @pytest.mark.needs_shared
    def test_nor_by_more_than_a_hundredth_when_they_are_compressed_anew(self, shipped, photos):
        photo, other = ((photos / name).read_bytes() for name in ("obama.jpg", "obama2.jpg"))
        upright = shipped.verify(photo, other).similarity_score
        for orientation in STORED_AS:
            assert shipped.verify(turned(photo, orientation), other).similarity_score == pytest.approx(
                upright, abs=0.01
            )


@pytest.mark.slow
@pytest.mark.parametrize("changed", [WEIGHTS, "siamese_model_final.json"])
def test_p21_only_intact_weights_load(tmp_path, changed):
    """P21. Break: no comparison of the hash in ``read_arrays``."""
    program = copy_program(tmp_path / "program")
    file = program / changed
    content = bytearray(file.read_bytes())
    place = content.index(b'"sha256": "') + 11 if changed.endswith(".json") else len(content) // 2
    content[place] ^= 1
    file.write_bytes(content)
    done = subprocess.run(
        [sys.executable, str(program / "flaskapp" / "app.py")],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert WEIGHTS in done.stderr
    assert "Traceback" not in done.stderr
    assert "http" not in done.stdout


def test_p23_every_result_says_that_liveness_was_not_checked(agreed):
    """P23. Breaks: ``liveness`` left out of ``to_json``; the sentence left out of the page."""
    frames = {"reference": BOTH["reference"], "frame": BOTH["probe"]}
    assert agreed.verify().json["liveness"] == "not_checked"
    assert agreed.send("/api/v1/live", frames).json["liveness"] == "not_checked"
    page = agreed.send("/compare", BOTH, csrf_token=agreed.form_token()).get_data(as_text=True)
    result, live = page.split('id="result"')[1], page.split('id="live-result"')[1]
    assert all("A photo of a photo would pass" in part for part in (result, live))


class TestP26OnlyItsNames:
    """P26. Breaks: no ``check_host``; a suffix in place of the whole name; ``HOST`` 0.0.0.0 by default."""

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "evil.localhost",
            "evil.example:5000",
            "127.0.0.2",
            "[::2]:5000",
            "",
            "localhost:0",
            "a b",
        ],
    )
    def test_others_are_refused(self, browser, host):
        for path in ("/", "/api/v1/notice", "/healthz", "/static/samples/whitson_portrait.jpg"):
            response = browser.get(path, headers={"Host": host})
            assert (response.status_code, response.content_type) == (400, "application/problem+json"), path

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.1:80", "[::1]:5000", "localhost:65535"])
    def test_its_own_are_served(self, browser, host):
        assert browser.get("/", headers={"Host": host}).status_code == 200

    def test_names_can_be_added(self, open_browser):
        browser = open_browser(FR_ALLOWED_HOSTS="faces.example.org")
        assert browser.get("/", headers={"Host": "faces.example.org"}).status_code == 200
        assert browser.get("/", headers={"Host": "localhost"}).status_code == 400

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is this machine on Linux alone")
    def test_bound_to_this_machine_alone(self, server):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), 5).close()
        with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
