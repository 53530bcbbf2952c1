"""Rate limits by a clock that nobody sets."""

from __future__ import annotations

import time

import pytest
from web_helpers import Browser

from flaskapp.web.consent import seconds_up
from flaskapp.web.limits import MINUTE, Counter

HOUR = 3600


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(open_browser) -> Browser:
    browser = open_browser(FR_RATE_LIMIT=2)
    browser.agree()
    return browser


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_a_corrected_date_lets_nobody_in_and_shuts_nobody_out(limited, monkeypatch, seconds):
    real = time.time
    assert limited.verify().status_code == 200
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    assert [limited.verify().status_code for _ in range(2)] == [200, 429]
    assert 1 <= int(limited.verify().headers["Retry-After"]) <= 60
    limited.services.counter.now = lambda: seconds_up() + 61
    assert [limited.verify().status_code for _ in range(3)] == [200, 200, 429]


def test_the_window_moves_with_each_request(clock):
    counter = Counter(clock)
    waits = []
    for moment in (0, 20, 30, 59, 60, 79, 80):
        clock.now = 1000 + moment
        waits.append(counter.seconds_to_wait(("anna",), 2))
    assert waits == [0, 0, 30, 1, 0, 1, 0]
    assert counter.seconds_to_wait(("ben",), 2) == 0


def test_of_live_pictures_only_hashes_are_remembered_and_they_go_with_the_consent(limited):
    counter = limited.services.counter
    assert limited.send("/api/v1/live", {"reference": b"reference", "frame": b"frame"}).status_code == 200
    assert sum("still" in key for key in counter.moments) == 2
    assert "reference" not in str(counter.moments)
    limited.delete("/api/v1/consent")
    assert {kind for kind, *_ in counter.moments} == {"consent"}


def test_where_consents_come_from_is_counted_without_their_address(limited):
    (kind, place), *more = limited.services.counter.moments
    assert (kind, more) == ("consent", [])
    assert "127.0.0.1" not in place


def test_whoever_does_not_come_again_is_forgotten(clock):
    counter = Counter(clock)
    for number in range(100):
        counter.seconds_to_wait((f"caller {number}",), 2)
    clock.now += MINUTE
    assert not counter.knows(("caller 1",))
    counter.seconds_to_wait(("anna",), 2)
    assert list(counter.moments) == [("anna",)]
