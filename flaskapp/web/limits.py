"""How often one person may ask: so many comparisons a minute, camera frames apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, g, request
from flask_limiter import Limiter

from flaskapp.consent import seconds_up
from flaskapp.web.access import require_consent
from flaskapp.web.moments import MOMENTS
from flaskapp.web.settings import Settings

__all__ = ["limit_rates", "seconds_to_wait"]

NAME = "facial_recognition_limiter"

LONGEST_WAIT = 60
"""Seconds after which every limit lets one more request through."""


@dataclass(frozen=True)
class Bucket:
    """Endpoints that are counted together.

    Attributes:
        name: of the bucket.
        per_minute: most requests; 0 = no limit.
        endpoints: the views.
        needs_consent: counted by consent; otherwise by address.
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
    limiter = Limiter(_address, app=app, storage_uri=MOMENTS, strategy="moving-window", headers_enabled=False)
    app.extensions[NAME] = limiter
    for bucket in buckets(settings):
        if not bucket.per_minute:
            continue
        limit = limiter.shared_limit(
            f"{bucket.per_minute}/minute",
            scope=bucket.name,
            key_func=_consent_key if bucket.needs_consent else _address,
        )
        for endpoint in bucket.endpoints:
            view: Any = app.view_functions[endpoint]
            app.view_functions[endpoint] = limit(view)


def _address() -> str:
    return request.remote_addr or "unknown"


def _consent_key() -> str:
    key: str = g.get("consent_key") or require_consent().key
    return key


def seconds_to_wait() -> int:
    """Return after how many seconds a request that was just refused will be let through."""
    limiter: Limiter = current_app.extensions[NAME]
    limit = limiter.current_limit
    wait = math.ceil(limit.reset_at - seconds_up()) if limit else 1
    return min(max(wait, 1), LONGEST_WAIT)
