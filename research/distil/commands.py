"""The commands about weights: train, measure, ship, stand-in; and about what is said of photos: reasons."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from flaskapp.allowance import allowed_cores
from flaskapp.cli.options import Output
from flaskapp.errors import DataError

WEIGHTS = Output(".h5", dir_okay=False)
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


@click.command()
@SETS
@WORK
@CROPS
@START
@UNITS
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
    network, begun = _network(start, units, kept_out)
    rows, targets = training_faces(table, read_times(times) if times else None)
    recipe = Recipe(batch_size, Changes(spoiled, camera), seed)
    batches = Batches(faces, targets, rows, batch_size, recipe.changes, seed + begun.get("faces", 0))
    schedule = Schedule(rate, until=until, fall=fall)
    counts = {name: count["training"] for name, count in table.counts().items()}
    told = {"photos": counts, "kept_out": kept_out, "units": units}
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


@click.command()
@SETS
@CROPS
@UNITS
@click.argument("weights", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def measure(sets_file: Path, crops: Path, units: str, weights: tuple[Path, ...]) -> None:
    """Print what a run looks at, of weights: validation people's figures, and the table of spoiled photos."""
    from research.distil.faces import training_faces
    from research.distil.measure import Looks
    from research.distil.train import embedder

    table, faces, _ = _prepare(sets_file, crops)
    looks = Looks(table, faces, training_faces(table)[1])
    for path in weights:
        network, _ = _network(path, units, [])
        embed = embedder(network)
        click.echo(f"{path.name}: " + ", ".join(f"{name} {value:.4f}" for name, value in looks.figures(embed).items()))
        rows = [asdict(row) for row in looks.spoiled(embed)]
        click.echo(_table(rows))


@click.command()
@SETS
@CROPS
@UNITS
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", metavar="OUT.h5", type=WEIGHTS)
def ship(sets_file: Path, crops: Path, units: str, weights: Path, out: Path) -> None:
    """Make weights that the product uses, OUT.h5 and OUT.json, of a snapshot or an average."""
    from research.distil import shipping
    from research.distil.network import read_start
    from research.distil.stand_in import add_stand_in
    from research.sets.labelled import labelled
    from research.sets.roles import TRAINING

    table, faces, _ = _prepare(sets_file, crops)
    arrays, meta = read_start(weights)
    siamese = shipping.siamese_of(arrays, _counts(units), table, faces)
    shipping.ship(siamese, table, faces, out, meta, allowed_cores())
    try:
        add_stand_in(out, labelled(table, TRAINING), faces)
    except DataError as error:  # the weights are none the worse; only train without --others needs it
        click.echo(f"Without a stand-in for other people: {error}", err=True)
    click.echo(f"Written: {out.name} and {out.with_suffix('.json').name}")


@click.command("stand-in")
@SETS
@CROPS
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Not the shipped ones.")
def stand_in(sets_file: Path, crops: Path, weights: Path | None) -> None:
    """Compute the stand-in for other people anew, and put it into the JSON beside weights."""
    from flaskapp.weights.info import default_weights_path
    from research.distil.stand_in import add_stand_in
    from research.sets.labelled import labelled
    from research.sets.roles import TRAINING

    table, faces, _ = _prepare(sets_file, crops)
    weights = weights or default_weights_path()
    add_stand_in(weights, labelled(table, TRAINING), faces)
    click.echo(f"Written: {weights.with_suffix('.json').name}")


@click.command()
@SETS
@CROPS
@click.option(
    "--role", type=click.Choice(["validation", "calibration", "reporting"]), default="validation", show_default=True
)
@click.option("--photos", type=click.IntRange(min=1), default=300, show_default=True, help="So many, drawn by chance.")
def reasons(sets_file: Path, crops: Path, role: str, photos: int) -> None:
    """Print what is said of spoiled photos, and the limits beside photos as they come: choose them by validation."""
    from research.measure.reasons import MEASURES_HEAD, count_reasons, draw_faces, look_at_limits

    table, faces, _ = _prepare(sets_file, crops)
    some = draw_faces(table, faces, role, photos)
    for line in (MEASURES_HEAD, *look_at_limits(*some), *count_reasons(*some)):
        click.echo(line)


def _counts(units: str) -> tuple[int, ...]:
    return tuple(int(count) for count in units.split(","))


def _prepare(sets_file: Path, crops: Path) -> tuple[Any, Any, list[str]]:
    from research.sets.file import read_sets
    from research.sets.prepare import prepare

    table, faces = prepare(sets_file, crops, click.echo, workers=allowed_cores())
    return table, faces, sorted(read_sets(sets_file)[1])


def _network(start: Path | None, units: str, kept_out: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Return the network with its arrays, and what the snapshot that they come from says of itself."""
    import keras

    from research.distil.network import build_student, grow, read_start, set_arrays

    keras.utils.set_random_seed(2026)
    network = build_student(_counts(units))
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
