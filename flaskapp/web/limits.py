"""How often one person may ask: so many comparisons a minute, camera frames apart."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import threading
from collections.abc import Callable
from typing import Any, cast

from flask import g, request
from flask_limiter import Limiter, RouteLimit
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage

from flaskapp.web.access import require_consent
from flaskapp.web.consent import seconds_up
from flaskapp.web.settings import Settings, services

IPV6_HOUSEHOLD, IPV6_SITE = 64, 48
"""Bits of an address that one household, and one company or rented network, has in common."""

LONGEST_WAIT = 60
"""Seconds after which every limit lets one more request through."""

SEEN = RateLimitItemPerMinute(1)
"""For how long a still picture is remembered."""


def caller_network(bits: int = IPV6_HOUSEHOLD) -> str:
    """Return what whoever sends the current request is counted by."""
    return network_of(request.remote_addr or "unknown", bits)


def network_of(address: str, bits: int = IPV6_HOUSEHOLD) -> str:
    """Return what a caller is counted by: an IPv4 address whole, of an IPv6 address the first bits.

    One household, or one rented machine, has all the addresses that begin with the same 64 to choose from.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped:
        return str(found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else found)
    return str(ipaddress.ip_network((found, bits), strict=False))


def _consent_key() -> str:
    key: str = g.get("consent_key") or require_consent().key
    return key


class Moments(MemoryStorage):
    """Flask-Limiter's storage in memory, by a clock that nobody sets, for moving windows alone.

    Its own goes by the clock on the wall: set back an hour, it shuts everybody out for as long as that;
    set forward, it lets everybody in.
    """

    STORAGE_SCHEME = ["moments"]  # noqa: RUF012 - it stands so in the base class

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__(uri, **options)
        self._lock = threading.Lock()
        self._swept = seconds_up()
        self.moments: dict[str, list[float]] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request, unless there have been as many as may be."""
        now = seconds_up()
        with self._lock:
            if now - self._swept > expiry:
                self._swept = now
                self.moments = {name: moments for name, moments in self.moments.items() if moments[-1] > now - expiry}
            recent = self._recent(key, now - expiry)
            if len(recent) + amount > limit:
                return False
            self.moments[key] = [*recent, *[now] * amount]
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """Return when the oldest request that counts came, and how many count."""
        now = seconds_up()
        recent = self._recent(key, now - expiry)
        return (recent[0] if recent else now), len(recent)

    def forget(self, word: str) -> None:
        """Forget everything that is counted under keys with a word in them."""
        with self._lock:
            self.moments = {key: moments for key, moments in self.moments.items() if word not in key}

    def reset(self) -> int:
        """Forget everything, and return under how many keys that was."""
        with self._lock:
            count, self.moments = len(self.moments), {}
        return count

    def _recent(self, key: str, since: float) -> list[float]:
        return [moment for moment in self.moments.get(key, ()) if moment > since]


limiter = Limiter(caller_network, storage_uri="moments://", strategy="moving-window", headers_enabled=False)
"""Counts in memory, anew for each app that it is given to."""


def _limit(scope: str, rate: Callable[[Settings], int], key: Callable[[], str] = _consent_key) -> RouteLimit:
    """Return a decorator of views that are counted together; a rate of 0 is no limit."""

    def per_minute() -> str:
        most = rate(services().settings)
        return f"{most}/minute" if most else ""

    return limiter.shared_limit(per_minute, scope=scope, key_func=key)


comparisons = _limit("comparisons", lambda settings: settings.rate_limit)

detections = _limit("detections", lambda settings: 2 * settings.rate_limit)
"""Photos are searched for faces as soon as they are chosen, two a comparison."""

frames = _limit("frames", lambda settings: settings.live_rate_limit)

consents = _limit("consents", lambda settings: settings.rate_limit, caller_network)
"""Without it, new tokens would be a way around the other limits."""


@comparisons
def count_comparison() -> None:
    """Do nothing, and be counted."""


def count_stills(reference: bytes, frame: bytes) -> None:
    """Count as a comparison what no camera sends: another reference, or a frame that was sent before.

    Frames may come twenty times as often as comparisons, and two photos sent as frames would be a way around
    that limit. A keyed hash of each is remembered, for a minute.
    """
    if not services().settings.rate_limit:
        return
    keys = [("still", _consent_key(), _tag(kind, photo)) for kind, photo in (("r", reference), ("f", frame))]
    is_new_reference, is_new_frame = (limiter.limiter.test(SEEN, *key) for key in keys)
    if is_new_reference or not is_new_frame:
        count_comparison()
    for key in keys:
        limiter.limiter.hit(SEEN, *key)


def forget(consent: str | None) -> None:
    """Forget what was counted with a consent, hashes of pictures above all."""
    if consent:
        cast("Moments", limiter.storage).forget(consent)


def _tag(kind: str, photo: bytes) -> str:
    return kind + hmac.new(services().form_secret, photo, hashlib.sha256).hexdigest()[:16]


def seconds_to_wait() -> int:
    """Return after how many seconds a request that was just refused will be let through."""
    limit = limiter.current_limit
    wait = math.ceil(limit.reset_at - seconds_up()) if limit else 1
    return min(max(wait, 1), LONGEST_WAIT)
