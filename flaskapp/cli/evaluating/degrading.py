"""What evaluate --degrade tells: error rates as photos get worse."""

from __future__ import annotations

import json
from typing import Any, cast

import click

from flaskapp import report
from flaskapp.cli.evaluating.measuring import command_line, list_pairs, runtime_of, spare_photos
from flaskapp.cli.evaluating.telling import columns
from flaskapp.cli.progress import progress_bar
from flaskapp.degrading import KINDS
from flaskapp.pairs.lists import photos_of
from flaskapp.preprocess.selection import Choice
from flaskapp.report.rows import interval_text
from flaskapp.robustness import Robustness, Step, measure_robustness

HEAD = ("step", "FNMR", "95 % interval", "of", "failed", "match", "inconcl.", "non-match", "FMR", "95 % interval", "of")

METHOD = (
    "Only the probe was changed, before any face was looked for; the reference is as it was. The same pairs went "
    "through every step. A photo in which no face is found any more is a failure to acquire and counts as non-match. "
    "Match, inconclusive and non-match are the verdicts on genuine pairs by the band that came with the weights. "
    "FMR counts each changed probe against the references of all other people."
)
PICTURE = "FNMR, FMR and failures to acquire over the steps of each way of getting worse, with intervals."


def degrade(options: dict[str, Any]) -> None:
    """Measure, print, and write what was asked for."""
    runtime = runtime_of(options)
    pairs, root, title = list_pairs({**options, "impostors": 0})
    spare_photos(photos_of(pairs), root, options)
    robustness = measure_robustness(
        pairs,
        root,
        runtime,
        options["pairs_a_step"],
        seed=options["seed"],
        choice=cast("Choice", options["face"]),
        progress=progress_bar("Making photos worse", "photos", each=1 + len(KINDS) * len(KINDS[0].values)),
    )
    title = f"Worse photos: {title.partition(':')[0]}"
    click.echo("\n".join(_lines(robustness)))
    if options["json_file"]:
        told = {"measured": title, "command": command_line(options), **robustness.to_json()}
        options["json_file"].write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if options["plots"] or options["report"]:
        _draw(robustness, title, options)


def _lines(robustness: Robustness) -> list[str]:
    told = [f"  {name:<18} {value}" for name, value in _settings(robustness)]
    for name, label, rows in _tables(robustness):
        told += ["", f"  {name}: {label}", *columns([HEAD, *rows])]
    return told


def _settings(robustness: Robustness) -> list[tuple[str, str]]:
    pairs, population = robustness.unchanged.confusion, robustness.unchanged.population
    people = f" of {population.count:,} {'people' if population.unit == 'person' else 'photos'}" if population else ""
    return [
        ("weights", robustness.unchanged.weights or "not named"),
        ("pairs a step", f"{pairs.genuine:,} genuine, {pairs.impostor:,} impostor{people}"),
        ("threshold", f"{robustness.unchanged.threshold:.4f}"),
        ("yaw unknown", f"{robustness.without_yaw:,} genuine pairs, a photo of which shows no usable face"),
    ]


def _tables(robustness: Robustness) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    unchanged = ("unchanged", "the photos as they are", [_row(Step("", 0, "as they are", robustness.unchanged))])
    kinds = [(kind, label, [_row(s) for s in robustness.of(kind)]) for kind, label in robustness.labels.items()]
    return [unchanged, *kinds]


def _row(step: Step) -> tuple[str, ...]:
    result = step.result
    confusion, verdicts = result.confusion, result.decisions["genuine"]
    shown = ["—" if rate is None else report.percent(rate) for rate in (confusion.fnmr, confusion.fmr)]
    fnmr, fmr = (interval_text(result.intervals.get(name)) for name in ("fnmr", "fmr"))
    shares = [report.percent(part / confusion.genuine) if confusion.genuine else "—" for part in
              (verdicts.match, verdicts.inconclusive, verdicts.non_match)]  # fmt: skip
    missed = f"{confusion.false_non_matches:,} of {confusion.genuine:,}"
    let_in = f"{confusion.false_matches:,} of {confusion.impostor:,}"
    return step.label, shown[0], fnmr, missed, f"{result.failures['genuine']:,}", *shares, shown[1], fmr, let_in


def _draw(robustness: Robustness, title: str, options: dict[str, Any]) -> None:
    from flaskapp import plots

    figure = plots.plot_robustness(robustness)
    if options["plots"]:
        options["plots"].mkdir(parents=True, exist_ok=True)
        plots.save(figure, options["plots"] / "robustness.png")
    if options["report"]:
        sections = [
            report.Section("What was measured", (METHOD,), report.Table(("", ""), _settings(robustness))),
            report.Section("Plots", (), None, [report.picture(figure, PICTURE)]),
            *(report.Section(name, (label,), report.Table(HEAD, rows)) for name, label, rows in _tables(robustness)),
        ]
        page = report.page(title, "Measured by facial-recognition evaluate --degrade.", sections)
        options["report"].write_text(page, encoding="utf-8")
