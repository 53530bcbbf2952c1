"""What one embedding costs, with these weights and with others, by turns in one run.

``python -m benchmarks.embedding OTHER.h5`` compares them with the shipped ones. They must have the
same layers, and their ``.json`` beside them.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import click
import numpy as np

from flaskapp.weights.runtime import Runtime, default_runtime

WARM_UP = 20


def milliseconds(runtimes: dict[str, Runtime], repeats: int) -> dict[str, list[float]]:
    """Return how long each embedding took; the networks take turns, so that a busy moment hits them alike."""
    face = np.random.default_rng(0).random((1, 100, 100, 3), np.float32)
    taken: dict[str, list[float]] = {name: [] for name in runtimes}
    for _ in range(WARM_UP + repeats):
        for name, runtime in runtimes.items():
            started = time.perf_counter()
            runtime.embed(face)
            taken[name].append((time.perf_counter() - started) * 1000)
    return {name: values[WARM_UP:] for name, values in taken.items()}


@click.command()
@click.argument("other", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--repeats", type=click.IntRange(min=1), default=300, show_default=True)
def main(other: Path, repeats: int) -> None:
    """Print a line for each of both, and the ratio."""
    runtimes = {"the shipped weights": default_runtime(), str(other): Runtime(other)}
    medians = [statistics.median(values) for values in milliseconds(runtimes, repeats).values()]
    for name, median in zip(runtimes, medians, strict=True):
        click.echo(f"{median:7.2f} ms an embedding  {name}")
    click.echo(f"{medians[0] / medians[1]:7.2f} × as long as the other")


if __name__ == "__main__":
    main()
