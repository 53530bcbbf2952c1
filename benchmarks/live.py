"""How many times a second live comparison answers: a real Chromium, a camera fed from a file.

Run it with ``make benchmark-live`` on a machine that does nothing else. It drives the page
with what the browser tests drive it with, ``tests/browser``.

The browser shares the machine with the server, as it does for whoever tries the page at home.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from page_driver import Driver, chromium_path, launch
from playwright.sync_api import expect, sync_playwright
from sample_photos import COLLINS, camera_film

WARM_UP_S = 3
STAGES = ("decode", "detect", "align", "embed", "compare")

ROUND_TRIPS = """() => performance.getEntriesByType("resource")
  .filter((entry) => entry.name.endsWith("/api/v1/live") && entry.responseEnd)
  .map((entry) => [entry.startTime, entry.responseEnd])"""


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """Start the server as people do, on a free port, and return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"PORT": str(port), "FR_LIVE_RATE_LIMIT": "0", "FR_RATE_LIMIT": "0"}
    command = [sys.executable, "-m", "flaskapp.app"]
    with subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL) as process:
        address = f"http://localhost:{port}"
        try:
            wait_until_ready(process, address)
            yield address
        finally:
            process.terminate()


def wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    """Wait until the server has made its first comparison."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/healthz"):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server ended before it was ready.")


def measure(address: str, chromium: str, seconds: int) -> dict[str, Any]:
    """Return updates a second, milliseconds of their parts, and the milliseconds of each stage on the server."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright.chromium, chromium, camera_film(Path(folder)))
        window = Driver(browser.new_context(viewport={"width": 1280, "height": 900}), address)
        window.agree().choose("reference", COLLINS).set_mode("Live webcam")
        window.page.evaluate("performance.setResourceTimingBufferSize(100000)")
        window.page.get_by_role("button", name="Start live comparison").click()
        expect(window.find("#live-rate")).to_be_visible()
        window.page.wait_for_timeout(1000 * WARM_UP_S)
        window.page.evaluate("performance.clearResourceTimings()")
        worked = processor_ms()
        window.page.wait_for_timeout(1000 * seconds)
        trips, worked = window.page.evaluate(ROUND_TRIPS), processor_ms() - worked
        stages = [server_times(window) for _ in range(10)]
        browser.close()
    return summary(trips, stages) | {"processor_ms": worked / len(trips)}


def processor_ms() -> float:
    """Return how long all processes below this one have worked, server and browser; 0 where /proc is unknown."""
    parents, times = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = file.read_text().rpartition(") ")[2].split()  # a name may hold anything
            parents[int(file.parent.name)], times[int(file.parent.name)] = int(fields[1]), sum(map(int, fields[11:13]))
    below, found = {os.getpid()}, 1
    while found:
        new = {process for process, parent in parents.items() if parent in below} - below
        below, found = below | new, len(new)
    return 1000 * sum(times.get(process, 0) for process in below) / os.sysconf("SC_CLK_TCK") if times else 0.0


def server_times(window: Driver) -> dict[str, float]:
    """Return the milliseconds by stage that the next answer tells."""
    with window.page.expect_response("**/api/v1/live") as answer:
        pass
    times: dict[str, float] = answer.value.json()["timing_ms"]
    return times


def summary(trips: list[tuple[float, float]], stages: list[dict[str, float]]) -> dict[str, Any]:
    """Return the figures of a run: start and end of each round trip in ms, and stages of some."""
    ends = [end for _, end in trips]
    gaps = [later - sooner for sooner, later in itertools.pairwise(ends)]
    return {
        "updates_a_second": 1000 * len(gaps) / (ends[-1] - ends[0]),
        "update_ms": statistics.median(gaps),
        "slowest_tenth_ms": statistics.quantiles(gaps, n=10)[-1],
        "round_trip_ms": statistics.median(end - start for start, end in trips),
        "server_ms": {name: statistics.median(stage.get(name, 0) for stage in stages) for name in (*STAGES, "total")},
        "cores": os.cpu_count(),
    }


def report(figures: dict[str, Any]) -> None:
    """Print the figures."""
    stages = figures["server_ms"]
    print(f"Live comparison at 640×480 on {figures['cores']} cores, browser and server together:")
    print(f"  {figures['updates_a_second']:.1f} updates a second")
    print(
        f"  one every {figures['update_ms']:.0f} ms, in the slowest tenth {figures['slowest_tenth_ms']:.0f} ms or more"
    )
    print(f"  of which the round trip {figures['round_trip_ms']:.0f} ms, the server in it {stages['total']:.0f} ms:")
    print("  " + ", ".join(f"{name} {stages[name]:.0f} ms" for name in STAGES))
    print(f"  and all that was worked for one update, on all cores, browser included: {figures['processor_ms']:.0f} ms")


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    chromium = chromium_path()
    if not chromium:
        raise SystemExit("There is no Chromium; set CHROMIUM to its path.")
    with running_server() as address:
        figures = measure(address, chromium, options.seconds)
    report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
