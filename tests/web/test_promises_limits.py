"""Promises about limits: of sizes, formats, rates and memory.

Each docstring names the deliberate break that was seen to make its test fail.
"""

from __future__ import annotations

import io
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from web_helpers import Browser, picture, side_by_side
from web_process import Server, copy_program, needs_proc, resident_bytes

from flaskapp.web.process_memory import ARENA_SECONDS

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MEGABYTE = 1024 * 1024
BOTH = {"reference": b"one", "probe": b"two"}


@pytest.mark.slow
@needs_proc
def test_p3_memory_is_given_back(tmp_path, hopper, collins):
    """P3. Break: a verifier that remembers its photos."""
    answered = [((hopper + bytes(size * MEGABYTE), collins), {}, 200) for size in range(4)]
    nobody, both = picture((600, 400)), side_by_side(hopper, collins)
    refused = [
        ((hopper, nobody), {}, 422),
        ((both, collins), {}, 422),
        ((hopper, collins), {"probe_face": "7"}, 422),
        ((hopper, collins[:20_000]), {}, 422),
    ]
    ways = answered + refused
    with Server(copy_program(tmp_path), tmp_path) as server, ThreadPoolExecutor(4) as people:

        def compare(number: int) -> bool:
            (reference, probe), fields, status = ways[number % len(ways)]
            return server.send("/api/v1/verify", {"reference": reference, "probe": probe}, **fields).status == status

        def at_rest() -> int:
            """Return what is resident when what the networks worked in has been given back."""
            time.sleep(3 * ARENA_SECONDS)
            return resident_bytes(server.process.pid)

        server.agree()
        assert all(people.map(compare, range(48)))
        warm = at_rest()
        assert all(people.map(compare, range(64)))
        grown = at_rest()
        print(f"resident after warm-up {warm / MEGABYTE:.1f} MB, after 64 more requests {grown / MEGABYTE:.1f} MB")
    assert grown < 1.05 * warm


def most_memory_bytes() -> int:
    """Return how much memory this process has ever occupied at a time; 0 where that is not told."""
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class TestP8SizeLimits:
    """P8. Breaks: no ``MAX_CONTENT_LENGTH``; a ``PhotoBuffer`` that takes everything."""

    def refusal(self, response) -> tuple[int, str, str | None]:
        return response.status_code, response.json["code"], response.json["photo"]

    @pytest.mark.parametrize("field", ["reference", "probe"])
    def test_one_photo(self, agreed, verifier, field):
        photos = BOTH | {field: bytes(12 * MEGABYTE + 1)}
        assert self.refusal(agreed.send("/api/v1/verify", photos)) == (413, "too_large", field)
        assert not verifier.calls
        assert agreed.send("/api/v1/verify", BOTH | {field: bytes(12 * MEGABYTE)}).status_code == 200

    def test_the_whole_body(self, agreed, verifier):
        photos = {name: bytes(9 * MEGABYTE) for name in ("reference", "probe", "another")}
        assert self.refusal(agreed.send("/api/v1/verify", photos)) == (413, "too_large", None)
        assert not verifier.calls

    def test_a_text_field(self, agreed, verifier):
        assert self.refusal(agreed.verify(reference_face="0" * MEGABYTE)) == (413, "too_large", None)
        assert not verifier.calls

    def test_the_number_of_parts(self, agreed, verifier):
        fields = {f"field{number}": "x" for number in range(100)}
        assert self.refusal(agreed.verify(**fields)) == (413, "too_large", None)
        assert not verifier.calls

    def test_the_form(self, agreed):
        photos = BOTH | {"probe": bytes(13 * MEGABYTE)}
        response = agreed.send("/compare", photos, csrf_token=agreed.form_token())
        assert response.status_code == 413
        assert "12 MB" in response.get_data(as_text=True)

    def test_what_is_too_much_is_not_even_held(self, agreed, monkeypatch):
        sizes = []
        close = io.BytesIO.close
        buffer = sys.modules["flaskapp.web.uploads"].PhotoBuffer
        monkeypatch.setattr(
            buffer, "close", lambda self: sizes.append(len(self.getvalue())) or close(self), raising=False
        )
        agreed.send("/api/v1/verify", {"reference": bytes(20 * MEGABYTE)})
        assert sizes
        assert max(sizes) <= 12 * MEGABYTE


def png(width: int, height: int, rows: int) -> bytes:
    """Return a PNG that says it has so many pixels and holds so many rows of black ones."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BOMBS = ("a header alone", "a zip bomb", "a little too large")


class TestP9PixelBombs:
    """P9. Break: no look at the size before ``load`` in ``decode_photo``."""

    # The last is small enough for Pillow's own guard to let it pass.
    @pytest.mark.parametrize(
        "bomb", [png(50_000, 50_000, 0), png(20_000, 20_000, 20_000), png(8_000, 8_000, 8_000)], ids=BOMBS
    )
    def test_are_refused_before_they_grow(self, working, bomb, collins):
        working.verify(collins, collins)  # whatever is loaded late is loaded now
        before = most_memory_bytes()
        response = working.verify(bomb, collins)
        assert (response.status_code, response.json["code"], response.json["photo"]) == (413, "too_large", "reference")
        assert most_memory_bytes() - before < 50 * MEGABYTE

    def test_animations_are_refused(self, working, collins):
        frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "blue")]
        buffer = io.BytesIO()
        frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
        response = working.verify(collins, buffer.getvalue())
        assert (response.status_code, response.json["code"], response.json["photo"]) == (415, "animated_photo", "probe")

    def test_the_multi_picture_jpegs_of_phones_pass(self, working, hopper, collins):
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(hopper)) as first, Image.open(io.BytesIO(collins)) as second:
            first.save(buffer, "MPO", save_all=True, append_images=[second])
        assert working.verify(buffer.getvalue(), collins).status_code == 200


class TestP10Formats:
    """P10. Break: Pillow chooses among all formats that it knows."""

    @pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "TGA", "PPM", "AVIF"])
    def test_others_are_refused_under_any_name(self, working, collins, kind):
        photos = {"reference": picture((120, 120), kind), "probe": collins}
        for name in ("photo.jpg", "photo.png"):
            response = working.send("/api/v1/verify", photos, file_name=name)
            assert (response.status_code, response.json["photo"]) == (415, "reference")

    @pytest.mark.parametrize(
        "data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"SIMPLE  =  T", b"%PDF-1.7", b"PK\3\4"]
    )
    def test_what_is_no_photo_is_refused(self, working, collins, data):
        assert working.verify(collins, data).json["code"] == "unsupported_format"

    @pytest.mark.parametrize(("kind", "name"), [("JPEG", "photo.gif"), ("PNG", "photo.exe"), ("WEBP", "photo")])
    def test_the_content_decides_and_not_the_name(self, working, hopper, collins, kind, name):
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(hopper)) as image:
            image.save(buffer, kind, quality=90)
        photos = {"reference": buffer.getvalue(), "probe": collins}
        assert working.send("/api/v1/verify", photos, file_name=name).status_code == 200


class TestP15RateLimits:
    """P15. Break: counted by address in place of consent; no limit on ``/compare``."""

    def test_a_burst_has_to_wait_and_others_do_not(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=3)
        browser.agree()
        answers = [browser.verify() for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        refused = answers[-1]
        assert (refused.content_type, refused.json["code"]) == ("application/problem+json", "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        other = Browser(browser.app)
        other.agree()
        assert other.verify().status_code == 200

    def test_page_and_api_count_together(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=1)
        browser.agree()
        assert browser.verify().status_code == 200
        response = browser.send("/compare", BOTH, csrf_token=browser.form_token())
        assert (response.status_code, response.content_type) == (429, "text/html; charset=utf-8")
        assert response.headers["Retry-After"]

    def test_camera_frames_count_apart(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=2, FR_LIVE_RATE_LIMIT=3)
        browser.agree()
        sent = [{"reference": b"one", "frame": b"%d" % number} for number in range(4)]
        assert [browser.send("/api/v1/live", photos).status_code for photos in sent] == [200, 200, 200, 429]
        # The reference was one of the comparisons.
        assert [browser.verify().status_code for _ in range(2)] == [200, 429]

    def test_detection_allows_two_photos_a_comparison(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=1)
        browser.agree()
        photo = {"photo": picture()}
        assert [browser.send("/api/v1/detect", photo).status_code for _ in range(3)] == [200, 200, 429]

    def test_new_consents_are_no_way_around(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=2)
        assert [browser.state().status_code for _ in range(3)] == [201, 201, 429]

    def test_without_consent_nothing_is_counted(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=1)
        assert [browser.verify().status_code for _ in range(3)] == [403] * 3
        browser.agree()
        assert browser.verify().status_code == 200

    def test_zero_means_none(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=0)
        browser.agree()
        assert {browser.verify().status_code for _ in range(70)} == {200}

    @pytest.mark.parametrize(
        ("addresses", "expected"),
        [
            (["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"], [201, 201, 429]),
            (["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], [201, 201, 201]),
            (["192.0.2.1", "192.0.2.2", "192.0.2.3"], [201, 201, 201]),
            (["192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.1"], [201, 201, 429]),
            (["fe80::1%eth0", "fe80::2%eth0", "fe80::3"], [201, 201, 429]),
        ],
    )
    def test_whoever_has_many_addresses_is_counted_once(self, open_browser, addresses, expected):
        browser = open_browser(FR_RATE_LIMIT=2)
        version = browser.services.consents.notice.version
        stated = {"notice_version": version, "consent": True, "age_confirmed": True}
        answers = [
            browser.post("/api/v1/consent", json=stated, environ_base={"REMOTE_ADDR": address}).status_code
            for address in addresses
        ]
        assert answers == expected

    def test_camera_frames_are_no_way_to_compare_ever_other_people(self, open_browser, verifier):
        browser = open_browser(FR_RATE_LIMIT=2)
        browser.agree()

        def live(reference: bytes, frame: bytes) -> int:
            return browser.send("/api/v1/live", {"reference": reference, "frame": frame}).status_code

        assert {live(b"reference", b"%d" % number) for number in range(20)} == {200}
        others = (b"second", b"third", b"third", b"fourth", b"second")
        assert [live(other, b"x%d" % number) for number, other in enumerate(others)] == [200, 429, 429, 429, 200]
        refused = browser.send("/api/v1/live", {"reference": b"one more", "frame": b"frame"})
        assert refused.json["code"] == "rate_limited"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert len(verifier.calls) == 22

    def test_a_frame_that_stands_still_is_no_way_to_compare_more_often(self, open_browser, verifier):
        browser = open_browser(FR_RATE_LIMIT=3)
        browser.agree()

        def live(frame: bytes) -> int:
            return browser.send("/api/v1/live", {"reference": b"reference", "frame": frame}).status_code

        assert [live(frame) for frame in (b"1", b"2", b"1", b"1", b"2", b"1")] == [200, 200, 200, 200, 429, 429]
        assert live(b"3") == 200
        assert browser.verify().status_code == 429
        assert len(verifier.calls) == 5
