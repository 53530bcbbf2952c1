"""What people agree to before anything looks at their photos, and who has agreed.

A consent is a random token in the memory of the one server process. It is bound to the
notice that the person saw, runs out by itself, and ends at once when it is withdrawn.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

# How many may stand at a time. Beyond that one ends early and its owner is asked again: the
# oldest of whoever has most, so that someone who asks for tokens without end ends their own.
MOST_CONSENTS = 10_000
ORIGIN_BYTES = 2  # remembered of where a consent comes from: enough to tell few from many, not who it was


@dataclass(frozen=True)
class Notice:
    """The privacy notice: its title, and heading and paragraphs of each section."""

    title: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def text(self) -> str:
        """The whole notice as plain text."""
        parts = (part for heading, paragraphs in self.sections for part in (heading, *paragraphs))
        return "\n\n".join((self.title, *parts))

    @cached_property
    def version(self) -> str:
        """First twelve digits of the text's hash: no change of the text can keep the old version."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def read_notice(text: str) -> Notice:
    """Return a notice from text: ``# title``, then ``## heading`` and paragraphs with empty lines between them."""
    title, *sections = text.removeprefix("# ").split("\n## ")
    parts = [[" ".join(part.split()) for part in section.split("\n\n")] for section in sections]
    return Notice(title.strip(), tuple((heading, tuple(paragraphs)) for heading, *paragraphs in parts))


NOTICE = read_notice((Path(__file__).parent.parent / "templates" / "notice.txt").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Consent:
    """One person's consent."""

    notice_version: str  # of the notice that the person saw
    ends: float  # when it ends by itself, by the clock of its book
    key: str  # tells consents apart, without being the token
    origin: bytes = b""  # tells where they come from apart, roughly; no address can be read from it


def seconds_up() -> float:
    """Return seconds by a clock that nobody sets: an hour stays an hour when the date is corrected.

    It goes on while the machine sleeps: on Linux that is another clock than Python's monotonic one,
    on macOS another than the one that Python takes for it.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class ConsentBook:
    """The consents that stand; safe to share between threads.

    It holds hashes of tokens, so that nobody who reads this memory could use one. ``now`` is its clock, in seconds.
    """

    def __init__(self, lifetime: timedelta, now: Callable[[], float] = seconds_up) -> None:
        self.notice, self.lifetime, self.now = NOTICE, lifetime, now
        self._consents: dict[str, Consent] = {}  # in the order in which they were given
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._consents)

    def give(self, network: str = "") -> tuple[str, Consent]:
        """Record a consent to the notice in force, and where it comes from; return its token with it."""
        token = secrets.token_urlsafe(32)
        ends = self.now() + self.lifetime.total_seconds()
        origin = hmac.digest(self._secret, network.encode(), "sha256")[:ORIGIN_BYTES]
        consent = Consent(self.notice.version, ends, _key_of(token), origin)
        with self._lock:
            self._drop_old()
            self._consents[consent.key] = consent
        return token, consent

    def find(self, token: str) -> Consent | None:
        """Return the consent that a token stands for, if it still stands and for this notice."""
        return self._standing(_key_of(token))

    def withdraw(self, token: str) -> str:
        """End a consent at once and return its key; a token that stands for none, or no longer, is no error."""
        key = _key_of(token)
        with self._lock:
            self._consents.pop(key, None)
        return key

    @contextmanager
    def held(self, key: str) -> Iterator[Consent | None]:
        """Keep a consent from being withdrawn while what it allows begins; None if it stands no longer."""
        with self._lock:
            yield self._standing(key)

    def seconds_left(self, consent: Consent) -> float:
        """Return how long a consent stands, if it is not withdrawn."""
        return max(consent.ends - self.now(), 0.0)

    def expires_at(self, consent: Consent) -> datetime:
        """Return when a consent ends by itself, UTC, by what the clock on the wall shows now."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds_left(consent))

    def _standing(self, key: str) -> Consent | None:
        consent = self._consents.get(key)
        if consent is None or consent.ends <= self.now():
            return None
        return consent if consent.notice_version == self.notice.version else None

    def _drop_old(self) -> None:
        """Forget what has run out, which lies in front; of too many that stand, the oldest of whoever has most."""
        now = self.now()
        for key, consent in list(self._consents.items()):
            if consent.ends > now:
                break
            del self._consents[key]
        if len(self._consents) >= MOST_CONSENTS:
            ((most, _),) = Counter(consent.origin for consent in self._consents.values()).most_common(1)
            del self._consents[next(key for key, consent in self._consents.items() if consent.origin == most)]


def _key_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
