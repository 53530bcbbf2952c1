"""Consents: given to a notice, for a while, and ended at once."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime, timedelta

import pytest

from flaskapp.web import consent
from flaskapp.web.consent import NOTICE, ConsentBook


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def book(clock):
    return ConsentBook(lifetime=timedelta(hours=1), now=clock)


def test_a_consent_stands_for_its_hour(book, clock):
    token, given = book.give()
    assert book.seconds_left(given) == 3600
    clock.now += 3599
    assert book.find(token) == given
    clock.now += 1
    assert book.find(token) is None
    assert book.seconds_left(given) == 0


@pytest.mark.parametrize("days", [-400, 400])
def test_a_corrected_date_ends_no_consent_and_lengthens_none(monkeypatch, days):
    book = ConsentBook(lifetime=timedelta(hours=1))
    (token, given), before = book.give(), datetime.now(UTC)

    class Corrected(datetime):
        @classmethod
        def now(cls, tz=UTC):
            return before.astimezone(tz) + timedelta(days=days)

    monkeypatch.setattr(consent, "datetime", Corrected)
    assert book.find(token) == given
    assert 3500 < book.seconds_left(given) <= 3600
    left = book.expires_at(given) - Corrected.now()
    assert 3500 < left.total_seconds() <= 3600


def test_a_withdrawn_consent_is_gone_and_the_others_stand(book):
    (first, _), (second, _) = book.give(), book.give()
    book.withdraw(first)
    assert book.find(first) is None
    assert book.find(second)
    book.withdraw(first)
    book.withdraw("never given")


@pytest.mark.parametrize("token", ["", "x", "é", "\udcff", "0" * 100_000])
def test_no_other_text_is_a_token(book, token):
    book.give()
    assert book.find(token) is None


def test_a_changed_notice_asks_again(book):
    token, _ = book.give()
    (heading, paragraphs), *others = NOTICE.sections
    book.notice = dataclasses.replace(NOTICE, sections=((heading, (*paragraphs, "And more.")), *others))
    assert book.notice.version != NOTICE.version
    assert book.find(token) is None


def test_the_version_follows_every_word():
    texts = [NOTICE, dataclasses.replace(NOTICE, title="Another title")]
    assert len({notice.version for notice in texts}) == 2


def test_tokens_are_random_and_not_in_memory(book):
    tokens = {book.give()[0] for _ in range(100)}
    assert len(tokens) == 100
    assert min(len(token) for token in tokens) >= 43
    held = repr(vars(book))
    assert not [token for token in tokens if token in held]


def test_what_ran_out_is_forgotten(book, clock):
    for _ in range(5):
        book.give()
    clock.now += 7200
    book.give()
    assert len(book) == 1


def test_the_oldest_make_room(book, monkeypatch):
    monkeypatch.setattr(consent, "MOST_CONSENTS", 3)
    tokens = [book.give()[0] for _ in range(5)]
    assert [book.find(token) is not None for token in tokens] == [False, False, True, True, True]


def test_whoever_has_most_makes_room_for_the_others(book, monkeypatch):
    """Break: the oldest of all go, so that one network ends everybody's."""
    monkeypatch.setattr(consent, "MOST_CONSENTS", 20)
    early = [book.give(f"192.0.2.{number}")[0] for number in range(5)]
    flood = [book.give("2001:db8::/48")[0] for _ in range(100)]
    late, _ = book.give("198.51.100.1")
    assert all(book.find(token) for token in (*early, late, flood[-1]))
    assert len(book) == 20


def test_no_address_is_remembered(book):
    _, given = book.give("192.0.2.77")
    assert "192.0.2.77" not in repr(vars(book))
    assert given.origin == book.give("192.0.2.77")[1].origin
    assert len(given.origin) == 2


def test_many_at_a_time(book):
    def busy():
        for _ in range(200):
            token, _ = book.give()
            assert book.find(token)
            book.withdraw(token)

    threads = [threading.Thread(target=busy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(book) == 0


@pytest.mark.parametrize("word", ["purpose", "kept", "forgotten", "withdraw", "consent", "18 or older", "biometric"])
def test_the_notice_says_what_it_must(word):
    assert word in NOTICE.text


def test_a_notice_is_read_as_it_is_written():
    read = consent.read_notice("# Title\n\n## One\n\nTwo lines\nof it.\n\nMore.\n\n## Two\n\nWords.\n")
    assert read == consent.Notice("Title", (("One", ("Two lines of it.", "More.")), ("Two", ("Words.",))))
    assert NOTICE.text.startswith("Privacy notice\n\nWhat this is for\n\n")
