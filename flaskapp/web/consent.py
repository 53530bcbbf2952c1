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

__all__ = ["NOTICE", "Consent", "ConsentBook", "Notice"]

MOST_CONSENTS = 10_000
"""How many may stand at a time. Beyond that one ends early and its owner is asked again: the
oldest of whoever has most, so that someone who asks for tokens without end ends their own."""

ORIGIN_BYTES = 2
"""Of what is remembered of where a consent comes from: enough to tell few from many, not who it was."""

TOKEN_BYTES = 32


@dataclass(frozen=True)
class Notice:
    """The privacy notice.

    Attributes:
        title: its heading.
        sections: heading and paragraphs of each section.
    """

    title: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]

    @cached_property
    def version(self) -> str:
        """First twelve digits of the text's hash: no change of the text can keep the old version."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @cached_property
    def text(self) -> str:
        """The whole notice as plain text."""
        parts = ["\n\n".join((heading, *paragraphs)) for heading, paragraphs in self.sections]
        return "\n\n".join((self.title, *parts))


NOTICE = Notice(
    "Privacy notice",
    (
        (
            "What this is for",
            (
                "You give two photos, or a photo and your camera's picture. This program finds the faces in them, "
                "turns each into numbers, compares the numbers and tells you whether the photos seem to show the "
                "same person. That is the only purpose, unless you ask for another: on the page for your own face you "
                "can have a model trained that tells you from others. The numbers of a face are biometric data.",
                "Please use photos of yourself, or of people who agreed to it.",
            ),
        ),
        (
            "What is processed, and where",
            (
                "The photos that you choose, the faces found in them, and the numbers made of the faces. All of it "
                "happens in the memory of the server that you are talking to. If you started the program yourself, "
                "that server is your own computer, and you are the one who runs it.",
                "Nothing is sent to anybody else: the page loads nothing from other sites and the server opens no "
                "connection of its own. No photo is used for training unless you press Train yourself.",
            ),
        ),
        (
            "How long it is kept",
            (
                "Photos, cut-out faces and numbers are forgotten as soon as the answer is sent. They are never "
                "written to a disk, a log or a database. There is no gallery of known people. While your camera is "
                "compared, a number made of each picture is remembered for a minute, to tell a camera from one photo "
                "sent again and again; no picture can be made of it.",
                "If you train a model on your own face, the faces cut out of your photos stay in memory until it is "
                "done. What is kept then, on the disk of the computer that runs this server, is the model, numbers "
                "of the photos it was trained on, and a report without pictures; with the model in use, the server "
                "compares with it. All of it goes when you press Forget me on that page.",
                "Your consent itself is remembered in memory, as a random token without your name, for at most as "
                "long as the page says, and never longer than the server runs. The log holds the kind of request, "
                "its outcome and how long it took.",
            ),
        ),
        (
            "Cookies",
            (
                "Two, both needed for the page to work and gone soon: the one named after "
                '"consent" holds the random token, the one named after "csrf" protects the forms against other sites. '
                "Neither is used to follow you.",
            ),
        ),
        (
            "What you decide",
            (
                "Processing rests on your explicit consent (in the European Union: Articles 6(1)(a) and 9(2)(a) of "
                "the General Data Protection Regulation) and on your statement that you are 18 or older. Both are "
                "voluntary; without them no photo is looked at.",
                "You can withdraw your consent at any time with one click, or with DELETE /api/v1/consent. It then "
                "ends at once, and so does a training under way. As nothing is stored, nothing is left to be deleted, "
                "handed out or corrected, but for a model that you had trained: Forget me removes it and lists what "
                "was removed. Photos that your browser still shows go when you start over or close the page.",
                "Questions and complaints go to whoever runs this server, or to your data protection authority.",
            ),
        ),
        (
            "What the answer is worth",
            (
                "The answer is an estimate with error rates that are shown beside it, and it does not check that a "
                "living person was in front of the camera: a photo of a photo would pass. Decide nothing that "
                "matters for a person by this answer alone.",
            ),
        ),
    ),
)


@dataclass(frozen=True)
class Consent:
    """One person's consent.

    Attributes:
        notice_version: of the notice that the person saw.
        ends: when it ends by itself, by the clock of its book.
        key: tells consents apart, without being the token.
        origin: tells where they come from apart, roughly; no address can be read from it.
    """

    notice_version: str
    ends: float
    key: str
    origin: bytes = b""


def seconds_up() -> float:
    """Return seconds by a clock that nobody sets: an hour stays an hour when the date is corrected.

    It goes on while the machine sleeps: on Linux that is another clock than Python's monotonic one,
    on macOS another than the one that Python takes for it.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class ConsentBook:
    """The consents that stand; safe to share between threads.

    It holds hashes of tokens, so that nobody who reads this memory could use one.

    Args:
        notice: the notice that is in force.
        lifetime: how long a consent stands.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        notice: Notice = NOTICE,
        lifetime: timedelta = timedelta(hours=1),
        now: Callable[[], float] = seconds_up,
    ) -> None:
        self.notice = notice
        self.lifetime = lifetime
        self._now = now
        self._consents: dict[str, Consent] = {}  # in the order in which they were given
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._consents)

    def give(self, network: str = "") -> tuple[str, Consent]:
        """Record a consent to the notice in force, and return its token with it.

        Args:
            network: where it comes from.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        ends = self._now() + self.lifetime.total_seconds()
        consent = Consent(self.notice.version, ends, _key_of(token), self._origin_of(network))
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
        return max(consent.ends - self._now(), 0.0)

    def expires_at(self, consent: Consent) -> datetime:
        """Return when a consent ends by itself, UTC, by what the clock on the wall shows now."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds_left(consent))

    def _standing(self, key: str) -> Consent | None:
        consent = self._consents.get(key)
        if consent is None or consent.ends <= self._now():
            return None
        return consent if consent.notice_version == self.notice.version else None

    def _drop_old(self) -> None:
        """Forget what has run out, which lies in front; of too many that stand, the oldest of whoever has most."""
        now = self._now()
        for key, consent in list(self._consents.items()):
            if consent.ends > now:
                break
            del self._consents[key]
        if len(self._consents) >= MOST_CONSENTS:
            ((most, _),) = Counter(consent.origin for consent in self._consents.values()).most_common(1)
            del self._consents[next(key for key, consent in self._consents.items() if consent.origin == most)]

    def _origin_of(self, network: str) -> bytes:
        return hmac.digest(self._secret, network.encode(), "sha256")[:ORIGIN_BYTES]


def _key_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
