"""``python -m research``: the commands."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from flaskapp.errors import DataError, FacialRecognitionError
from research.measure.commands import COMMANDS

SETS = click.argument("sets_file", metavar="SETS.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
WORK = click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/next"),
    show_default=True,
    help="Folder for checkpoints, averages and logs; a run that was stopped goes on from it.",
)
CROPS = click.option(
    "--crops",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/crops"),
    show_default=True,
    help="Folder for the aligned faces, cut once for all runs.",
)
START = click.option(
    "--start",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights to begin with: a snapshot, or siamese_model_final.h5; without it, from nothing.",
)
UNITS = click.option(
    "--units", default="0,2,4,3", show_default=True, help="Residual units of the four blocks; what is new grows."
)
NECK = click.option(
    "--neck",
    type=click.IntRange(min=0),
    default=512,
    show_default=True,
    help="Filters before the last layer; 0 = none.",
)


class _Refused(click.ClickException):
    """What cannot be used ends as wrong usage does."""

    exit_code = 2


class _Commands(click.Group):
    """Tells errors as one line, as the product's command line does."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FacialRecognitionError as error:
            raise _Refused(str(error)) from None


@click.group(cls=_Commands)
def main() -> None:
    """How the weights are made and measured."""


@main.command()
@SETS
@WORK
@CROPS
@START
@UNITS
@NECK
@click.option("--rate", default=0.001, show_default=True, help="Of Muon: how far one step turns a convolution.")
@click.option("--batch-size", type=click.IntRange(min=8), default=128, show_default=True, help="Faces in a batch.")
@click.option("--spoiled", type=click.FloatRange(0, 1), default=0.35, show_default=True, help="Share of the faces.")
@click.option("--camera", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of the faces.")
@click.option("--times", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV: photo, times a pass.")
@click.option("--until", type=click.IntRange(min=1), help="Faces at which it ends; without it, when it is stopped.")
@click.option("--fall", default=0.3, show_default=True, help="Share of the way over which the rate falls at the end.")
@click.option("--look-every", default=250_000, show_default=True, help="Faces between figures.")
@click.option("--seed", default=2026, show_default=True, help="Of everything.")
@click.option("--threads", type=click.IntRange(min=0), default=0, show_default=True, help="0 = as other work allows.")
def train(
    sets_file: Path,
    work: Path,
    crops: Path,
    start: Path | None,
    units: str,
    neck: int,
    rate: float,
    batch_size: int,
    spoiled: float,
    camera: float,
    times: Path | None,
    until: int | None,
    fall: float,
    look_every: int,
    seed: int,
    threads: int,
) -> None:
    """Teach the network what a teacher says of faces; stop it at any time, the same command goes on."""
    import torch

    from research.distil.faces import Batches, Changes, read_times, training_faces
    from research.distil.idle import IdleCores
    from research.distil.measure import Looks
    from research.distil.train import Recipe, Run, Schedule, embedder

    table, faces, kept_out = _prepare(sets_file, crops)
    network, begun = _network(start, units, neck, kept_out)
    rows, targets = training_faces(table, read_times(times) if times else None)
    recipe = Recipe(batch_size, Changes(spoiled, camera), seed)
    batches = Batches(faces, targets, rows, batch_size, recipe.changes, seed + begun.get("faces", 0))
    schedule = Schedule(rate, until=until, fall=fall)
    counts = {name: count["training"] for name, count in table.counts().items()}
    told = {"photos": counts, "kept_out": kept_out, "units": units, "neck": neck}
    run = Run(
        work, network, table, batches, schedule, recipe, begun, (lambda: threads) if threads else IdleCores(), told
    )
    looks = Looks(table, faces, targets)
    click.echo(f"{len(rows):,} faces a pass, {run.state.faces:,} learned so far, {torch.get_num_threads()} threads")

    def look(run: Run, loss: float) -> None:
        network = run.with_average()
        _log(work, run, loss, looks, embedder(network))
        run.with_weights()

    run.learn(look, look_every)


@main.command()
@SETS
@CROPS
@UNITS
@NECK
@click.argument("weights", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def measure(sets_file: Path, crops: Path, units: str, neck: int, weights: tuple[Path, ...]) -> None:
    """Print what a run looks at, of weights: validation people's figures, and the table of spoiled photos."""
    from research.distil.faces import training_faces
    from research.distil.measure import Looks
    from research.distil.train import embedder

    table, faces, _ = _prepare(sets_file, crops)
    looks = Looks(table, faces, training_faces(table)[1])
    for path in weights:
        network, _ = _network(path, units, neck, [])
        embed = embedder(network)
        click.echo(f"{path.name}: " + ", ".join(f"{name} {value:.4f}" for name, value in looks.figures(embed).items()))
        rows = [asdict(row) for row in looks.spoiled(embed)]
        click.echo(_table(rows))


@main.command()
@click.option("--fairface", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its labels, a CSV.")
@click.option("--utkface", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Its folder of photos.")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def often(fairface: Path | None, utkface: Path | None, out: Path) -> None:
    """Write which photos to draw more often, children's and East Asian people's, for train --times."""
    from research.often import fairface_times, utkface_times, write_times

    rows = list(fairface_times(fairface)) if fairface else []
    rows += list(utkface_times(sorted(path.name for path in utkface.iterdir()))) if utkface else []
    click.echo(f"{write_times(rows, out):,} photos: {out}")


@main.command()
@click.option("--rounds", type=click.IntRange(min=1), default=12, show_default=True, help="Batches of each.")
def turns(rounds: int) -> None:
    """Tell how many faces a second the earlier trainer and this one learn from, by turns in one run."""
    from research.turns import rates

    for name, (median, best) in rates(rounds).items():
        click.echo(f"{median:6.0f} faces/s, at best {best:6.0f}: {name}")


@main.command("lay-out")
@SETS
@click.argument("mirrors", type=click.Path(exists=True, file_okay=False, path_type=Path))
def lay_out(sets_file: Path, mirrors: Path) -> None:
    """Lay the photos of SETS.toml out as files beside it, from bare git repositories in MIRRORS/owner+name."""
    from research.laying_out import lay_out_sets

    for name, count in lay_out_sets(sets_file, mirrors):
        click.echo(f"{name}: {count:,} photos")


def _prepare(sets_file: Path, crops: Path) -> tuple[Any, Any, list[str]]:
    from flaskapp.dataset.sets import read_sets
    from flaskapp.training.base import Reporter, prepare

    table, faces = prepare(sets_file, crops, Reporter(say=click.echo))
    return table, faces, sorted(read_sets(sets_file)[1])


def _network(start: Path | None, units: str, neck: int, kept_out: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Return the network with its arrays, and what the snapshot that they come from says of itself."""
    import keras

    from research.distil.network import build_student, grow, read_start, set_arrays

    keras.utils.set_random_seed(2026)
    network = build_student(tuple(int(count) for count in units.split(",")), neck)
    if start is None:
        return network, {}
    arrays, meta = read_start(start)
    if unknown := set(kept_out) - set(meta.get("kept_out", kept_out)):
        raise DataError(
            f"{start.name} may know people who are to be kept out: {', '.join(sorted(unknown))}.",
            "What has been learned stays learned: start from other weights.",
        )
    set_arrays(network, grow(arrays, network))
    return network, meta


def _log(work: Path, run: Any, loss: float, looks: Any, embed: Any) -> None:
    state = run.state
    row = {
        "faces": state.faces,
        "step": state.step,
        "minutes": round(state.seconds / 60, 2),
        "rate": round(run.muon.param_groups[0]["lr"], 7),
        "loss": round(loss, 5),
        **{name: round(value, 5) for name, value in looks.figures(embed).items()},
    }
    _append(work / "log.csv", [row])
    rows = [{"faces": state.faces, **asdict(spoiled)} for spoiled in looks.spoiled(embed)]
    _append(work / "spoiled.csv", rows)
    click.echo(", ".join(f"{name} {value}" for name, value in row.items()))


def _append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    rows = [{name: round(v, 7) if isinstance(v, float) else v for name, v in r.items()} for r in rows]
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'spoiled alike':>14} {'':>5} {'strangers':>10} {'genuine':>8} {'length':>7} {'shorter':>8}"]
    lines += [
        f"{row['kind']:>14} {row['strength']:>5g} {row['strangers']:>10.2%} {row['genuine']:>8.1%}"
        f" {row['length']:>7.2f} {row['shorter']:>8.1%}"
        for row in rows
    ]
    return "\n".join(lines)


for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main()
