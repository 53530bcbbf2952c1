"""How fast an answer comes, what memory it takes, and how long face_recognition takes for the same.

Run it with ``make benchmark`` on a machine that does nothing else. Everything is measured by turns
in one run, so that a busy moment hits both alike. The peer is ``face_recognition``, if it is found;
it needs an environment of its own::

    python -m venv peers
    peers/bin/pip install dlib-bin face_recognition_models "setuptools<81"
    peers/bin/pip install --no-deps face_recognition
    .venv/bin/python -m benchmarks --peer peers/bin/face_recognition

``--write`` puts the figures into the README's table, in place of the rows that name ``make benchmark``.
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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.slow_clients import Server, agree, compare, running_server
from flaskapp.allowance import allowed_cores

ROOT = Path(__file__).resolve().parent.parent
PORTRAITS = ROOT / "tests" / "portraits"
NAMES = "grace_hopper.jpg", "eileen_collins.jpg"
SIZES_WH = {"1280×960": (1280, 960), "12 megapixels": (4000, 3000)}
LISTED = 60  # photos of a list, as large as LFW's
PEOPLE, COMPARISONS = 4, 10  # who compare at a time on a server, and how often each
ANSWERS = (0, 1, 3)  # exit codes of `facial-recognition compare`
OURS, PEER = "facial-recognition", "face_recognition"
COMMAND = "`make benchmark`"

READ_OURS = """
import json, sys, time
from pathlib import Path
from flaskapp.pairs.scoring import embed_photos
from flaskapp.verifier import Verifier
verifier = Verifier()
def compare(reference, probe):
    return verifier.verify(Path(reference).read_bytes(), Path(probe).read_bytes()).timings_ms
def read(*photos):
    folder = Path(photos[0]).parent
    embeddings, failures = embed_photos([Path(photo).name for photo in photos], folder, verifier.runtime)
    assert not failures
"""
READ_PEER = """
import json, multiprocessing, os, sys, time
import face_recognition
def encode(photo):
    return face_recognition.face_encodings(face_recognition.load_image_file(photo))[0]
def compare(reference, probe):
    face_recognition.face_distance([encode(reference)], encode(probe))
def read(*photos):
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        pool.map(encode, photos)
"""
ANSWER = """
for line in sys.stdin:
    name, *photos = json.loads(line)
    started = time.perf_counter()
    told = globals()[name](*photos)
    print(json.dumps([time.perf_counter() - started, told]), flush=True)
"""


def enlarged(portrait: Path, size_wh: tuple[int, int]) -> Image.Image:
    """Return a portrait on grey, as high as the photo."""
    canvas = Image.new("RGB", size_wh, (127, 127, 127))
    with Image.open(portrait) as image:
        width = round(image.width * size_wh[1] / image.height)
        large = image.convert("RGB").resize((width, size_wh[1]), Image.Resampling.LANCZOS)
    canvas.paste(large, ((canvas.width - width) // 2, 0))
    return canvas


def write_pair(folder: Path, size_wh: tuple[int, int]) -> list[str]:
    """Write both portraits as JPEGs of a size, each in a folder: face_recognition's command takes folders."""
    photos = [folder / str(place) / name for place, name in enumerate(NAMES)]
    for photo in photos:
        photo.parent.mkdir(parents=True)
        enlarged(PORTRAITS / photo.name, size_wh).save(photo, quality=92)
    return list(map(str, photos))


def write_list(folder: Path) -> list[str]:
    """Write photos of 250×250 pixels, each of them cut a little otherwise out of one of the portraits."""
    folder.mkdir()
    for number in range(LISTED):
        photo = enlarged(PORTRAITS / NAMES[number % 2], (400, 400))
        left, top = 60 + number % 7 * 3, number // 7 % 7 * 3
        photo.crop((left, top, left + 250, top + 250)).save(folder / f"{number}.jpg", quality=92)
    return sorted(map(str, folder.iterdir()))


def run_once(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds by the clock, those worked on all cores, and peak memory in MB; 0 = unknown."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            worked = usage.ru_utime + usage.ru_stime
            peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        else:
            process.wait()
            worked = peak = 0.0
        seconds = time.perf_counter() - started
    if process.returncode not in ANSWERS:
        raise SystemExit(f"{command[0]} ended with {process.returncode}.")
    return seconds, worked, peak


@contextmanager
def running(python: str, code: str) -> Iterator[Callable[..., list[Any]]]:
    """Give what asks a process that stays: a function's name and photos in; seconds, and what it told, out."""
    command = [python, "-W", "ignore", "-c", code + ANSWER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(*words: str) -> list[Any]:
            print(json.dumps(words), file=process.stdin, flush=True)
            return list(json.loads(next(process.stdout or iter(()))))

        try:
            yield ask
        finally:
            process.kill()


def by_turns(asked: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Return the answers of each, which take turns; a first round, which loads and fills caches, is left out."""
    rounds = [{name: ask() for name, ask in asked.items()} for _ in range(repeats + 1)][1:]
    return {name: [answers[name] for answers in rounds] for name in asked}


def memory_under_load(photos: list[str]) -> float:
    """Return the most megabytes that a server took while several people compared; 0 where nothing tells."""
    read = [Path(photo).read_bytes() for photo in photos]
    with tempfile.TemporaryDirectory() as folder, running_server(folder) as started:
        server = Server(started.port, started.pid, agree(started))
        with ThreadPoolExecutor(PEOPLE) as people:
            list(people.map(lambda _: compare(server, *read), range(PEOPLE * COMPARISONS)))
        return server.resident_mb("VmHWM")


def measure(repeats: int, peer: str | None) -> dict[str, Any]:
    """Return all figures, by what was measured and by whom."""
    fewer, figures = max(repeats // 3, 3), dict[str, Any](cores=allowed_cores(), warm_ms={}, stages_ms={})
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        pairs = {size: write_pair(Path(name) / size, size_wh) for size, size_wh in SIZES_WH.items()}
        listed, (first, *_) = write_list(Path(name) / "list"), SIZES_WH
        commands = {OURS: [sys.executable, "-m", "flaskapp.cli", "compare", *pairs[first]]}
        workers = {OURS: stack.enter_context(running(sys.executable, READ_OURS))}
        if peer:
            commands[PEER] = [peer, *(str(Path(photo).parent) for photo in pairs[first])]
            workers[PEER] = stack.enter_context(running(str(Path(peer).with_name("python")), READ_PEER))
        runs = by_turns({name: partial(run_once, command) for name, command in commands.items()}, repeats)
        figures["cold_s"] = {name: middle(of_name) for name, of_name in runs.items()}
        figures["cold_worked_s"] = {name: statistics.median(one[1] for one in runs[name]) for name in runs}
        figures["cold_mb"] = {name: max(peak for *_, peak in of_name) for name, of_name in runs.items()}
        for size, photos in pairs.items():
            asked = {name: partial(ask, "compare", *photos) for name, ask in workers.items()}
            answers = by_turns(asked, repeats if size == first else fewer)
            figures["warm_ms"][size] = {name: 1000 * middle(of_name) for name, of_name in answers.items()}
            stages = [told for _, told in answers[OURS]]
            figures["stages_ms"][size] = {name: statistics.median(told[name] for told in stages) for name in stages[0]}
        answers = by_turns({name: partial(ask, "read", *listed) for name, ask in workers.items()}, fewer)
        figures["photos_a_second"] = {name: LISTED / middle(of_name) for name, of_name in answers.items()}
        figures["server_mb"] = memory_under_load(pairs[first])
    return figures


def middle(answers: list[Any]) -> float:
    """Return the median of the seconds of several answers."""
    return statistics.median(seconds for seconds, *_ in answers)


def beside(figures: dict[str, float], *, more_is_better: bool = False) -> str:
    """Return how many times as long the peer takes, in words; nothing without a peer."""
    if PEER not in figures:
        return ""
    ours, theirs = figures[OURS], figures[PEER]
    return f"{ours / theirs if more_is_better else theirs / ours:.1f}"


def rows(figures: dict[str, Any]) -> list[list[str]]:
    """Return what was measured, the result, and how many times as long face_recognition takes, as rows of a table."""
    found = [["two photos of 1280×960 compared by the command: time, memory", "", ""]]
    found[0][1:] = f"{figures['cold_s'][OURS]:.2f} s, {figures['cold_mb'][OURS]:.0f} MB", beside(figures["cold_s"])
    worked = figures["cold_worked_s"]
    if worked[OURS]:
        found.append(["time that this command works, on all cores together", f"{worked[OURS]:.2f} s", beside(worked)])
    for size, taken in figures["warm_ms"].items():
        found.append([f"two photos of {size} compared in a running process", f"{taken[OURS]:.0f} ms", beside(taken)])
    listed = figures["photos_a_second"]
    words = f"photos of 250×250 read for a list, on {figures['cores']} cores"
    found.append([words, f"{listed[OURS]:.0f} a second", beside(listed, more_is_better=True)])
    if figures["server_mb"]:
        found.append(["memory of the server while four people compare", f"{figures['server_mb']:.0f} MB", ""])
    return found


def write_rows(document: Path, figures: dict[str, Any]) -> None:
    """Put the rows into a document's table, in place of those that name this command."""
    lines = document.read_text(encoding="utf-8").splitlines()
    places = [place for place, line in enumerate(lines) if line.endswith(f"| {COMMAND} |")]
    if not places:
        raise SystemExit(f"{document.name} has no row that names {COMMAND}.")
    told = [
        f"| {what} | {result}{f'; {PEER} takes {times} times as long' if times else ''} | {COMMAND} |"
        for what, result, times in rows(figures)
    ]
    lines[places[0] : places[-1] + 1] = told
    document.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print a table, and write JSON and the README's rows if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peer", default=shutil.which(PEER), help="path of face_recognition's command")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help="write the README's rows")
    options = parser.parse_args()
    figures = measure(options.repeats, options.peer)
    for what, result, times in rows(figures):
        print(f"  {what:<62}{result:>16}  {f'{PEER} takes {times} times as long' if times else ''}")
    for size, stages in figures["stages_ms"].items():
        print(f"  {size}: " + ", ".join(f"{stage} {value:.0f} ms" for stage, value in stages.items()))
    if not options.peer:
        print("  face_recognition is not installed here; --help says how to measure it too")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.write:
        write_rows(ROOT / "README.md", figures)


if __name__ == "__main__":
    main()
