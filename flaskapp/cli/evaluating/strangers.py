"""What evaluate --strangers tells: false matches and failures to acquire by group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import click

from flaskapp import report
from flaskapp.cli.evaluating.measuring import command_line, runtime_of, spare_photos
from flaskapp.cli.evaluating.telling import columns, report_failures
from flaskapp.cli.progress import progress_bar
from flaskapp.evaluation import Operating, Rate
from flaskapp.fairness import Fairness, measure_strangers
from flaskapp.pairs.labels import read_labels
from flaskapp.preprocess.selection import Choice
from flaskapp.report.rows import interval_text

HEAD = ("", "rate", "95 % interval", "of")
METHOD = (
    "No two photos show one person, so every match is a false one. Rates count pairs of photos with usable faces; "
    "photos without one are counted apart, by group. Intervals draw photos again, and a pair counts as often as both "
    "of its photos were drawn. Pairs are those of the labels as given: whoever labelled the photos judged by looks. "
    "Were one person in two photos after all, a true match would be counted as a false one."
)
PICTURE = "False match rates across and within groups, and failures to acquire, with intervals."


def strangers(options: dict[str, Any]) -> None:
    """Measure, print, and write what was asked for."""
    runtime = runtime_of(options)
    labels = read_labels(options["labels"], options["by"])
    spare_photos(list(labels.of_photo), options["strangers"], options)
    found = measure_strangers(
        labels,
        options["strangers"],
        runtime,
        seed=options["seed"],
        choice=cast("Choice", options["face"]),
        reading=progress_bar("Reading photos", "photos"),
        comparing=progress_bar("Comparing", "rows"),
    )
    title = f"Strangers of {options['strangers'].resolve().name}, by {', '.join(labels.columns)}"
    click.echo("\n".join(_lines(found)))
    report_failures(found.failures)
    if options["json_file"]:
        failures = {} if options["without_names"] else found.failures
        told = {"measured": title, "command": command_line(options), "weights": found.weights}
        counts = {"photos_failed": len(found.failures), "failed_photos": failures}
        text = json.dumps({**told, **found.strangers.to_json(), **counts}, indent=1)
        options["json_file"].write_text(text + "\n", encoding="utf-8")
    if options["plots"] or options["report"]:
        _draw(found, title, options)


def _lines(found: Fairness) -> list[str]:
    usable = found.strangers.photos - len(found.failures)
    lines = [
        f"  {'weights':<20} {found.weights}",
        f"  {'photos':<20} {found.strangers.photos:,}, of which {usable:,} usable",
        f"  {'pairs of strangers':<20} {usable * (usable - 1) // 2:,}",
    ]
    for title, rows in _tables(found):
        lines += ["", f"  {title}", *columns([HEAD, *rows])]
    return lines


def _tables(found: Fairness) -> list[tuple[str, list[tuple[str, ...]]]]:
    told = found.strangers
    tables = [("failures to acquire", [*_by_value(told.failures), *_rows(told.failures_of_cells)])]
    for point in told.operating:
        rows = [
            _row("all pairs", point.everybody),
            _row("alike in all labels", point.alike),
            _row("unlike in all labels", point.unlike),
            *_by_value(point.within, "within "),
            *_rows(point.cells, "within "),
        ]
        tables.append((f"false matches, {point.name} ({point.threshold:.4f})", rows + _spreads(point)))
    return tables


def _by_value(rates: Mapping[str, Mapping[str, Rate]], prefix: str = "") -> list[tuple[str, ...]]:
    return [
        _row(f"{prefix}{column}={value}", rate)
        for column, of_value in rates.items()
        for value, rate in of_value.items()
    ]


def _rows(rates: Mapping[str, Rate], prefix: str = "") -> list[tuple[str, ...]]:
    return [_row(prefix + name, rate) for name, rate in rates.items()]


def _row(name: str, rate: Rate) -> tuple[str, ...]:
    shown = "—" if rate.share is None else report.percent(rate.share)
    return name, shown, interval_text(rate.interval), f"{rate.errors:,} of {rate.trials:,}"


def _spreads(point: Operating) -> list[tuple[str, ...]]:
    return [
        (
            f"highest {column} over their geometric mean",
            "—" if spread is None else f"{spread:.2f}",
            "",
            "not claimed: a group has fewer than 10 errors" if spread is None else "",
        )
        for column, spread in point.spread.items()
    ]


def _across(point: Operating) -> report.Table:
    """Return the first column's groups against each other."""
    names = list(dict.fromkeys(name for pair in point.across for name in pair))
    return report.Table(("", *names), [(a, *(_cell(point, a, b) for b in names)) for a in names])


def _cell(point: Operating, a: str, b: str) -> str:
    rate = point.across.get((a, b)) or point.across[(b, a)]
    return "—" if rate.share is None else report.percent(rate.share)


def _draw(found: Fairness, title: str, options: dict[str, Any]) -> None:
    from flaskapp import plots

    figure = plots.plot_fairness(found.strangers)
    if options["plots"]:
        options["plots"].mkdir(parents=True, exist_ok=True)
        plots.save(figure, options["plots"] / "fairness.png")
    if options["report"]:
        sections: Sequence[report.Section] = [
            report.Section(
                "What was measured", (METHOD, f"Weights: {found.weights}."), None, [report.picture(figure, PICTURE)]
            ),
            *(report.Section(name.capitalize(), (), report.Table(HEAD, rows)) for name, rows in _tables(found)),
            *(
                report.Section(f"Across {found.strangers.columns[0]}, {point.name}", (), _across(point))
                for point in found.strangers.operating
            ),
        ]
        page = report.page(title, "Measured by facial-recognition evaluate --strangers.", sections)
        options["report"].write_text(page, encoding="utf-8")
