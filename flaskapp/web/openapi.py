"""The description of the API (OpenAPI 3.1): data, held to the real answers by tests."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from flaskapp import __version__
from flaskapp.errors import FacialRecognitionError

FILE = Path(__file__).parent.parent / "static" / "openapi.json"


@functools.cache
def describe() -> dict[str, Any]:
    """Return the description, with the version that is installed; do not change what it holds."""
    described: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    described["info"]["version"] = __version__
    return described


def every_problem(root: type[FacialRecognitionError] = FacialRecognitionError) -> list[type[FacialRecognitionError]]:
    """Return every error that a request can meet, by status."""
    below = [kind for child in root.__subclasses__() for kind in every_problem(child)]
    return sorted([root] * bool(vars(root).get("title")) + below, key=lambda kind: kind.http_status)
