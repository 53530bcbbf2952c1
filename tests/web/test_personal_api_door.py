"""Who sits at the computer: nobody whose request came through a proxy, whatever that says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from web_helpers import Browser, FakeVerifier
from web_sockets import answer_of as socket_answer
from web_sockets import head, served

from flaskapp.app import create_app

URL = "/api/v1/own-face"
OPEN, CLOSED = (200, None), (403, "own_face_closed")

HEADERS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Original-Forwarded-For",
    "Via",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Ray",
    "CDN-Loop",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "X-Azure-SocketIP",
    "X-Amzn-Trace-Id",
    "X-Envoy-External-Address",
    "X-ProxyUser-Ip",
    "Proxy-Connection",
)
BROWSERS = {
    "User-Agent": "Mozilla/5.0",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB",
    "Connection": "keep-alive",
    "DNT": "1",
    "Priority": "u=4",
    "Referer": "http://localhost:5000/own-face",
    "Sec-CH-UA-Platform": "Linux",
    "Sec-Fetch-Site": "same-origin",
    "Upgrade-Insecure-Requests": "1",
    "Cache-Control": "max-age=0",
}


def answer_of(browser: Browser, **request) -> tuple[int, str | None]:
    response = browser.get(URL, **request)
    return response.status_code, response.json.get("code")


@pytest.fixture
def here(open_browser, monkeypatch, tmp_path) -> Callable[..., Browser]:
    """Return what opens a browser at the computer itself."""
    monkeypatch.chdir(tmp_path)

    def open_one(**settings) -> Browser:
        browser = open_browser(**settings)
        browser.agree()
        return browser

    return open_one


@pytest.mark.parametrize("value", ["203.0.113.9", "127.0.0.1", ""])
def test_any_word_of_a_proxy_closes_it(here, value):
    browser = here()
    assert [name for name in HEADERS if answer_of(browser, headers={name: value}) != CLOSED] == []


def test_what_browsers_say_of_themselves_does_not(here):
    assert answer_of(here(), headers=BROWSERS) == OPEN


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", OPEN),
        ("localhost:80", OPEN),
        ("127.0.0.1:5000", OPEN),
        ("[::1]:5000", OPEN),
        ("faces.example.org", CLOSED),
        ("192.0.2.1:5000", CLOSED),
    ],
)
def test_it_opens_to_a_name_of_this_computer_alone(here, host, expected):
    browser = here(FR_ALLOWED_HOSTS="localhost,127.0.0.1,[::1],faces.example.org,192.0.2.1")
    token = browser.agree()
    assert answer_of(browser, base_url=f"http://{host}", headers={"Authorization": f"Bearer {token}"}) == expected


def test_what_only_proxies_speak_closes_it(here):
    assert answer_of(here(), environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"}) == CLOSED


def asked_over_a_socket(proxy: str, *asked: dict[str, str]) -> list[tuple[int, str | None]]:
    """Return what a server that knows of a proxy answers to requests with such headers."""
    answers = []
    with served(create_app({"FR_TRUSTED_PROXY": proxy}, FakeVerifier())) as here:
        for headers in asked:
            with here.connect() as connection:
                connection.sendall(head(URL, here.agree(), "GET", **headers))
                answer = socket_answer(connection)
                answers.append((answer.status, json.loads(answer.body).get("code")))
    return answers


@pytest.mark.parametrize(
    "headers",
    [{}, {"X_Forwarded_For": ""}, {"X_Forwarded_For": "127.0.0.1"}, {"X_Forwarded_For": "203.0.113.9, 127.0.0.1"}],
    ids=["silent", "empty", "from here", "from here by another"],
)
def test_through_the_known_proxy_nobody_sits_at_the_computer(here, headers):
    """By its address alone it is this machine, as whoever sits there is."""
    assert asked_over_a_socket("127.0.0.1", headers) == [CLOSED]


def test_a_proxy_elsewhere_keeps_nobody_here_from_it(here):
    assert asked_over_a_socket("192.0.2.1", {}, {"X_Forwarded_For": "203.0.113.9"}) == [OPEN, CLOSED]
