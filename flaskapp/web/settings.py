"""How one app is set up: its settings (Flask's configuration and the environment, prefix ``FR_``), and its parts."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flask import Flask, current_app

from flaskapp.errors import FacialRecognitionError
from flaskapp.preprocess import MAX_BYTES
from flaskapp.web.comparing import Comparer
from flaskapp.web.consent import ConsentBook
from flaskapp.web.personal_model import PersonalModel

SERVICES = "facial_recognition"
PREFIX = "FR_"
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
OWN_FACE = ("local", "everyone", "off")

LEAST_PHOTO_BYTES = 1024 * 1024
"""What the page says of photos it says in whole megabytes."""

MOST_REQUESTS = 1_000_000
MOST_MINUTES = 366 * 24 * 60
MOST_THREADS = 1000

NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
"""A name as browsers send it; underscores are in no name of the DNS, but in those of containers."""


class SettingsError(FacialRecognitionError):
    """A setting has a value that makes no sense; the server does not start."""

    code = "bad_setting"


@dataclass(frozen=True)
class Settings:
    """What can be set; each is read from ``FR_`` and its name in capitals.

    Attributes:
        model: a personal model's folder, or a ``.h5`` file, to compare with; the shipped weights
            if empty.
        rate_limit: comparisons a minute and consent; 0 = no limit.
        live_rate_limit: camera frames a minute and consent; 0 = no limit.
        allowed_hosts: names by which the server may be addressed, without port; separated
            by commas.
        max_photo_bytes: largest photo.
        max_body_bytes: largest request.
        consent_minutes: how long a consent stands.
        threads: requests that are answered at a time; of them, all but four may compare.
        own_face: who may train a model on their own face here, and forget it: "local" people, who
            sit at this computer, "everyone", or nobody ("off").
        own_minutes: that such a training may take.
        trusted_proxy: address of a proxy in front whose ``X-Forwarded-For`` and
            ``X-Forwarded-Proto`` are believed; none if empty.
    """

    model: str = ""
    rate_limit: int = 60
    live_rate_limit: int = 1200
    allowed_hosts: tuple[str, ...] = LOCAL_NAMES
    max_photo_bytes: int = MAX_BYTES
    max_body_bytes: int = 26 * 1024 * 1024
    consent_minutes: int = 60
    threads: int = 40
    own_face: str = "local"
    own_minutes: float = 5.0
    trusted_proxy: str = ""

    def __post_init__(self) -> None:
        _check_between(0, MOST_REQUESTS, self, "rate_limit")
        _check_between(0, MOST_REQUESTS, self, "live_rate_limit")
        # Below five there would be no thread left for pages while comparisons are under way.
        _check_between(5, MOST_THREADS, self, "threads")
        _check_between(1, MOST_MINUTES, self, "consent_minutes")
        _check_between(LEAST_PHOTO_BYTES, MAX_BYTES, self, "max_photo_bytes")
        if self.max_body_bytes < self.max_photo_bytes:
            raise SettingsError(
                f"FR_MAX_BODY_BYTES expects at least FR_MAX_PHOTO_BYTES, {self.max_photo_bytes}. "
                f"Received: {self.max_body_bytes}.",
                "A request with two photos holds both.",
            )
        if not 0 < self.own_minutes <= MOST_MINUTES:
            raise SettingsError(
                f"FR_OWN_MINUTES expects more than 0, {MOST_MINUTES} at most. Received: {self.own_minutes}."
            )
        if self.own_face not in OWN_FACE:
            raise SettingsError(f"FR_OWN_FACE expects {', '.join(OWN_FACE)}. Received: {self.own_face}.")
        _check_hosts(self.allowed_hosts)
        if self.trusted_proxy and not _is_address(self.trusted_proxy):
            raise SettingsError(
                f"FR_TRUSTED_PROXY expects the IP address of a proxy. Received: {self.trusted_proxy}.",
                "On the same machine it is 127.0.0.1.",
            )


def _check_between(least: int, most: int, settings: Settings, name: str) -> None:
    value = getattr(settings, name)
    if not least <= value <= most:
        raise SettingsError(f"{PREFIX}{name.upper()} expects {least} to {most}. Received: {value}.")


def _check_hosts(names: tuple[str, ...]) -> None:
    """Refuse names that no browser would send: the server would then answer nobody under them."""
    if not names:
        raise SettingsError("FR_ALLOWED_HOSTS expects at least one name. Received: none.", "Leave it out, or name one.")
    for name in names:
        if not (NAME.fullmatch(name) or (name[:1] + name[-1:] == "[]" and _is_address(name[1:-1], 6))):
            raise SettingsError(
                f"FR_ALLOWED_HOSTS expects names without scheme and port, separated by commas. Received: {name}.",
                "Write faces.example.org, 192.0.2.1 or [2001:db8::1].",
            )


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        return version in (None, ipaddress.ip_address(text).version)
    except ValueError:
        return False


def read_settings(config: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings: the configuration's, else the environment's, else the defaults.

    Raises:
        SettingsError: a value cannot be used.
    """
    values = {}
    for field in fields(Settings):
        name = PREFIX + field.name.upper()
        given = config.get(name, environment.get(name))
        if given is not None:
            values[field.name] = _converted(name, given, type(field.default))
    return Settings(**values)


def _converted(name: str, given: Any, kind: type) -> Any:
    """Return a value as a number, a text or a tuple of texts."""
    if kind is tuple:
        names = given.split(",") if isinstance(given, str) else given
        return tuple(name.strip().lower() for name in names if name.strip())
    try:
        return kind(given)
    except ValueError:
        raise SettingsError(f"{name} expects a {'whole ' if kind is int else ''}number. Received: {given}.") from None


@dataclass(frozen=True)
class Services:
    """The parts of one app that last as long as it does.

    Attributes:
        settings: how it was set up.
        consents: who has agreed.
        comparer: what looks at photos.
        personal_model: the personal model.
        form_secret: signs the forms; made anew for each process.
    """

    settings: Settings
    consents: ConsentBook
    comparer: Comparer
    personal_model: PersonalModel
    form_secret: bytes


def provide(app: Flask, shared: Services) -> None:
    """Give an app its services."""
    app.extensions[SERVICES] = shared


def services() -> Services:
    """Return the services of the app that answers the current request."""
    return services_of(current_app)


def services_of(app: Flask) -> Services:
    """Return the services of an app."""
    found: Services = app.extensions[SERVICES]
    return found
