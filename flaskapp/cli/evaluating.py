"""The command that measures: evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from flaskapp.cli.options import EXISTING_FILE, EXISTING_FOLDER, OUTPUT_FILE, OUTPUT_FOLDER
from flaskapp.cli.progress import progress_bar

if TYPE_CHECKING:
    from flaskapp.evaluation import Evaluation
    from flaskapp.preprocess.selection import Choice
    from flaskapp.scoring import PairScores

MOST_FAILURES_SHOWN = 20


@click.command()
@click.option(
    "--pairs",
    "pairs_file",
    required=True,
    type=EXISTING_FILE,
    help="LFW's own list of pairs, or a CSV with the columns reference, probe, same.",
)
@click.option("--root", required=True, type=EXISTING_FOLDER, help="Folder that the list's paths start from.")
@click.option(
    "--face",
    type=click.Choice(["centre", "largest", "refuse"]),
    default="centre",
    show_default=True,
    help="Which of several faces is taken; refuse makes it a failure to acquire.",
)
@click.option("--weights", type=EXISTING_FILE, metavar="FILE.h5", help="Other weights than the shipped ones.")
@click.option("--scores", type=OUTPUT_FILE, metavar="OUT.csv", help="Write every pair's score and decision.")
@click.option("--json", "json_file", type=OUTPUT_FILE, metavar="OUT.json", help="Write all figures as JSON.")
@click.option("--plots", type=OUTPUT_FOLDER, metavar="DIR", help="Draw ROC, DET and score histograms into DIR.")
def evaluate(
    pairs_file: Path,
    root: Path,
    face: str,
    weights: Path | None,
    scores: Path | None,
    json_file: Path | None,
    plots: Path | None,
) -> None:
    """Measure how often the program is wrong on your own pairs of photos.

    The decision is that of `compare`: threshold and band come with the weights and are not
    adapted to the pairs. A photo without a usable face makes its pairs non-matches, and is
    reported.

    \b
    Examples:
      facial-recognition evaluate --pairs pairsDevTest.txt --root lfw/
      facial-recognition evaluate --pairs pairs.csv --root photos/ --scores scores.csv
      facial-recognition evaluate --pairs pairs.csv --root photos/ --json figures.json --plots plots/

    \b
    pairs.csv:
      reference,probe,same
      anna/1.jpg,anna/2.jpg,1
      anna/1.jpg,bert/1.jpg,0

    \b
    Exit codes:
      0 measured   2 wrong usage, or a list or weights that cannot be used
    """
    from flaskapp import evaluation
    from flaskapp.dataset.pairs import read_pairs
    from flaskapp.runtime import Runtime, default_runtime
    from flaskapp.scoring import score_pairs

    pairs = read_pairs(pairs_file)
    runtime = Runtime(weights) if weights else default_runtime()
    scored = score_pairs(pairs, root, runtime, cast("Choice", face), progress_bar("Reading photos", "photos"))
    same = [pair.same for pair in pairs]
    result = evaluation.evaluate(
        scored.scores,
        same,
        threshold=runtime.info.threshold,
        band=runtime.info.inconclusive_band,
        sources=evaluation.sources_of(pairs),
        weights=runtime.info.weights_id,
    )
    click.echo(_table(result))
    _report_failures(scored)
    if scores:
        evaluation.write_scores_csv(scores, pairs, scored.scores, runtime.info.inconclusive_band)
    if json_file:
        answer = result.to_json() | {"failed_photos": scored.failures}
        json_file.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    if plots:
        _draw(plots, scored, same, result)


def _table(result: Evaluation) -> str:
    """Return the figures as lines of text, each rate with its counts and interval."""
    confusion, (low, high) = result.confusion, result.band
    false_matches = f"   {confusion.false_matches:,} of {confusion.impostor:,}"
    false_non_matches = f"   {confusion.false_non_matches:,} of {confusion.genuine:,}"
    rows = [
        ("weights", result.weights),
        ("pairs", f"{confusion.pairs:,}: {confusion.genuine:,} genuine, {confusion.impostor:,} impostor"),
        ("failures to acquire", f"{result.failures_to_acquire:,} pairs, counted as non-match"),
        ("threshold", f"{result.threshold:.4f}"),
        ("inconclusive band", f"{low:.4f} to {high:.4f}"),
        ("accuracy", _with_interval(result, "accuracy", confusion.accuracy)),
        ("precision", _percent(confusion.precision)),
        ("recall", _percent(confusion.recall)),
        ("F1", _percent(confusion.f1)),
        ("FMR", _with_interval(result, "fmr", confusion.fmr) + false_matches),
        ("FNMR", _with_interval(result, "fnmr", confusion.fnmr) + false_non_matches),
        ("EER", _with_interval(result, "eer", result.eer)),
        ("AUC", "—" if result.auc is None else f"{result.auc:.5f}"),
    ]
    rows += [(f"FNMR at FMR {float(key):.1%}", _at_stated_fmr(result, key)) for key in result.fnmr_at_fmr]
    return "\n".join([f"  {name:<20} {value}" for name, value in rows] + [f"  {line}" for line in result.in_words()])


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.2%}"


def _with_interval(result: Evaluation, name: str, share: float | None) -> str:
    interval = result.intervals.get(name)
    if share is None or interval is None:
        return _percent(share)
    return f"{share:.2%}   95 % interval {interval.low:.2%} to {interval.high:.2%}"


def _at_stated_fmr(result: Evaluation, key: str) -> str:
    share = result.fnmr_at_fmr[key]
    return f"not claimed: {result.reasons[f'fnmr_at_fmr.{key}']}" if share is None else f"{share:.2%}"


def _report_failures(scored: PairScores) -> None:
    for photo, reason in list(scored.failures.items())[:MOST_FAILURES_SHOWN]:
        click.echo(f"  failure to acquire: {photo}: {reason}", err=True)
    hidden = len(scored.failures) - MOST_FAILURES_SHOWN
    if hidden > 0:
        click.echo(f"  … and {hidden:,} more; --json lists them all.", err=True)


def _draw(folder: Path, scored: PairScores, same: list[bool], result: Evaluation) -> None:
    from flaskapp import plots

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in plots.plot_evaluation(scored.scores, same, result).items():
        plots.save(figure, folder / f"{name}.png")
