"""How long an answer takes, from the start of the process and inside a warm one.

Run it with ``make benchmark`` on a machine that does nothing else. The peer is the command
of ``face_recognition`` on the same two photos, if it is found; it needs an environment of
its own::

    python -m venv peers
    peers/bin/pip install dlib-bin face_recognition_models "setuptools<81"
    peers/bin/pip install --no-deps face_recognition
    .venv/bin/python -m benchmarks --peer peers/bin/face_recognition
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

PORTRAITS = Path(__file__).resolve().parent.parent / "tests" / "portraits"
PHOTO_SIZE_WH = (1280, 960)
ANSWERS = (0, 1, 3)  # exit codes of `facial-recognition compare`


def write_photo(portrait: Path, folder: Path) -> Path:
    """Write a portrait as a JPEG of 1280×960 pixels: enlarged to that height, grey beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    canvas = Image.new("RGB", PHOTO_SIZE_WH, (127, 127, 127))
    with Image.open(portrait) as image:
        width = round(image.width * PHOTO_SIZE_WH[1] / image.height)
        canvas.paste(
            image.resize((width, PHOTO_SIZE_WH[1]), Image.Resampling.LANCZOS), ((canvas.width - width) // 2, 0)
        )
    canvas.save(folder / portrait.name, quality=92)
    return folder / portrait.name


def run_once(command: list[str]) -> tuple[float, float]:
    """Run a command and return its wall-clock seconds and peak memory in MB (0 where unknown)."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        else:
            process.wait()
            peak = 0.0
        seconds = time.perf_counter() - started
    if process.returncode not in ANSWERS:
        raise SystemExit(f"{command[0]} ended with {process.returncode}.")
    return seconds, peak


def measure_commands(commands: dict[str, list[str]], repeats: int) -> dict[str, dict[str, float]]:
    """Measure commands by turns, so that a busy moment of the machine hits them alike."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for name, command in commands.items():
        run_once(command)  # the first run also fills the disk cache
        runs[name] = []
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(run_once(command))
    return {
        name: {
            "median_s": statistics.median(seconds for seconds, _ in measured),
            "fastest_s": min(seconds for seconds, _ in measured),
            "peak_mb": max(peak for _, peak in measured),
        }
        for name, measured in runs.items()
    }


def measure_warm(reference: Path, probe: Path, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of each stage once everything is loaded."""
    from flaskapp.verifier import Verifier

    photos = reference.read_bytes(), probe.read_bytes()
    verifier = Verifier()
    verifier.verify(*photos)
    timings = [verifier.verify(*photos).timings_ms for _ in range(repeats)]
    return {stage: statistics.median(timing[stage] for timing in timings) for stage in timings[0]}


def find_peer(given: str | None) -> str | None:
    """Return the path of face_recognition's command, if there is one."""
    return given or shutil.which("face_recognition")


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peer", help="path of face_recognition's command")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        # face_recognition takes folders: the people it knows, and the photos in question.
        reference = write_photo(PORTRAITS / "grace_hopper.jpg", Path(name) / "known")
        probe = write_photo(PORTRAITS / "eileen_collins.jpg", Path(name) / "unknown")
        program = str(Path(sys.executable).with_name("facial-recognition"))
        commands = {"facial-recognition compare": [program, "compare", str(reference), str(probe)]}
        if peer := find_peer(options.peer):
            commands["face_recognition"] = [peer, str(reference.parent), str(probe.parent)]
        figures: dict[str, Any] = {
            "cold": measure_commands(commands, options.repeats),
            "warm_ms": measure_warm(reference, probe, 3 * options.repeats),
        }
    report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def report(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    print(f"Two photos of {PHOTO_SIZE_WH[0]}×{PHOTO_SIZE_WH[1]}, from the start of the process to the answer:")
    for name, row in figures["cold"].items():
        times = f"{row['median_s']:6.2f} s (fastest {row['fastest_s']:.2f} s)"
        print(f"  {name:<28} {times}, {row['peak_mb']:5.0f} MB at most")
    if len(figures["cold"]) > 1:
        ours, peer = (row["median_s"] for row in figures["cold"].values())
        print(f"  face_recognition takes {peer / ours:.1f} times as long")
    else:
        print("  face_recognition is not installed here; --help says how to measure it too")
    print("The same two photos in a process that is already running:")
    print("  " + ", ".join(f"{stage} {value:.0f} ms" for stage, value in figures["warm_ms"].items()))


if __name__ == "__main__":
    main()
