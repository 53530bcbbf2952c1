"""What no browser and no client of ours sends is refused, and is no fault of the program."""

from __future__ import annotations

import logging

import pytest
from web_helpers import HOSTED, Browser, FakeVerifier

from flaskapp.app import create_app
from flaskapp.web.guards import HEADERS

STATIC = "/static/samples/whitson_portrait.jpg"
ENDLESS = '[{"turn": 1%s, "closeness": 0.1, "brightness": 9, "sharpness": 0.1}]' % ("0" * 400)


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "\x01"])
def test_an_origin_that_is_none_is_another_site(agreed, origin):
    answer = agreed.post("/api/v1/verify", headers={"Origin": origin})
    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")


def test_a_number_of_four_hundred_digits_is_a_bad_request(agreed, hopper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = agreed.send("/api/v1/own-face/photo", {"photo": hopper}, looks=ENDLESS)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_people_without_scripts_are_told_how_long_to_wait(open_browser):
    browser = open_browser(FR_RATE_LIMIT=1)
    token = browser.form_token()
    answers = [browser.post("/consent", data={"csrf_token": token}) for _ in range(2)]
    assert answers[1].status_code == 429
    assert f"Try again in {answers[1].headers['Retry-After']} second" in answers[1].get_data(as_text=True)


@pytest.mark.parametrize("body", ["[" * 990, '{"a":' * 800, '{"consent": ' + "[" * 2000])
def test_json_that_is_too_deep_is_a_bad_request(agreed, body, caplog, tmp_path):
    agreed.services.personal_model.place = tmp_path / "my_model"
    for method, path in (("POST", "/api/v1/consent"), ("PUT", "/api/v1/own-face/use")):
        answer = agreed.client.open(path, method=method, data=body, content_type="application/json", **HOSTED)
        assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert "unforeseen" not in caplog.text


@pytest.mark.parametrize(
    "asked", ["bytes=0-0,5-6", "bytes=abc", "bytes=999999999-", "items=0-1", "bytes=²-³", "bytes=0-4"]
)
def test_whatever_part_of_a_static_file_is_asked_for_it_is_answered_whole(browser, asked):
    answer = browser.get(STATIC, headers={"Range": asked})
    assert (answer.status_code, answer.data) == (200, browser.get(STATIC).data)
    assert not {"Accept-Ranges", "Content-Range"} & set(answer.headers.keys())


@pytest.mark.parametrize(
    "header", ["If-Modified-Since", "If-Unmodified-Since", "If-Range", "If-Match", "If-None-Match"]
)
def test_conditions_that_are_none_are_no_error(browser, header):
    for value in ("Mon, 01 Jan 9999999999999999999 00:00:00 GMT", "Mon, 99 Foo 0 99:99:99 GMT", "W/", '"'):
        assert browser.get(STATIC, headers={header: value, "Range": "bytes=0-5"}).status_code == 200, value


def test_a_static_file_that_a_browser_has_is_not_sent_again(browser):
    tag = browser.get(STATIC).headers["ETag"]
    assert browser.get(STATIC, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(("path", "method", "status"), [("/static/none.js", "GET", 404), (STATIC, "POST", 405)])
def test_errors_about_static_files_stay_in_no_cache(browser, path, method, status):
    answer = browser.client.open(path, method=method, **HOSTED)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store")


@pytest.mark.parametrize("fields", [{"reference": "QUJD" * 100_000}, {f"field{number}": "x" for number in range(100)}])
def test_a_photo_in_a_text_field_is_asked_for_as_a_file(agreed, hopper, fields):
    answer = agreed.send("/api/v1/verify", {"probe": hopper}, **fields)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "curl -F" in answer.json["hint"]
    assert "smaller" not in answer.json["hint"]


def test_flasks_debug_mode_of_the_environment_changes_no_answer(monkeypatch, caplog):
    """Break: errors that are let through to whatever serves the app, which tells what they say."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    verifier = FakeVerifier()
    verifier.raises = RuntimeError("secret-4711")
    browser = Browser(create_app({}, verifier))
    browser.agree()
    with caplog.at_level(logging.DEBUG):
        answer = browser.verify()
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert all(answer.headers[name] == value for name, value in HEADERS.items())
    assert "secret-4711" not in answer.get_data(as_text=True) + caplog.text


def test_an_error_that_breaks_the_page_which_tells_of_it_is_told_all_the_same(agreed):
    """Break: the second error left to whatever serves the app."""
    token = agreed.form_token()
    agreed.services.comparer.verifier = None
    answer = agreed.send("/compare", {"reference": b"one", "probe": b"two"}, csrf_token=token)
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert all(answer.headers[name] == value for name, value in HEADERS.items())
