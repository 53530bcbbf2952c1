"""What every part of one app shares."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from flaskapp.consent import ConsentBook
from flaskapp.web.comparing import Comparer
from flaskapp.web.own_face import OwnFace
from flaskapp.web.settings import Settings

__all__ = ["Services", "provide", "services", "services_of"]

NAME = "facial_recognition"


@dataclass(frozen=True)
class Services:
    """The parts of one app that last as long as it does.

    Attributes:
        settings: how it was set up.
        consents: who has agreed.
        comparer: what looks at photos.
        own_face: the personal model.
        form_secret: signs the forms; made anew for each process.
    """

    settings: Settings
    consents: ConsentBook
    comparer: Comparer
    own_face: OwnFace
    form_secret: bytes


def provide(app: Flask, shared: Services) -> None:
    """Give an app its services."""
    app.extensions[NAME] = shared


def services() -> Services:
    """Return the services of the app that answers the current request."""
    return services_of(current_app)


def services_of(app: Flask) -> Services:
    """Return the services of an app."""
    found: Services = app.extensions[NAME]
    return found
