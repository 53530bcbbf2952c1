"""Starting and stopping: from anywhere, by file or by command, and not at all with damaged weights."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from flask import Flask
from web_process import PATIENCE, ROOT, WEIGHTS, Server, copy_program, environment

from flaskapp import app
from flaskapp.cli.serve import serve
from flaskapp.web.settings import Settings, SettingsError

SERVING_TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return copy_program(tmp_path_factory.mktemp("program"))


@pytest.mark.slow
class TestStarting:
    def test_from_anywhere(self, program, tmp_path):
        with Server(program, tmp_path, cwd=tmp_path) as server:
            page = server.ask("GET", "/")
            assert page.status == 200
            assert b"Compare Faces" in page.body
            assert "Server" not in page.headers
            assert server.stop() == 0 or sys.platform == "win32"  # there it is not asked, it is ended
        assert f"http://localhost:{server.port}" in server.output
        assert "Traceback" not in server.output

    def test_inside_the_package_where_files_have_the_names_of_libraries(self, program, tmp_path):
        # flaskapp/ holds files and folders whose names others use as well, "web" or "errors".
        with Server(program, tmp_path, command=(sys.executable, "app.py"), cwd=program / "flaskapp") as server:
            assert server.ask("GET", "/healthz").status == 200

    def test_by_command_and_the_address_listened_on_is_a_name_of_its_own(self, program, tmp_path):
        command = (sys.executable, "-c", "from flaskapp.cli.serve import serve; serve()")
        settings = {"PYTHONPATH": str(program), "HOST": "127.0.0.1", "FR_ALLOWED_HOSTS": "faces.example"}
        with Server(program, tmp_path, command=command, settings=settings) as server:
            assert server.ask("GET", "/", Host=f"127.0.0.1:{server.port}").status == 200
            assert server.ask("GET", "/", Host="faces.example").status == 200
            assert server.ask("GET", "/", Host="localhost").status == 200, "as it says that it is opened"
            assert server.ask("GET", "/", Host="faces.example.org").status == 400


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc that is told")
def test_large_blocks_go_back_to_the_system_at_once():
    """Break: no threshold, so that a large block that was freed raises it, and the next ones stay."""
    script = """
import sys
from pathlib import Path
from flaskapp.web.process_memory import give_memory_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if not give_memory_back():
    sys.exit("not glibc")
bytearray(b"x" * 20_000_000)  # by itself glibc keeps blocks of up to this size from now on
before = resident()
blocks = [bytearray(b"x" * 10_000_000) for _ in range(10)]
keep = bytearray(b"x" * 300_000)
del blocks
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    if "not glibc" in done.stderr:
        pytest.skip("another C library")
    assert int(done.stdout) < 2_000_000


def start(program: Path, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(program / "flaskapp" / "app.py")]
    return subprocess.run(
        command,
        env=environment(home, **settings),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_stopping_it_while_it_starts_is_no_error(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    codes: list[int] = []
    monkeypatch.setattr(app, "serve", interrupted)
    monkeypatch.setattr(app.os, "_exit", codes.append)
    app.main()
    assert (codes, capsys.readouterr().err) == ([0], "")


@pytest.mark.slow
class TestRefusing:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"FR_MODEL": "nothing"}, "model.json"),
            ({"PORT": "web"}, "PORT"),
            ({"HOST": "a..b"}, "HOST expects an address of this computer"),
            ({"HOST": "203.0.113.1"}, "Cannot listen on 203.0.113.1"),
        ],
    )
    def test_names_the_setting(self, program, tmp_path, settings, expected):
        done = start(program, tmp_path, **settings)
        assert done.returncode == 2
        assert expected in done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_passes_on_where_to_listen(monkeypatch):
    asked = []
    monkeypatch.setattr(app, "serve", lambda *arguments, browser: asked.append((*arguments, browser)))
    monkeypatch.delenv("FR_MODEL", raising=False)
    runner = CliRunner()
    assert runner.invoke(serve, []).exit_code == 0
    assert runner.invoke(serve, ["--host", "::1", "--port", "80"]).exit_code == 0
    assert runner.invoke(serve, ["--browser"]).exit_code == 0
    assert runner.invoke(serve, ["--port", "70000"]).exit_code == 2
    assert runner.invoke(serve, ["--model", "my_model"]).exit_code == 0
    assert asked == [
        (None, None, {}, False),
        ("::1", 80, {}, False),
        (None, None, {}, True),
        (None, None, {"FR_MODEL": "my_model"}, False),
    ]


@pytest.mark.parametrize("value", ["web", "0", "65536", "-1", "8000.0"])
def test_a_variable_that_is_no_port_is_blamed_by_its_name(value):
    result = CliRunner().invoke(serve, [], env={"PORT": value})
    assert isinstance(result.exception, SettingsError)
    assert str(result.exception) == f"PORT expects a number from 1 to 65535. Received: {value}."


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ((), {}, ("127.0.0.1", 5000)),
        ((), {"HOST": "0.0.0.0", "PORT": "81"}, ("0.0.0.0", 81)),  # noqa: S104 - nothing listens
        (("::1", 82), {"HOST": "192.0.2.1", "PORT": "web"}, ("::1", 82)),
    ],
)
def test_it_listens_where_it_is_told_or_the_variables_say(monkeypatch, opened, arguments, environment, expected):
    asked = []
    monkeypatch.setattr(app, "listen", lambda _, *where: asked.append(where[:2]) or StoppedServer())
    for name in ("HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    app.serve(*arguments)
    assert asked == [expected]


class StoppedServer:
    """A server that ends as soon as it is run."""

    def run(self) -> None:
        pass


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Return what is opened in a browser by ``app.serve``, which ends at once."""
    pages: list[str] = []
    monkeypatch.setattr(app, "create_app", lambda _: Flask("nothing"))
    monkeypatch.setattr(app, "services", lambda _: SimpleNamespace(settings=Settings()))
    monkeypatch.setattr(app, "check_address", lambda *_: None)
    monkeypatch.setattr(app, "listen", lambda *_: StoppedServer())
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setattr(app.webbrowser, "open", pages.append)
    return pages


@pytest.mark.parametrize(("display", "wished", "expected"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_a_browser_is_opened_where_it_is_wished_for_and_seen(monkeypatch, opened, display, wished, expected):
    monkeypatch.setattr(app, "has_display", lambda: display)
    app.serve(port=5000, browser=wished)
    for thread in threading.enumerate():
        if thread.name == "browser":
            thread.join()
    assert opened == ["http://localhost:5000"] * expected


@pytest.mark.parametrize(
    ("host", "other", "name"),
    [
        ("127.0.0.1", True, "127.0.0.1"),
        ("0.0.0.0", True, "127.0.0.1"),  # noqa: S104 - nothing listens
        ("127.0.0.1", False, "localhost"),
        ("::", True, "localhost"),
        ("192.0.2.1", True, "192.0.2.1"),
        ("::1", True, "[::1]"),
    ],
)
def test_the_page_is_shown_where_no_other_program_answers(monkeypatch, opened, capsys, host, other, name):
    """Break: localhost shown without a look at who answers there by IPv6."""
    asked = []
    monkeypatch.setattr(app, "is_taken", lambda *where: asked.append(where) or other)
    app.serve(host, 5000)
    told = capsys.readouterr()
    assert f"Open http://{name}:5000 in a browser" in told.out
    assert ("Another program answers" in told.err) == (name == "127.0.0.1")
    assert set(asked) <= {("::1", 5000)}


@pytest.mark.parametrize(
    ("platform", "environment", "seen"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ":0", "SSH_CONNECTION": "elsewhere"}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "elsewhere"}, False),
        ("win32", {}, True),
    ],
)
def test_a_display_is_one_of_this_machine(platform, environment, seen):
    assert app.has_display(platform, environment) is seen


@pytest.mark.parametrize("name", [f"FR_{field.name.upper()}" for field in fields(Settings)] + ["HOST", "PORT"])
def test_every_setting_is_documented(name):
    assert f"`{name}`" in SERVING_TEXT


def test_the_container_has_what_the_program_needs_and_no_root():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for name in ("requirements.lock", WEIGHTS, "siamese_model_final.json", "flaskapp"):
        assert name in text
        assert f"!{name}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in text.splitlines() if line.startswith("USER")]
    assert users
    assert not {"root", "0"} & set(users)
    assert text.index("\nUSER ") < text.index("\nCMD ")
