"""How one app is set up: its settings (Flask's configuration and the environment, prefix ``FR_``), and its parts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from flaskapp.errors import FacialRecognitionError
from flaskapp.preprocess import MAX_BYTES

if TYPE_CHECKING:
    from flaskapp.web.comparing import Comparer
    from flaskapp.web.consent import ConsentBook
    from flaskapp.web.limits import Counter
    from flaskapp.web.personal_model import PersonalModel

SERVICES = "facial_recognition"
PREFIX = "FR_"
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
OWN_FACE = ("local", "everyone", "off")

MOST_REQUESTS = 1_000_000
MOST_MINUTES = 366 * 24 * 60
RANGES: Mapping[str, tuple[float, float]] = {
    "rate_limit": (0, MOST_REQUESTS),
    "live_rate_limit": (0, MOST_REQUESTS),
    "threads": (5, 1000),  # below five there would be none left for pages while comparisons are under way
    "consent_minutes": (1, MOST_MINUTES),
    "own_minutes": (0.01, MOST_MINUTES),
    "max_photo_bytes": (1024**2, MAX_BYTES),  # what the page says of photos it says in whole megabytes
}

NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
"""A name as browsers send it; underscores are in no name of the DNS, but in those of containers."""


class SettingsError(FacialRecognitionError, code="bad_setting"):
    """A setting has a value that makes no sense; the server does not start."""


@dataclass(frozen=True)
class Settings:
    """What can be set; each is read from ``FR_`` and its name in capitals."""

    model: str = ""  # a personal model's folder, or a ``.h5`` file, to compare with; the shipped weights if empty
    rate_limit: int = 60  # comparisons a minute and consent; 0 = no limit
    live_rate_limit: int = 1200  # camera frames a minute and consent; 0 = no limit
    allowed_hosts: tuple[str, ...] = LOCAL_NAMES  # by which the server may be addressed, without port
    max_photo_bytes: int = MAX_BYTES  # largest photo
    max_body_bytes: int = 26 * 1024 * 1024  # largest request
    consent_minutes: int = 60  # how long a consent stands
    threads: int = 40  # requests that are answered at a time; of them, all but four may compare
    own_face: str = "local"  # who may train and forget a personal model: who sits here, "everyone", or nobody ("off")
    own_minutes: float = 5.0  # that such a training may take
    trusted_proxy: str = ""  # address of a proxy whose ``X-Forwarded-For`` and ``-Proto`` are believed; none if empty

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise _unusable(name, f"{least} to {most}", value)
        if self.max_body_bytes < self.max_photo_bytes:
            expected = f"at least {PREFIX}MAX_PHOTO_BYTES, {self.max_photo_bytes}"
            raise _unusable("max_body_bytes", expected, self.max_body_bytes, "A request with two photos holds both.")
        if self.own_face not in OWN_FACE:
            raise _unusable("own_face", ", ".join(OWN_FACE), self.own_face)
        if self.trusted_proxy and not address_of(self.trusted_proxy):
            expected = "the IP address of a proxy"
            raise _unusable("trusted_proxy", expected, self.trusted_proxy, "On the same machine it is 127.0.0.1.")
        # Names that no browser would send: the server would then answer nobody under them.
        for name in self.allowed_hosts or [""]:
            in_brackets = address_of(name[1:-1]) if name[:1] + name[-1:] == "[]" else None
            if not (NAME.fullmatch(name) or isinstance(in_brackets, IPv6Address)):
                raise _unusable(
                    "allowed_hosts",
                    "names without scheme and port, separated by commas",
                    name or "none",
                    "Write faces.example.org, 192.0.2.1 or [2001:db8::1].",
                )


def _unusable(name: str, expected: str, received: object, hint: str = "") -> SettingsError:
    return SettingsError(f"{PREFIX}{name.upper()} expects {expected}. Received: {received}.", hint)


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a text is, or None: it may be a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def read_settings(config: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings: the configuration's, else the environment's, else the defaults.

    Raises:
        SettingsError: a value cannot be used.
    """
    values = {}
    for field in fields(Settings):
        name = PREFIX + field.name.upper()
        kind: Any = type(field.default)
        given = config.get(name, environment.get(name))
        if given is None:
            continue
        if kind is tuple:
            names = given.split(",") if isinstance(given, str) else given
            given = tuple(name.strip().lower() for name in names if name.strip())
        try:
            values[field.name] = kind(given)
        except ValueError:
            expected = "a whole number" if kind is int else "a number"
            raise _unusable(field.name, expected, given) from None
    return Settings(**values)


@dataclass(frozen=True)
class Services:
    """The parts of one app that last as long as it does."""

    settings: Settings
    consents: ConsentBook
    counter: Counter
    comparer: Comparer
    personal_model: PersonalModel


def services(app: Flask = current_app) -> Services:
    """Return the services of an app, by default of the one that answers the current request."""
    found: Services = app.extensions[SERVICES]
    return found
