"""Promises about privacy: nothing kept, nothing told, nothing looked at without consent.

Each docstring names the deliberate break that was seen to make its test fail.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import logging
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from web_helpers import FakeVerifier, side_by_side
from web_process import Server, copy_program, needs_proc
from web_sockets import until

from flaskapp import preprocess
from flaskapp.web import comparing
from flaskapp.web.consent import NOTICE

MEGABYTE = 1024 * 1024
BOTH = {"reference": b"one", "probe": b"two"}

CANARY = "canary-4711-in-a-photo"

OPENED_FOR_WRITING = re.compile(r"\bopen(at|at2)?\(.*\b(O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE)\b")
CHANGES_FILES = re.compile(
    r"\b(creat|mkdir|mkdirat|mknod|mknodat|rename|renameat|renameat2|link|linkat|symlink|symlinkat|truncate)\("
)
TALKS = re.compile(r"\b(connect\(|(sendto|sendmsg)\(.*sa_family)")


@dataclasses.dataclass(frozen=True)
class Trace:
    """What the program asked of the kernel from its start to its end, and what its home folder held then."""

    lines: list[str]
    home: list[Path]

    def matching(self, pattern: re.Pattern[str]) -> list[str]:
        return [line for line in self.lines if pattern.search(line)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory, hopper) -> Trace:
    """Return the trace of a program that was started, used and stopped."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")
    folder = tmp_path_factory.mktemp("traced")
    home = folder / "home"
    home.mkdir()
    out = folder / "trace"
    calls = "%file,socket,connect,bind,sendto,sendmsg"
    strace = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={calls}", "-o", str(out))
    program = copy_program(folder)
    with Server(program, home, wrapper=strace) as server:
        assert server.agree().verify(hopper + bytes(8 * MEGABYTE), hopper).status == 200
        assert server.send("/api/v1/live", {"reference": hopper, "frame": camera_frame()}).status == 200
        assert server.send("/api/v1/detect", {"photo": hopper}).status == 200
        assert server.verify(bytes(13 * MEGABYTE), hopper).status == 413
        assert server.verify(bytes(14 * MEGABYTE), bytes(14 * MEGABYTE)).status == 413
        assert server.verify(hopper, b"damaged").status == 415
        assert server.send("/api/v1/own-face/photo", {"photo": hopper}).status == 200
    return Trace(out.read_text(encoding="utf-8", errors="replace").splitlines(), list(home.rglob("*")))


def camera_frame() -> bytes:
    """Return what a camera sends: 640×480, here with nobody in it."""
    buffer = io.BytesIO()
    Image.effect_noise((640, 480), 40).convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.mark.slow
def test_p1_no_file_is_written_or_made(trace):
    """P1. Breaks: no ``_get_file_stream`` of ours; waitress's own ``inbuf_overflow``; no
    ``ORT_DISABLE_TELEMETRY``.
    """
    assert trace.matching(re.compile(r"whitson_portrait\.jpg")), "the trace shows what was opened"
    assert [line for line in trace.matching(OPENED_FOR_WRITING) if '"/dev/null"' not in line] == []
    assert trace.matching(CHANGES_FILES) == []
    assert trace.home == []


@pytest.mark.slow
def test_p14_no_socket_but_its_own(trace):
    """P14. Break: no ``ORT_DISABLE_TELEMETRY``; a datagram sent in ``serve``."""
    assert trace.matching(TALKS) == []
    sockets = trace.matching(re.compile(r"\bsocket\("))
    # One listens; the other looks whether another program holds the port of IPv6's localhost, and is closed.
    assert ["AF_INET, SOCK_STREAM" in line or "AF_INET6, SOCK_STREAM" in line for line in sockets] == [True, True]
    assert len(trace.matching(re.compile(r"\bAF_INET6, SOCK_STREAM"))) <= 1


def photo_with_canaries(portrait: bytes, kind: str) -> bytes:
    """Return a portrait with a canary wherever a photo can carry words."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(portrait)) as image:
        exif = Image.Exif()
        exif[0x010E] = exif[0x013B] = CANARY  # description, artist
        notes = PngInfo()
        notes.add_text("Comment", CANARY)
        options = {"pnginfo": notes} if kind == "PNG" else {"comment": CANARY}
        image.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


CANARY_PIXELS = bytes((37 * place * place + 101 * place) % 251 for place in range(96))


def with_canary_pixels(photo: bytes) -> bytes:
    """Return a photo as PNG, much enlarged, with pixels at one side that no other picture has."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        large = image.convert("RGB").resize((image.width * 2, image.height * 2))
    for row in range(large.height):
        large.paste(Image.frombytes("RGB", (32, 1), CANARY_PIXELS), (0, row))
    large.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def spread_out(pixels: bytes) -> bytes:
    """Return RGB as Pillow keeps it while it works: four bytes a pixel."""
    return b"".join(pixels[at : at + 3] + b"\xff" for at in range(0, len(pixels), 3))


def canaries_in(pid: int | str, patterns: Sequence[bytes] = (CANARY_PIXELS, spread_out(CANARY_PIXELS))) -> int:
    """Return how often the canary's pixels, or other bytes, lie in a process's memory."""
    found = 0
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            span, access, *_ = line.split()
            start, end = (int(place, 16) for place in span.split("-"))
            if access.startswith("rw"):
                with contextlib.suppress(OSError):  # given back to the system meanwhile
                    memory.seek(start)
                    content = memory.read(end - start)
                    found += sum(content.count(pattern) for pattern in patterns)
    return found


REFUSED = {
    "no_face": ("verify", "nobody", "hopper", {}),
    "several_faces": ("verify", "both", "hopper", {}),
    "bad_face_number": ("verify", "hopper", "collins", {"reference_face": "7"}),
    "truncated_photo": ("verify", "hopper", "cut", {}),
    "unreadable_photo": ("verify", "hopper", "damaged", {}),
    "live, nobody": ("live", "hopper", "nobody", {}),
    "live, several": ("live", "hopper", "both", {}),
    "live, nobody in the reference": ("live", "nobody", "hopper", {}),
    "detected, nobody": ("detect", "nobody", None, {}),
    "answered": ("verify", "hopper", "collins", {}),
}


@pytest.mark.slow
@needs_proc
def test_p3_no_photo_stays_after_an_error_or_an_answer(tmp_path, hopper, collins):
    """P3. Breaks: no ``M_PERTURB``; ``jobs`` not cleared in ``_embed_all``; a verifier that remembers its photos."""
    plain = {"hopper": hopper, "collins": collins, "nobody": camera_frame(), "both": side_by_side(hopper, collins)}
    photos = {name: with_canary_pixels(photo) for name, photo in plain.items()}
    middle = len(photos["hopper"]) // 2
    photos["cut"] = photos["hopper"][:-1000]
    photos["damaged"] = photos["hopper"][:middle] + bytes(100) + photos["hopper"][middle + 100 :]
    with Server(copy_program(tmp_path), tmp_path) as server:
        server.agree()
        left = {}
        for case, (path, first, second, fields) in REFUSED.items():
            names = {"verify": ("reference", "probe"), "live": ("reference", "frame"), "detect": ("photo",)}[path]
            sent = {name: photos[photo] for name, photo in zip(names, (first, second), strict=False) if photo}
            answer = server.send(f"/api/v1/{path}", sent, **fields)
            assert answer.status == 200 or case.startswith("live") or answer.json["code"] == case
            left[case] = canaries_in(server.process.pid)
    assert left == dict.fromkeys(REFUSED, 0)


@needs_proc
def test_p3_no_face_and_no_embedding_stays_after_an_answer(tmp_path, working, hopper, collins):
    """P3. Breaks: no ``M_PERTURB``; an arena that grows by powers of two; ``trim_memory`` without a timer."""
    seen, embedding = working.services.comparer.verifier.embed(hopper)
    made = seen.aligned.tobytes(), embedding.tobytes()
    ends = [part for whole in made for part in (whole[64:160], whole[-160:-64])]
    with Server(copy_program(tmp_path), tmp_path) as server:
        server.agree()
        for _ in range(3):
            assert server.verify(hopper, collins).status == 200
            until(lambda: canaries_in(server.process.pid, ends) == 0)


@needs_proc
def test_the_search_for_pixels_finds_them():
    canvas = Image.open(io.BytesIO(with_canary_pixels(camera_frame())))
    canvas.load()
    assert canaries_in("self") >= 1


@pytest.fixture
def all_logs(caplog) -> Iterator[pytest.LogCaptureFixture]:
    """Turn on every log of every library but of those that the program itself keeps quiet."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    levels = {logger: logger.level for logger in loggers if not logger.name.startswith("PIL")}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    yield caplog
    for logger, level in levels.items():
        logger.setLevel(level)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_p2_nothing_biometric_is_logged(working, hopper, collins, kind, all_logs, capfd, monkeypatch):
    """P2. Breaks: Pillow's log at DEBUG; the exception's text in ``log_exception``; a log of
    the file's name or of the embedding.
    """
    photo = photo_with_canaries(hopper, kind)
    runtime = working.services.comparer.verifier.runtime
    embeddings = []
    embed = type(runtime).embed
    monkeypatch.setattr(
        type(runtime), "embed", lambda *arguments: embeddings.append(embed(*arguments)) or embeddings[-1]
    )

    assert working.verify(photo, collins, note=CANARY).status_code == 200
    working.send(f"/api/v1/verify?name={CANARY}", {"reference": photo[:-5000], "probe": collins})
    working.send("/api/v1/live", {"reference": photo, "frame": collins})
    working.verify(photo, b"GIF89a" + CANARY.encode())
    working.send("/api/v1/own-face/photo", {"photo": photo}, looks=CANARY)
    assert working.send("/api/v1/own-face/photo", {"photo": photo}).status_code == 200
    monkeypatch.setattr(preprocess, "find_faces", lambda *_: 1 / len(CANARY[:0]))
    working.send("/api/v1/detect", {"photo": photo})

    logged = all_logs.text + "".join(capfd.readouterr())
    assert "api.verify 200" in logged, "outcomes are logged"
    assert "ZeroDivisionError" in logged, "errors are logged"
    numbers = {
        format(value, spec) for vector in embeddings for value in vector[0, :8] for spec in (".4f", ".5g", ".6f")
    }
    pieces = {base64.b64encode(photo[start : start + 30]).decode()[:36] for start in range(0, 3000, 300)}
    tokens = {cookie.value for cookie in [working.client.get_cookie("consent-5000")]}
    names = {"reference.jpg", "probe.jpg", "photo.jpg", "frame.jpg"}
    assert len(embeddings) >= 3
    assert not [word for word in {CANARY} | numbers | pieces | tokens | names if word in logged]


@pytest.fixture
def seen(monkeypatch) -> list[str]:
    """Return a list of everything that was done to a photo."""
    touched: list[str] = []

    def note(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **more: touched.append(name) or real(*given, **more))

    note(preprocess, "decode_photo")
    note(preprocess, "find_faces")
    note(FakeVerifier, "verify")
    note(FakeVerifier, "read")
    return touched


REQUESTS = {
    "/api/v1/verify": ("reference", "probe"),
    "/api/v1/detect": ("photo",),
    "/api/v1/live": ("reference", "frame"),
    "/compare": ("reference", "probe"),
}


def send_everywhere(browser, hopper, **headers) -> list[int]:
    token = browser.form_token()
    return [
        browser.send(path, dict.fromkeys(names, hopper), headers=headers, csrf_token=token).status_code
        for path, names in REQUESTS.items()
    ]


def test_p4_no_consent_no_processing(browser, hopper, seen):
    """P4. Break: ``require_consent`` lets everybody in, or is missing from ``/compare``."""
    assert send_everywhere(browser, hopper) == [403] * 4
    assert send_everywhere(browser, hopper, Authorization="Bearer invented") == [403] * 4
    assert send_everywhere(browser, hopper, Cookie="consent-5000=invented") == [403] * 4
    assert seen == []
    browser.agree()
    assert send_everywhere(browser, hopper) == [200] * 4
    assert seen


def test_p4_the_body_is_not_even_read(browser):
    """P4. Break: ``uploaded_photo`` before ``require_consent``."""

    class Unread(io.BytesIO):
        def read(self, *_: object) -> bytes:
            pytest.fail("the body was read")

        readinto = readline = read  # type: ignore[assignment]

    answer = browser.app.test_client().post(
        "/api/v1/verify",
        input_stream=Unread(bytes(100)),
        headers={"Content-Length": "100", "Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.json["code"] == "consent_required"


@pytest.mark.parametrize("stated", [False, None, "true", "false", 1, [True], {}])
@pytest.mark.parametrize(("field", "code"), [("consent", "consent_required"), ("age_confirmed", "age_required")])
def test_p5_the_age_gate_holds_on_the_server(browser, verifier, field, stated, code):
    """P5. Break: ``bool(...)`` in place of ``is True``."""
    response = browser.state(**{field: stated})
    assert (response.status_code, response.json["code"]) == (403, code)
    assert "Set-Cookie" not in response.headers
    assert browser.verify().status_code == 403
    assert not verifier.calls


def test_p6_withdrawing_consent_works_at_once(agreed, verifier):
    """P6. Break: ``withdraw`` that only clears the cookie."""
    token = agreed.client.get_cookie("consent-5000").value
    assert agreed.delete("/api/v1/consent").status_code == 204
    assert agreed.client.get_cookie("consent-5000") is None
    response = agreed.send("/api/v1/verify", BOTH, headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json["code"]) == (403, "consent_required")
    assert not verifier.calls
    assert agreed.delete("/api/v1/consent").status_code == 204


def test_p7_consent_is_to_the_notice_that_was_read(browser):
    """P7. Break: no look at ``notice_version`` in ``agree``, or in ``find``."""
    notice = browser.get("/api/v1/notice").json
    assert browser.state(notice_version="of last year").json["code"] == "consent_required"
    assert browser.state(notice_version=None).json["code"] == "consent_required"
    assert browser.state().json["notice_version"] == notice["version"]
    assert browser.verify().status_code == 200
    browser.services.consents.notice = dataclasses.replace(NOTICE, title="A new notice")
    assert browser.get("/api/v1/notice").json["version"] != notice["version"]
    assert browser.verify().json["code"] == "consent_required"


@pytest.mark.parametrize("topic", ["purpose", "forgotten", "withdraw", "never written to a disk", "cookies"])
def test_p7_the_notice_names_purpose_retention_and_deletion(browser, topic):
    """P7. Break: a section left out."""
    assert topic in browser.get("/api/v1/notice").json["text"].lower()
    assert topic in browser.get("/privacy").get_data(as_text=True).lower()


_watched: list[tuple[str, object]] | None = None


def _watch(event: str, arguments: tuple) -> None:
    if _watched is not None and (event == "open" or event.startswith(("socket.", "urllib."))):
        _watched.append((event, arguments[0]))


sys.addaudithook(_watch)  # cannot be taken away again; it does nothing until it is told to


@pytest.fixture
def opened(agreed) -> Iterator[list[tuple[str, object]]]:
    """Return a list of every file and socket opened from now on."""
    global _watched
    agreed.verify()  # whatever is loaded late, by us or by the test's own client, is loaded now
    agreed.services.comparer.verifier.calls.clear()
    _watched = []
    yield _watched
    _watched = None


@pytest.mark.parametrize("text", ["http://169.254.169.254/", "/etc/passwd", "file:///etc/passwd", "..\\weights.h5", ""])
def test_p11_an_address_or_a_path_is_no_photo(agreed, verifier, text, opened):
    """P11. Break: ``uploaded_photo`` reads the file that a text field names."""
    for answer in (
        agreed.send("/api/v1/verify", {"probe": b"two"}, reference=text),
        agreed.post(f"/api/v1/verify?reference={text}", json={"reference": text}),
    ):
        assert answer.status_code == 400
        assert answer.json["code"] in ("not_a_file", "bad_request")
    assert not verifier.calls
    assert opened == []


def test_p11_a_name_that_is_a_path_is_not_used(agreed, verifier, opened):
    """P11. Break: the upload is saved or read by its file name."""
    body = '--x\r\nContent-Disposition: form-data; name="%s"; filename="/etc/passwd"\r\n\r\nbytes\r\n'
    body = "".join(body % name for name in BOTH) + "--x--\r\n"
    response = agreed.post("/api/v1/verify", data=body, content_type="multipart/form-data; boundary=x")
    assert response.status_code == 200
    assert verifier.calls == [(b"bytes", b"bytes", None, None)]
    assert opened == []


def test_the_watch_over_files_sees_them(opened):
    (comparing.SAMPLES / comparing.WARM_UP_PHOTOS[0]).read_bytes()
    assert [Path(str(name)).name for _, name in opened] == ["whitson_portrait.jpg"]
