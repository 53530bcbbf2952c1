"""The web door: ``python app.py`` serves the page and the API on http://localhost:5000."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Started as a file, Python looks for modules beside it first, where ours would hide
    # others of the same name, and would not find the package itself.
    package = Path(__file__).resolve().parent
    sys.path[:] = [str(package.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != package)]

import logging
import os
import secrets
import signal
import threading
import time
import webbrowser
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, Response, g, request

from flaskapp.detection.detector import default_detector
from flaskapp.errors import FacialRecognitionError
from flaskapp.verifier import Verifier, default_verifier
from flaskapp.web.access import check_turn
from flaskapp.web.comparing import Comparer
from flaskapp.web.consent import ConsentBook
from flaskapp.web.guards import LARGEST_PORT, guard
from flaskapp.web.limits import Counter
from flaskapp.web.listening import check_address, is_taken, listen
from flaskapp.web.pages import pages
from flaskapp.web.personal_api import api
from flaskapp.web.personal_model import PersonalModel, verifier_of
from flaskapp.web.problems import ExcInfo, answer_errors, log_unforeseen
from flaskapp.web.process_memory import give_memory_back
from flaskapp.web.settings import LOCAL_NAMES, SERVICES, Services, SettingsError, read_settings, services
from flaskapp.web.uploads import MOST_FORM_BYTES, InMemoryRequest

HOST, PORT = "127.0.0.1", 5000
EVERY_ADDRESS = ("0.0.0.0", "::", "*")  # noqa: S104 - only compared
FREE_THREADS = 4  # left for pages, static files and /healthz when all others compare

log = logging.getLogger("flaskapp.web")


class _WebApp(Flask):
    """Flask with uploads in memory and errors logged without what they speak of."""

    request_class = InMemoryRequest

    def log_exception(self, exc_info: ExcInfo) -> None:
        """Log where an unforeseen error happened, and nothing that it says."""
        log_unforeseen(exc_info, request.endpoint)


def create_app(config: Mapping[str, Any] | None = None, verifier: Verifier | None = None) -> Flask:
    """Return the WSGI app.

    Args:
        config: Flask's own settings and ours (``flaskapp.web.settings``), which also come
            from the environment.
        verifier: another one than the settings ask for. A given one is taken to be
            warm; ours warms up in the background.

    Raises:
        WeightsError: weights are missing or were changed; nothing is served with them.
        SettingsError: a setting cannot be used.
    """
    settings = read_settings(config or {})
    comparer = Comparer(verifier or _verifier_with(settings.model), settings.threads - FREE_THREADS, check=check_turn)
    consents = ConsentBook(lifetime=timedelta(minutes=settings.consent_minutes))
    personal_model = PersonalModel(settings, comparer, consents)
    app = _WebApp("flaskapp")
    app.config.update(config or {}, MAX_CONTENT_LENGTH=settings.max_body_bytes, MAX_FORM_MEMORY_SIZE=MOST_FORM_BYTES)
    # FLASK_DEBUG may stand in the environment for another program. Here it would let errors through to
    # waitress, which logs what they say and answers without our headers.
    app.config.update(DEBUG=False, PROPAGATE_EXCEPTIONS=False)
    app.secret_key = secrets.token_bytes(32)  # signs forms, and what is remembered of still pictures
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[SERVICES] = Services(settings, consents, Counter(), comparer, personal_model)
    logging.getLogger("PIL").setLevel(logging.WARNING)  # below that it tells the values of EXIF tags
    _log_outcomes(app)
    guard(app)
    app.before_request(personal_model.keep_up)
    app.register_blueprint(pages)
    app.register_blueprint(api)
    answer_errors(app)
    if verifier is not None:
        comparer.warm.set()
    else:
        threading.Thread(target=comparer.warm_up, name="warm-up", daemon=True).start()
    return app


def _verifier_with(model: str) -> Verifier:
    """Load everything that could turn out to be damaged, before a port is opened."""
    default_detector()
    return verifier_of(Path(model)) if model else default_verifier()


def _log_outcomes(app: Flask) -> None:
    """Log of each request what was asked for, the outcome and the time, and nothing else."""

    @app.before_request
    def start_clock() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def log_outcome(response: Response) -> Response:
        milliseconds = (time.perf_counter() - g.started) * 1000
        log.info("%s %s %d in %.0f ms", request.method, request.endpoint, response.status_code, milliseconds)
        return response


def serve(
    host: str | None = None, port: int | None = None, config: Mapping[str, Any] | None = None, *, browser: bool = False
) -> None:
    """Serve the page and the API until the process is told to stop.

    Args:
        host: address to listen on; if None, what ``HOST`` names, else 127.0.0.1, which only this machine reaches.
        port: port to listen on; if None, what ``PORT`` names, else 5000.
        config: as for ``create_app``.
        browser: also open the page in a browser, where there is a display.

    Raises:
        SettingsError: a setting cannot be used, or nobody can listen there.
    """
    host = host or os.environ.get("HOST") or HOST
    given = str(port or os.environ.get("PORT") or PORT)
    if not given.isdecimal() or not 0 < int(given) <= LARGEST_PORT:
        raise SettingsError(f"PORT expects a number from 1 to {LARGEST_PORT}. Received: {given}.")
    port = int(given)
    check_address(host, port)
    give_memory_back()
    app = create_app(_with_own_name(config or {}, host))
    settings = services(app).settings
    server = listen(app, host, port, settings)
    # As Ctrl+C: by an exception that waitress closes its sockets for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if settings.model:
        print(f"It compares with {services(app).comparer.verifier.weights.weights_id}.")
    page = f"http://{_shown_name(host, port)}:{port}"
    print(f"Open {page} in a browser. Ctrl+C stops the server.", flush=True)
    if browser and has_display():
        threading.Thread(target=webbrowser.open, args=(page,), name="browser", daemon=True).start()
    server.run()


def _shown_name(host: str, port: int) -> str:
    """Return the name under which this computer's browsers find the server, and warn of one that leads elsewhere.

    Browsers try localhost by IPv6 first, where another program may listen on the same port: on macOS
    AirPlay does, on 5000.
    """
    if host not in (HOST, *EVERY_ADDRESS):
        return _name_of(host)
    if host not in (HOST, EVERY_ADDRESS[0]) or not is_taken("::1", port):
        return "localhost"
    print(
        f"Another program answers on http://localhost:{port}, by IPv6. Use the address below, or another port.",
        file=sys.stderr,
    )
    return HOST


def has_display(platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether a browser would be seen; elsewhere Python would start one inside the terminal."""
    if "SSH_CONNECTION" in environment:
        return False
    return platform in ("win32", "darwin") or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _with_own_name(config: Mapping[str, Any], host: str) -> Mapping[str, Any]:
    """Let browsers address the server by what it listens on, and from this machine itself by that machine's names.

    Whoever adds a name for others still opens the page on localhost, and so does a container's
    health check.
    """
    names = read_settings(config).allowed_hosts
    own = () if host in EVERY_ADDRESS else (_name_of(host),)
    at_home = LOCAL_NAMES if host in (HOST, *EVERY_ADDRESS) else ()
    return {**config, "FR_ALLOWED_HOSTS": tuple(dict.fromkeys((*names, *own, *at_home)))}


def _name_of(host: str) -> str:
    """Return an address as it stands in a URL, in which no interface can be named."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host


def main() -> None:
    """Serve where ``HOST`` and ``PORT`` say."""
    try:
        serve()
    except KeyboardInterrupt:
        code = 0
    except FacialRecognitionError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    else:
        return
    # At once: the thread that warms up would stumble over a Python that takes itself apart, and say so.
    os._exit(code)


if __name__ == "__main__":
    main()
