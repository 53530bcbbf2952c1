"""What TensorFlow writes while it is loaded: notes are left out, all else is told."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

NOTES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795936114.770078   15969 port.cc:153] oneDNN custom operations are on.",
)
WARNING = "W0000 00:00:1795936114.770078   15969 port.cc:153] something is wrong"


def written_by(code: str) -> subprocess.CompletedProcess[str]:
    """Run code that loads something without its greeting."""
    program = "import os, sys\nfrom flaskapp.personal.greeting import without_greeting\n" + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def said(*lines: str) -> str:
    return f"os.write(2, {''.join(line + chr(10) for line in lines).encode()!r})"


def test_notes_of_native_code_are_left_out_and_warnings_told():
    done = written_by(f"with without_greeting(): {said(*NOTES, WARNING, 'no end of line')}\n{said(NOTES[1])}")
    assert (done.returncode, done.stderr.splitlines()) == (0, [WARNING, "no end of line", NOTES[1]])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows gives another exit code")
def test_what_the_process_dies_of_is_told():
    done = written_by(f"with without_greeting():\n    {said(*NOTES, 'no AVX')}\n    os.abort()")
    assert (done.returncode, done.stderr.splitlines()) == (-signal.SIGABRT, ["no AVX"])


def test_an_error_within_goes_on():
    done = written_by("try:\n    with without_greeting(): import nothing_of_this_name\nexcept ImportError: sys.exit(3)")
    assert (done.returncode, done.stderr) == (3, "")


def test_a_closed_standard_error_is_no_error():
    assert written_by("os.close(2)\nwith without_greeting(): print('loaded')").stdout == "loaded\n"


@pytest.mark.slow
@pytest.mark.needs_tensorflow
def test_a_training_begins_without_a_greeting(tmp_path):
    command = [sys.executable, "-m", "flaskapp.cli", "train", "--me", str(tmp_path), "--out", str(tmp_path / "m")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["Error"]
