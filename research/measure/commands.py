"""The commands that measure weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from flaskapp.cli.evaluate import evaluate as of_product
from flaskapp.cli.options import FIGURE, FILE, FOLDER, OUTPUT_FILE, ReadingCommand

OPTIONS = {option.name: option for option in of_product.params}
SETS = click.option("--sets", type=FILE, metavar="SETS.toml", help="People of a sets file who have a --role.")
ROLE = click.option(
    "--role",
    type=click.Choice(["reporting", "calibration", "validation"]),
    help="With --sets: whose pairs. Look at people who report once, when a candidate is final.",
)


@click.command(cls=ReadingCommand)
@SETS
@ROLE
@click.option(
    "--beside",
    type=FILE,
    metavar="PEER",
    help="A peer's scores of the same pairs (CSV), or a teacher's .npz or sets file, to be set beside ours.",
)
@click.option(
    "--hardest",
    type=FIGURE,
    metavar="OUT.png",
    help="Draw the pairs that went wrong most. IT SHOWS FACES: only with their consent, and not to hand on.",
)
def evaluate(sets: Path | None, role: str | None, beside: Path | None, hardest: Path | None, **given: Any) -> None:
    """Measure as `facial-recognition evaluate` does, also people of a sets file, and beside a peer."""
    from research.measure import evaluating

    evaluating.evaluate(SimpleNamespace(**given), evaluating.Sets.of(sets, role), beside, hardest)


@click.command(cls=ReadingCommand)
@click.argument("photos", type=FOLDER)
def strangers(photos: Path, labels: Path | None, **given: Any) -> None:
    """Count false matches and failures to acquire by group, of PHOTOS no two of which show one person."""
    from research.measure import evaluating

    if labels is None:
        raise click.UsageError("strangers needs --labels, which names photos and groups.")
    evaluating.strangers(photos, labels, SimpleNamespace(**given))


@click.command("worse-photos", cls=ReadingCommand)
@SETS
@ROLE
@click.option(
    "--photos",
    type=click.IntRange(min=2),
    default=300,
    show_default=True,
    metavar="N",
    help="At most so many photos, drawn person by person; each is changed and looked at 90 times.",
)
@click.option(
    "--pairs-a-step",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    metavar="N",
    help="At most so many pairs of strangers, drawn by chance.",
)
def worse_photos(sets: Path | None, role: str | None, photos: int, pairs_a_step: int, **given: Any) -> None:
    """Make probes, references or both worse in many ways, and tell what the verdicts say."""
    from research.measure import evaluating

    evaluating.worse_photos(SimpleNamespace(**given), evaluating.Sets.of(sets, role), photos, pairs_a_step)


@click.command(cls=ReadingCommand)
@SETS
@ROLE
def mixture(sets: Path | None, role: str | None, **given: Any) -> None:
    """Tell what scores are worth as probabilities where photos are poor, spoiled as those that calibrated them."""
    from research.measure import evaluating

    evaluating.mixture(SimpleNamespace(**given), evaluating.Sets.of(sets, role))


@click.command(cls=ReadingCommand)
@click.argument("photos", type=FOLDER)
def relatives(photos: Path, **given: Any) -> None:
    """Tell what verdicts say of parents and their children, and of other people's: KinFaceW in PHOTOS."""
    from research.measure import evaluating, groups

    evaluating.count_groups("relatives", groups.relatives, photos, SimpleNamespace(**given))


@click.command(cls=ReadingCommand)
@click.argument("photos", type=FOLDER)
def ages(photos: Path, **given: Any) -> None:
    """Tell what verdicts say of people as children or young, and later: LAG in PHOTOS."""
    from research.measure import evaluating, groups

    evaluating.count_groups("ages", groups.ages, photos, SimpleNamespace(**given))


@click.command("model-card", cls=ReadingCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN.json...", type=FILE)
@click.option("--out", type=OUTPUT_FILE, metavar="CARD.md", required=True, help="The card, as Markdown.")
def model_card(runs: tuple[Path, ...], weights: Path | None, out: Path) -> None:
    """Write the model card from what the other commands wrote by --json, and its figures beside them.

    All runs must be of these very weights, and have the names that `make figures` gives them.
    """
    from research.measure.card import write_card

    write_card(runs, weights, out)


evaluate.params = [*of_product.params, *evaluate.params]
SHARED = ("seed", "face", "weights", "json_file", "plots", "report")
strangers.params += [OPTIONS[name] for name in ("labels", "by", *SHARED, "without_names")]
worse_photos.params = [*(OPTIONS[name] for name in ("pairs", "root", "people", *SHARED)), *worse_photos.params]
mixture.params += [OPTIONS[name] for name in ("weights", "json_file")]
relatives.params += [OPTIONS[name] for name in ("labels", "by", "seed", "face", "weights", "json_file")]
ages.params += relatives.params[1:]
model_card.params.append(OPTIONS["weights"])
COMMANDS = (evaluate, strangers, worse_photos, mixture, relatives, ages, model_card)
