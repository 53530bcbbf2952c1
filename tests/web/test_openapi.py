"""The API's description: valid, complete, and true of real answers."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from described import check, operations
from openapi_spec_validator import validate
from web_helpers import FAIR, POOR, WEIGHTS, FakeVerifier, face_at

from flaskapp.errors import BusyError, NoFaceError, SeveralFacesError
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.quality import GRADES
from flaskapp.web.openapi import describe, every_problem
from flaskapp.words import REASONS

BOTH = {"reference": b"one", "probe": b"two"}


def test_it_is_valid():
    validate(describe())


def test_it_is_served(browser):
    assert browser.get("/api/openapi.json").json == describe()


def test_it_describes_every_route_and_no_other(browser):
    described = {(path, method.upper()) for path, method in operations()}
    shown_to_people = {"/api/docs", "/api/openapi.json"}
    real = {
        (str(rule), method)
        for rule in browser.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("api.") and str(rule) not in shown_to_people
    }
    assert described == real


def test_it_names_every_code_with_its_status_and_title():
    told = {(kind.code, kind.http_status, kind.title) for kind in every_problem()}
    named = {
        (code, int(status), title)
        for methods in describe()["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if "application/problem+json" in answer.get("content", {})
        for code, title in (part.strip("`").split("`: ", 1) for part in re.split("; (?=`)", answer["description"]))
    }
    assert named <= told
    # Those of forms and of addresses that it does not describe are in no answer that it does.
    assert {code for code, *_ in told - named} == {"form_expired", "method_not_allowed", "not_found"}
    codes = describe()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert sorted(codes) == sorted(code for code, *_ in told)


def test_what_waits_says_how_long():
    for path, method in operations():
        for status, answer in describe()["paths"][path][method]["responses"].items():
            assert ("Retry-After" in answer.get("headers", {})) == (status in ("429", "503")), (path, method, status)


def test_the_answers_are_as_described(agreed, hopper):
    check(agreed.get("/api/v1/notice"), "/api/v1/notice", "get")
    check(agreed.get("/api/v1/consent"), "/api/v1/consent", "get")
    check(agreed.state(), "/api/v1/consent", "post")
    check(agreed.verify(), "/api/v1/verify", "post")
    check(agreed.send("/api/v1/detect", {"photo": hopper}), "/api/v1/detect", "post")
    check(agreed.send("/api/v1/live", {"reference": b"1", "frame": b"2"}), "/api/v1/live", "post")
    check(agreed.get("/healthz"), "/healthz", "get")
    check(agreed.delete("/api/v1/consent"), "/api/v1/consent", "delete")


def test_answers_on_several_references_are_as_described(agreed, verifier):
    verifier.odd = (2, 3)
    answer = agreed.verify([b"one", b"2nd", b"3rd"])
    check(answer, "/api/v1/verify", "post")
    assert answer.json["references"]["odd"] == [2, 3]
    assert answer.json["error_counts"]["references"] is None or answer.json["error_counts"]["references"] >= 1


def test_qualities_are_as_described(agreed, verifier):
    quality = describe()["components"]["schemas"]["Quality"]["properties"]
    assert quality["grade"]["enum"] == list(GRADES)
    assert quality["reasons"]["items"]["enum"] == list(REASONS)
    verifier.qualities = {b"one": FAIR, b"two": POOR}
    check(agreed.verify(b"one", b"two"), "/api/v1/verify", "post")
    check(agreed.send("/api/v1/live", {"reference": b"one", "frame": b"two"}), "/api/v1/live", "post")


def test_counts_of_pairs_graded_alike_are_as_described(agreed, monkeypatch):
    intervals = {verdict: {"impostor": [0.0, 0.1], "genuine": [0.4, 0.6]} for verdict in DECISIONS}
    counts = WEIGHTS.error_counts | {"intervals": intervals}
    monkeypatch.setattr(FakeVerifier, "weights", replace(WEIGHTS, counts_by_grades={"good and good": counts}))
    answer = agreed.verify()
    check(answer, "/api/v1/verify", "post")
    assert answer.json["error_counts"]["grades"] == ["good", "good"]
    assert answer.json["error_counts"]["intervals"]["genuine"] == [0.4, 0.6]


def test_answers_out_of_scope_are_as_described(agreed, verifier):
    verifier.knows = False
    check(agreed.verify(), "/api/v1/verify", "post")
    check(agreed.send("/api/v1/live", {"reference": b"1", "frame": b"2"}), "/api/v1/live", "post")


def test_an_empty_frame_is_as_described(agreed, verifier):
    verifier.raises = NoFaceError("No face.", photo="probe")
    check(agreed.send("/api/v1/live", {"reference": b"1", "frame": b"2"}), "/api/v1/live", "post")


@pytest.mark.parametrize(
    "error",
    [NoFaceError("x", photo="probe"), SeveralFacesError("x", faces=(face_at(0),), photo="probe"), BusyError("x")],
    ids=lambda error: error.code,
)
def test_errors_of_a_comparison_are_as_described(agreed, verifier, error):
    verifier.raises = error
    check(agreed.verify(), "/api/v1/verify", "post")


def test_errors_of_requests_are_as_described(browser, open_browser):
    browser.services.comparer.warm.clear()
    check(browser.get("/healthz"), "/healthz", "get")
    check(browser.get("/api/v1/consent"), "/api/v1/consent", "get")
    check(browser.get("/api/v1/consent", base_url="http://evil.example"), "/api/v1/consent", "get")
    check(browser.verify(), "/api/v1/verify", "post")
    check(browser.state(age_confirmed=False), "/api/v1/consent", "post")
    check(browser.state(consent="true"), "/api/v1/consent", "post")
    check(browser.post("/api/v1/consent", data="no"), "/api/v1/consent", "post")
    browser.agree()
    check(browser.send("/api/v1/verify", {}, reference="text"), "/api/v1/verify", "post")
    check(browser.send("/api/v1/detect", {"photo": b"GIF89a"}), "/api/v1/detect", "post")
    check(browser.send("/api/v1/detect", {"photo": b""}), "/api/v1/detect", "post")
    check(browser.post("/api/v1/verify", headers={"Origin": "http://evil.example"}), "/api/v1/verify", "post")
    limited = open_browser(FR_RATE_LIMIT=1)
    limited.agree()
    limited.verify()
    check(limited.verify(), "/api/v1/verify", "post")


def test_the_readable_page_shows_every_route_and_code(browser):
    response = browser.get("/api/docs")
    text = response.get_data(as_text=True)
    assert response.status_code == 200
    assert all(path in text for path, _ in operations())
    assert all(f'id="problem-{kind.code}"' in text for kind in every_problem())
    assert not re.search(r'(src|href)="(https?:)?//', text), "everything comes from this server"
