"""The command that measures: evaluate."""

from __future__ import annotations

from typing import Any

import click

from flaskapp.cli.options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    FIGURE,
    FIGURES,
    FINITE,
    OUTPUT_FILE,
    PAGE,
    ReadingCommand,
)

SOURCES = ("pairs", "people", "sets", "scores_from", "strangers")


@click.command(cls=ReadingCommand)
@click.option(
    "--pairs",
    type=EXISTING_FILE,
    metavar="LIST",
    help="LFW's own list of pairs (view 1 or 2), or a CSV with the columns reference, probe, same.",
)
@click.option("--root", type=EXISTING_FOLDER, metavar="DIR", help="Folder that the list's paths start from.")
@click.option("--people", type=EXISTING_FOLDER, metavar="DIR", help="A folder of photos for each person: all pairs.")
@click.option("--sets", type=EXISTING_FILE, metavar="SETS.toml", help="People of a sets file who have a --role.")
@click.option(
    "--role",
    type=click.Choice(["reporting", "calibration", "validation"]),
    help="With --sets: whose pairs. Look at people who report once, when a candidate is final.",
)
@click.option(
    "--impostors",
    type=click.IntRange(min=0),
    metavar="N",
    help="With --people or --sets: so many impostor pairs, drawn by chance; without it, all.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
@click.option(
    "--scores-from",
    type=EXISTING_FILE,
    metavar="SCORES.csv",
    help="A peer's scores in place of photos: reference, probe, same, similarity_score.",
)
@click.option(
    "--strangers",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Photos no two of which show one person, grouped by --labels: false matches by group.",
)
@click.option("--threshold", type=FINITE, help="With --scores-from: match if score ≥ threshold.")
@click.option("--band", type=(FINITE, FINITE), metavar="LOW HIGH", help="With --scores-from: the inconclusive band.")
@click.option(
    "--labels", type=EXISTING_FILE, metavar="CSV", help="Groups of photos: a column path, others to group by."
)
@click.option("--by", multiple=True, metavar="COLUMN", help="With --labels: group by this column; may be repeated.")
@click.option(
    "--face",
    type=click.Choice(["centre", "largest", "refuse"]),
    default="centre",
    show_default=True,
    help="Which of several faces is taken; refuse makes it a failure to acquire.",
)
@click.option("--weights", type=EXISTING_FILE, metavar="FILE.h5", help="Other weights than the shipped ones.")
@click.option(
    "--beside",
    type=EXISTING_FILE,
    metavar="PEER",
    help="A peer's scores of the same pairs (CSV), or a teacher's .npz or sets file, to be set beside ours.",
)
@click.option("--degrade", is_flag=True, help="Make the probes of genuine pairs worse, and measure each step.")
@click.option(
    "--pairs-a-step",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    help="With --degrade: so many genuine pairs, drawn by chance; each costs 43 detections.",
)
@click.option("--scores", type=OUTPUT_FILE, metavar="OUT.csv", help="Write every pair's score and decision.")
@click.option("--json", "json_file", type=OUTPUT_FILE, metavar="OUT.json", help="Write all figures as JSON.")
@click.option("--without-names", is_flag=True, help="Leave the names of failed photos out of JSON and page.")
@click.option("--plots", type=FIGURES, metavar="DIR", help="Draw ROC, DET, scores and reliability into DIR.")
@click.option("--report", type=PAGE, metavar="OUT.html", help="Write one page that holds figures and plots.")
@click.option(
    "--hardest",
    type=FIGURE,
    metavar="OUT.png",
    help="Draw the pairs that went wrong most. IT SHOWS FACES: only with their consent, and not to hand on.",
)
def evaluate(**options: Any) -> None:
    """Measure how often the program is wrong on your own pairs of photos.

    The decision is that of `compare`: threshold and band come with the weights and are not
    adapted to the pairs. A photo without a usable face makes its pairs non-matches, and is
    reported. Intervals are 95 % intervals by bootstrap over the people of both photos.

    \b
    Examples:
      facial-recognition evaluate --pairs pairsDevTest.txt --root lfw/
      facial-recognition evaluate --pairs pairs.txt --root lfw/ --report lfw.html
      facial-recognition evaluate --people people/ --impostors 100000 --json figures.json
      facial-recognition evaluate --pairs pairs.csv --root photos/ --labels groups.csv --by gender
      facial-recognition evaluate --scores-from peer.csv --threshold 0.4
      facial-recognition evaluate --strangers faces/ --labels groups.csv --by race --by gender
      facial-recognition evaluate --people people/ --degrade --report worse.html

    \b
    pairs.csv; persons and folds where you know them:
      reference,probe,same,reference_person,probe_person,fold
      anna/1.jpg,anna/2.jpg,1,anna,anna,0
      anna/1.jpg,bert/1.jpg,0,anna,bert,0

    docs/evaluation.md says what each figure means.

    \b
    Exit codes:
      0 measured   2 wrong usage, or a list or weights that cannot be used
    """
    check_usage(options)
    if options["degrade"]:
        from flaskapp.cli.evaluating.degrading import degrade

        degrade(options)
        return
    if options["strangers"] is not None:
        from flaskapp.cli.evaluating.strangers import strangers

        strangers(options)
        return
    from flaskapp.cli.evaluating.measuring import measure
    from flaskapp.cli.evaluating.telling import tell

    tell(measure(options), options)


def check_usage(options: dict[str, Any]) -> None:
    """Refuse options that do not belong together."""
    given = [name for name in SOURCES if options[name] is not None]
    names = {name: f"--{name.replace('_', '-')}" for name in options}
    if len(given) != 1:
        raise click.UsageError(f"Give one of {', '.join(names[name] for name in SOURCES)}.")
    source = given[0]
    belong = {
        "root": ("pairs",),
        "role": ("sets",),
        "impostors": ("people", "sets"),
        "threshold": ("scores_from",),
        "band": ("scores_from",),
        "weights": ("pairs", "people", "sets", "strangers"),
        "scores": ("pairs", "people", "sets"),
        "hardest": ("pairs", "people", "sets"),
        "beside": ("pairs", "people", "sets"),
    }
    for name, sources in belong.items():
        if options[name] is not None and source not in sources:
            raise click.UsageError(f"{names[name]} goes with {' or '.join(names[s] for s in sources)}.")
    alone = ("scores_from", "strangers", "beside", "labels", "scores", "hardest", "impostors")
    for name in alone:
        if options["degrade"] and options[name] is not None:
            raise click.UsageError(f"{names[name]} does not go with --degrade.")
    _check_needs(source, options)
    check_band(options["threshold"], options["band"])


def _check_needs(source: str, options: dict[str, Any]) -> None:
    """Refuse a source or an option without what it needs."""
    needs = {
        "pairs": ("root", "--pairs needs --root, the folder that its paths start from."),
        "sets": ("role", "--sets needs --role."),
        "strangers": ("labels", "--strangers needs --labels, which names photos and groups."),
        "by": ("labels", "--by goes with --labels."),
        "band": ("threshold", "--band goes with --threshold, which lies within it."),
    }
    for name, (needed, said) in needs.items():
        if (name == source or (name in ("by", "band") and options[name])) and options[needed] is None:
            raise click.UsageError(said)


def check_band(threshold: float | None, band: tuple[float, float] | None) -> None:
    """Refuse a band that does not hold its threshold."""
    if band is not None and threshold is not None and not band[0] <= threshold <= band[1]:
        raise click.UsageError(f"--band expects LOW ≤ threshold ≤ HIGH. Received: {band[0]} and {band[1]}.")
