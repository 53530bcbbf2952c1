"""Cookies that count: those that this very server can have set."""

from __future__ import annotations

import pytest
from web_helpers import Browser

TLS = "https://localhost"


def status_with(browser: Browser, cookie: str, base_url: str = "http://localhost:5000") -> int:
    """Ask whether a consent stands, with one cookie alone."""
    fresh = browser.app.test_client(use_cookies=False)
    return fresh.get("/api/v1/consent", base_url=base_url, headers={"Cookie": cookie}).status_code


@pytest.mark.parametrize(
    ("name", "base_url", "expected"),
    [
        ("consent-5000", "http://localhost:5000", 200),
        ("consent-8080", "http://localhost:5000", 403),
        ("consent", "http://localhost:5000", 403),
        ("__Host-consent", "http://localhost:5000", 403),
        ("consent", "http://localhost", 200),
        ("consent", "http://[::1]", 200),
        ("consent-5000", "http://[::1]:5000", 200),
        ("__Host-consent", TLS, 200),
        ("__Host-consent", f"{TLS}:8443", 200),
        ("consent", TLS, 403),
        ("consent-8443", f"{TLS}:8443", 403),
    ],
)
def test_a_consent_counts_under_the_name_of_its_own_port_alone(browser, name, base_url, expected):
    """Over TLS under none that others could set; what another port sets is no consent, though its token stands."""
    assert status_with(browser, f"{name}={browser.agree()}", base_url) == expected


def test_what_another_program_calls_consent_hides_none(browser):
    token = browser.agree()
    assert status_with(browser, f"consent=yes; consent-5000={token}; consent-3000=no") == 200


@pytest.mark.parametrize(
    ("base_url", "names"),
    [
        ("http://localhost:5000", {"consent-5000", "csrf-5000"}),
        ("http://localhost:5001", {"consent-5001", "csrf-5001"}),
        (TLS, {"__Host-consent", "__Host-csrf"}),
    ],
)
def test_both_are_set_and_cleared_under_that_name(browser, base_url, names):
    page = browser.get("/", base_url=base_url)
    token = page.get_data(as_text=True).split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    statements = {"notice_version": browser.services.consents.notice.version, "consent": "yes", "age_confirmed": "yes"}
    agreed = browser.post("/consent", data=statements | {"csrf_token": token}, base_url=base_url)
    assert agreed.status_code == 303
    given = [answer.headers["Set-Cookie"] for answer in (page, agreed)]
    assert {cookie.partition("=")[0] for cookie in given} == names
    for cookie in given:
        assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
        assert ("Secure" in cookie.split("; ")) == base_url.startswith("https")
        assert "Domain" not in cookie
    gone = browser.post("/consent/withdraw", data={"csrf_token": token}, base_url=base_url).headers["Set-Cookie"]
    assert gone.partition("=")[0] in names
    assert "Max-Age=0" in gone
