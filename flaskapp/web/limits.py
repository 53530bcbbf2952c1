"""How often one person may ask: so many comparisons a minute, camera frames apart; counted in memory."""

from __future__ import annotations

import hashlib
import hmac
import math
import threading
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Literal

from flask import current_app, g, request

from flaskapp.errors import RateLimitedError
from flaskapp.web.consent import seconds_up
from flaskapp.web.settings import address_of, services

IPV6_HOUSEHOLD, IPV6_SITE = 64, 48  # bits of an address that one household, and one company, has in common
MINUTE = 60.0


def network_of(address: str, bits: int = IPV6_HOUSEHOLD) -> str:
    """Return what a caller is counted by: an IPv4 address whole, of an IPv6 address the first bits.

    One household, or one rented machine, has all the addresses that begin with the same 64 to choose from.
    """
    found = address_of(address.partition("%")[0])
    if not isinstance(found, IPv6Address):
        return str(found or address)
    return str(found.ipv4_mapped or IPv6Network((found, bits), strict=False))


def caller_network(bits: int = IPV6_HOUSEHOLD) -> str:
    """Return what whoever sends the current request is counted by."""
    return network_of(request.remote_addr or "unknown", bits)


class Counter:
    """When who asked within the last minute; safe to share between threads.

    ``now`` is a clock that nobody sets, in seconds: set back, it would shut everybody out; set forward, let all in.
    """

    def __init__(self, now: Callable[[], float] = seconds_up) -> None:
        self.now, self._lock, self._swept = now, threading.Lock(), now()
        self.moments: dict[tuple[str, ...], list[float]] = {}

    def seconds_to_wait(self, key: tuple[str, ...], most: int, times: int = 1) -> float:
        """Count a request, as so many, and return 0; or return in how many seconds there will be room for it."""
        with self._lock:
            now = self.now()
            if self._swept <= now - MINUTE:
                self.moments = {name: times for name, times in self.moments.items() if times[-1] > now - MINUTE}
                self._swept = now
            recent = [moment for moment in self.moments.get(key, ()) if moment > now - MINUTE]
            if (too_many := len(recent) + times - most) > 0:
                return recent[too_many - 1] + MINUTE - now
            self.moments[key] = [*recent, *[now] * times]
            return 0.0

    def knows(self, key: tuple[str, ...]) -> bool:
        """Say whether a request came within the last minute."""
        return any(moment > self.now() - MINUTE for moment in self.moments.get(key, ()))

    def forget(self, word: str) -> None:
        """Forget everything that is counted under keys with a word in them."""
        with self._lock:
            self.moments = {key: times for key, times in self.moments.items() if word not in key}


def count(kind: Literal["comparison", "detection", "frame", "consent"], times: int = 1) -> None:
    """Count a request, as so many of its kind, of the consent that stands behind it.

    Photos are searched for faces as soon as they are chosen, two a comparison. Consents are counted by a hash of
    where they come from: new tokens would be a way around the other limits.

    Raises:
        RateLimitedError: there were too many within a minute.
    """
    settings = services().settings
    most = {"frame": settings.live_rate_limit, "detection": 2 * settings.rate_limit}.get(kind, settings.rate_limit)
    who = signed(caller_network().encode()) if kind == "consent" else g.consent.key
    wait = math.ceil(services().counter.seconds_to_wait((kind, who), most, times)) if most else 0
    if wait:
        error = RateLimitedError(f"{RateLimitedError.title}.", f"Try again in {wait} second{'s' * (wait > 1)}.")
        error.retry_after = wait
        raise error


def count_more(references: int) -> None:
    """Count each reference after the first as a comparison more, as far as the limit allows that many at all."""
    if (times := min(references, services().settings.rate_limit) - 1) > 0:
        count("comparison", times)


def count_stills(reference: bytes, frame: bytes) -> None:
    """Count as a comparison what no camera sends: another reference, or a frame that was sent before.

    Frames may come twenty times as often as comparisons, and two photos sent as frames would be a way around
    that limit. A keyed hash of each is remembered, for a minute.

    Raises:
        RateLimitedError: there were too many comparisons within a minute.
    """
    if not services().settings.rate_limit:
        return
    keys = [("still", g.consent.key, kind, signed(photo)[:16]) for kind, photo in (("r", reference), ("f", frame))]
    is_old_reference, is_old_frame = map(services().counter.knows, keys)
    if is_old_frame or not is_old_reference:
        count("comparison")
    for key in keys:
        services().counter.seconds_to_wait(key, 1)


def signed(data: bytes) -> str:
    """Return a hash that only this server process can compute, 64 hexadecimal digits."""
    return hmac.new(current_app.secret_key, data, hashlib.sha256).hexdigest()  # type: ignore[arg-type]
