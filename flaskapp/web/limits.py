"""How often one person may ask: so many comparisons a minute, camera frames apart."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, g, request
from flask_limiter import Limiter
from limits import RateLimitItemPerMinute

from flaskapp.consent import seconds_up
from flaskapp.web.access import require_consent
from flaskapp.web.moments import MOMENTS
from flaskapp.web.services import services
from flaskapp.web.settings import Settings

__all__ = ["IPV6_SITE", "caller_network", "count_reference", "limit_rates", "network_of", "seconds_to_wait"]

NAME = "facial_recognition_limiter"
ANOTHER_REFERENCE = "facial_recognition_reference"

IPV6_HOUSEHOLD, IPV6_SITE = 64, 48
"""Bits of an address that one household, and one company or rented network, has in common."""

A_MINUTE_EACH = RateLimitItemPerMinute(1)

LONGEST_WAIT = 60
"""Seconds after which every limit lets one more request through."""


@dataclass(frozen=True)
class Bucket:
    """Endpoints that are counted together.

    Attributes:
        name: of the bucket.
        per_minute: most requests; 0 = no limit.
        endpoints: the views.
        needs_consent: counted by consent; otherwise by where it comes from.
    """

    name: str
    per_minute: int
    endpoints: tuple[str, ...]
    needs_consent: bool = True


def buckets(settings: Settings) -> tuple[Bucket, ...]:
    """Return what is counted.

    Photos are searched for faces as soon as they are chosen, two a comparison. Giving
    consents is limited too, or new tokens would be a way around the limits.
    """
    rate = settings.rate_limit
    return (
        Bucket("comparisons", rate, ("api.verify", "pages.compare", "api.train_own_face")),
        Bucket("detections", 2 * rate, ("api.detect",)),
        Bucket("frames", settings.live_rate_limit, ("api.live", "api.look_at_own_photo")),
        Bucket("consents", rate, ("api.give_consent", "pages.give_consent"), needs_consent=False),
    )


def limit_rates(app: Flask, settings: Settings) -> None:
    """Wrap the views of an app; its counters live in memory, apart from those of other apps."""
    limiter = Limiter(caller_network, app=app, storage_uri=MOMENTS, strategy="moving-window", headers_enabled=False)
    app.extensions[NAME] = limiter
    for bucket in buckets(settings):
        if not bucket.per_minute:
            continue
        limit = limiter.shared_limit(
            f"{bucket.per_minute}/minute",
            scope=bucket.name,
            key_func=_consent_key if bucket.needs_consent else caller_network,
        )
        for endpoint in bucket.endpoints:
            view: Any = app.view_functions[endpoint]
            app.view_functions[endpoint] = limit(view)
    if settings.rate_limit:
        limit = limiter.shared_limit(f"{settings.rate_limit}/minute", scope="references", key_func=_consent_key)
        app.extensions[ANOTHER_REFERENCE] = limit(another_reference)


def another_reference() -> None:
    """Do nothing, and be counted."""


def count_reference(photo: bytes) -> None:
    """Count what a camera's frames are held against, as often as comparisons may be made, once a minute each.

    Frames may come twenty times as often. If each could bring another reference, that would be a way
    around the limit of comparisons. Of a reference only a signed number is remembered, for a minute.
    """
    count: Callable[[], None] | None = current_app.extensions.get(ANOTHER_REFERENCE)
    limiter: Limiter = current_app.extensions[NAME]
    tag = hmac.new(services().form_secret, photo, hashlib.sha256).hexdigest()[:16]
    key = "reference", _consent_key(), tag
    if count and limiter.limiter.test(A_MINUTE_EACH, *key):
        count()
        limiter.limiter.hit(A_MINUTE_EACH, *key)


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


def seconds_to_wait() -> int:
    """Return after how many seconds a request that was just refused will be let through."""
    limiter: Limiter = current_app.extensions[NAME]
    limit = limiter.current_limit
    wait = math.ceil(limit.reset_at - seconds_up()) if limit else 1
    return min(max(wait, 1), LONGEST_WAIT)
