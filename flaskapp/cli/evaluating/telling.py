"""What evaluate tells: a table, and the files that were asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from flaskapp import report
from flaskapp.cli.evaluating.measuring import Measured
from flaskapp.pairs.lists import PhotoPair, write_scores_csv
from flaskapp.report.rows import GROUP_HEAD, Row

MOST_FAILURES_SHOWN = 20
HARDEST = 8

METHOD = (
    "Intervals are 95 % intervals by bootstrap: people are drawn, not pairs, and a pair counts as often as both of "
    "its people were drawn. A figure that so few pairs, errors or people cannot show is not claimed: an FMR of x "
    "takes 10/x impostor pairs, 10 observed errors and 500 people. A photo without a usable face is a failure to "
    "acquire; its pairs count as non-match in every rate, and have no part in the figures on calibration."
)
CALIBRATION = (
    "Were every score the chance of “same person” among equally many genuine and impostor pairs, the points would "
    "lie on the diagonal. ECE is their mean distance from it; Cllr counts in bits what the scores leave unsaid, and "
    "Cllr − minCllr is the part of it that a better scale would save."
)
PEER = (
    "Both systems saw the same pairs, and every interval draws the same people for both. The peer's accuracy is at the "
    "threshold that is most accurate for it on these very pairs, which flatters it; ours came with the weights."
)
PICTURES = {
    "scores": "Histograms of the scores of genuine and impostor pairs, with band and threshold.",
    "roc": "ROC: true match rate over false match rate, on a logarithmic scale.",
    "det": "DET: false non-match rate over false match rate, on axes of normal deviates.",
    "reliability": "Reliability curve: share of genuine pairs over the score, and how many pairs lie in each bin.",
}


def tell(measured: Measured, options: dict[str, Any]) -> None:
    """Print the table and write what was asked for."""
    click.echo(table(measured))
    report_failures(measured.failures)
    if options["scores"]:
        write_scores_csv(options["scores"], measured.pairs, measured.scores, measured.result.band)
    if options["json_file"]:
        options["json_file"].write_text(json.dumps(measured.to_json(), indent=1) + "\n", encoding="utf-8")
    if options["plots"]:
        _draw(options["plots"], measured)
    if options["report"]:
        options["report"].write_text(page(measured), encoding="utf-8")
    if options["hardest"]:
        _draw_hardest(options["hardest"], measured, options["face"])


def table(measured: Measured) -> str:
    """Return the figures as lines of text, each rate with its counts and interval."""
    result = measured.result
    settings = [f"  {row.name:<21} {row.value}" for row in report.setting_rows(result)]
    figures = [Row("", "", "95 % interval", ""), *report.fold_rows(result), *report.figure_rows(result)]
    lines = [*settings, "", *columns(figures), "", *(f"  {line}" for line in result.in_words())]
    if measured.groups:
        lines += ["", *columns([GROUP_HEAD, *report.group_rows(measured.groups)])]
    if measured.beside:
        lines += ["", *columns([report.BESIDE_HEAD, *report.beside_rows(measured.beside)])]
    return "\n".join(lines)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align cells below each other; the last one may be as long as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def report_failures(failures: dict[str, str]) -> None:
    """Say which photos failed, the first of many."""
    for photo, reason in list(failures.items())[:MOST_FAILURES_SHOWN]:
        click.echo(f"  failure to acquire: {photo}: {reason}", err=True)
    hidden = len(failures) - MOST_FAILURES_SHOWN
    if hidden > 0:
        click.echo(f"  … and {hidden:,} more; --json lists them all.", err=True)


def page(measured: Measured) -> str:
    """Return the report as one HTML file."""
    from flaskapp import plots

    result = measured.result
    figures = plots.plot_evaluation(measured.scores, measured.same, result)
    pictures = {name: report.picture(figure, PICTURES[name]) for name, figure in figures.items()}
    head = ("", "value", "95 % interval", "counts")
    sections = [
        report.Section(
            "What was measured", (), report.Table(("", ""), [row[:2] for row in report.setting_rows(result)])
        ),
        report.Section(
            "Figures", (METHOD,), report.Table(head, [*report.fold_rows(result), *report.figure_rows(result)])
        ),
        report.Section("Verdicts", result.in_words()),
    ]
    if measured.groups:
        sections.append(report.Section("By group", (), report.Table(GROUP_HEAD, report.group_rows(measured.groups))))
    if measured.beside:
        peers = report.Table(report.BESIDE_HEAD, report.beside_rows(measured.beside))
        sections.append(report.Section("Beside a peer", (PEER,), peers))
    curves = [pictures[name] for name in ("roc", "det", "scores") if name in pictures]
    sections.append(report.Section("Curves", (), None, curves))
    if "reliability" in pictures:
        sections.append(report.Section("Calibration", (CALIBRATION,), None, [pictures["reliability"]]))
    if measured.failures:
        rows = list(measured.failures.items())
        sections.append(report.Section("Failures to acquire", (), report.Table(("photo", "why"), rows)))
    return report.page(measured.title, "Measured by facial-recognition evaluate.", sections)


def _draw(folder: Path, measured: Measured) -> None:
    from flaskapp import plots

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in plots.plot_evaluation(measured.scores, measured.same, measured.result).items():
        plots.save(figure, folder / f"{name}.png")


def _draw_hardest(path: Path, measured: Measured, face: Any) -> None:
    from flaskapp import plots

    genuine, impostor = hardest(measured.scores, measured.same)
    if not len(genuine) + len(impostor):
        click.echo("No pair has a score, so none is hardest.", err=True)
        return
    views = ([_hard_pair(measured, int(index), face) for index in rows] for rows in (genuine, impostor))
    plots.save(plots.plot_hardest(*views), path)
    click.echo(f"Drawn: {path}. It shows faces: handle it like the photos themselves.", err=True)


def hardest(scores: np.ndarray, same: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the genuine pairs of lowest and the impostor pairs of highest score."""
    kinds = np.array(same, bool)
    order = np.argsort(scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    return order[kinds[order]][:HARDEST], order[~kinds[order]][::-1][:HARDEST]


def _hard_pair(measured: Measured, index: int, face: Any) -> Any:
    from flaskapp.dataset.files import read_photo
    from flaskapp.plots import HardPair
    from flaskapp.preprocess import crop_photo

    pair: PhotoPair = measured.pairs[index]
    names = pair.reference, pair.probe
    root = measured.root or Path()
    crops = [crop_photo(read_photo(root / name), choice=face) for name in names]
    return HardPair(crops[0], crops[1], float(measured.scores[index]), names)
