"""Rate limits by a clock that nobody sets."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from web_helpers import Browser

from flaskapp.web import limits
from flaskapp.web.consent import seconds_up
from flaskapp.web.limits import Moments

HOUR = 3600


@pytest.fixture
def limited(open_browser) -> Browser:
    browser = open_browser(FR_RATE_LIMIT=2)
    browser.agree()
    return browser


@pytest.fixture
def later(monkeypatch) -> Callable[[float], None]:
    """Return what lets time pass."""

    def pass_by(seconds: float) -> None:
        monkeypatch.setattr(limits, "seconds_up", lambda: seconds_up() + seconds)

    return pass_by


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_a_corrected_date_lets_nobody_in_and_shuts_nobody_out(limited, later, monkeypatch, seconds):
    real = time.time
    assert limited.verify().status_code == 200
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    assert [limited.verify().status_code for _ in range(2)] == [200, 429]
    assert 1 <= int(limited.verify().headers["Retry-After"]) <= 60
    later(61)
    assert [limited.verify().status_code for _ in range(3)] == [200, 200, 429]


def test_the_window_moves_with_each_request(later):
    kept = Moments()
    assert [kept.acquire_entry("anna", 2, 60) for _ in range(2)] == [True, True]
    later(30)
    assert not kept.acquire_entry("anna", 2, 60)
    assert kept.acquire_entry("ben", 2, 60)
    later(61)
    assert [kept.acquire_entry(who, 2, 60) for who in ("anna", "ben", "ben")] == [True, True, False]
    assert kept.get_moving_window("ben", 2, 60)[1] == 2


def test_of_live_pictures_only_hashes_are_remembered_and_they_go_with_the_consent(limited):
    kept = limits.limiter.storage
    assert limited.send("/api/v1/live", {"reference": b"reference", "frame": b"frame"}).status_code == 200
    assert sum("still" in key for key in kept.moments) == 2
    limited.delete("/api/v1/consent")
    assert not [key for key in kept.moments if "still" in key]


def test_whoever_does_not_come_again_is_forgotten(later):
    kept = Moments()
    for number in range(100):
        kept.acquire_entry(f"caller {number}", 2, 60)
    later(61)
    kept.acquire_entry("anna", 2, 60)
    assert len(kept.moments) == 1
    assert kept.reset() == 1
