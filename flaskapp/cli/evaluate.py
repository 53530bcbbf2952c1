"""``facial-recognition evaluate``: how often the program is wrong on pairs of photos."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click

from flaskapp.cli.options import FILE, FOLDER, OUTPUT_FILE, OUTPUT_FOLDER, PAGE, ReadingCommand, finite


@click.command(cls=ReadingCommand)
@click.option(
    "--pairs", type=FILE, metavar="LIST", help="LFW's own list (view 1, 2), or a CSV: reference, probe, same."
)
@click.option("--root", type=FOLDER, metavar="DIR", help="Folder that the list's paths start from.")
@click.option("--people", type=FOLDER, metavar="DIR", help="A folder of photos for each person: all pairs.")
@click.option(
    "--impostors", type=click.IntRange(min=0), metavar="N", help="With --people: draw so many impostor pairs; else all."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of every draw.")
@click.option(
    "--scores-from",
    type=FILE,
    metavar="SCORES.csv",
    help="Another system's scores in place of photos: reference, probe, same, similarity_score.",
)
@click.option("--threshold", type=float, callback=finite, help="With --scores-from: match if score ≥ threshold.")
@click.option(
    "--band", type=(float, float), callback=finite, metavar="LOW HIGH", help="With --scores-from: inconclusive band."
)
@click.option("--labels", type=FILE, metavar="CSV", help="Groups of photos: a column path, others to group by.")
@click.option("--by", multiple=True, metavar="COLUMN", help="With --labels: group by this column; may be repeated.")
@click.option(
    "--face",
    type=click.Choice(["centre", "largest", "refuse"]),
    default="centre",
    help="Which of several faces to take; refuse makes such a photo a failure to acquire.",
)
@click.option("--weights", type=FILE, metavar="FILE.h5", help="Other weights than the shipped ones.")
@click.option("--scores", type=OUTPUT_FILE, metavar="OUT.csv", help="Write every pair's score and decision.")
@click.option("--json", "json_file", type=OUTPUT_FILE, metavar="OUT.json", help="Write all figures as JSON.")
@click.option("--without-names", is_flag=True, help="Keep the names of failed photos out of JSON and page.")
@click.option("--plots", type=OUTPUT_FOLDER, metavar="DIR", help="Draw ROC, DET, scores and reliability into DIR.")
@click.option("--report", type=PAGE, metavar="OUT.html", help="Write one page with figures and plots.")
def evaluate(**given: Any) -> None:
    """Measure how often the program is wrong on your own pairs of photos.

    It decides as `compare` does: threshold and band come with the weights; your pairs never
    change them. A photo without a usable face is reported, and its pairs count as non-match.
    Intervals are 95 % intervals by bootstrap over the people of both photos.

    \b
    Examples:
      facial-recognition evaluate --pairs pairsDevTest.txt --root lfw/
      facial-recognition evaluate --pairs pairs.txt --root lfw/ --report lfw.html
      facial-recognition evaluate --people people/ --impostors 100000 --json figures.json
      facial-recognition evaluate --pairs pairs.csv --root photos/ --labels groups.csv --by gender
      facial-recognition evaluate --scores-from peer.csv --threshold 0.4

    \b
    pairs.csv, with people and folds where you know them:
      reference,probe,same,reference_person,probe_person,fold
      anna/1.jpg,anna/2.jpg,1,anna,anna,0
      anna/1.jpg,bert/1.jpg,0,anna,bert,0

    docs/evaluation.md says what each figure means.

    \b
    Exit codes:
      0 measured   2 wrong usage, or a list or weights that cannot be used
    """
    from flaskapp.cli.measuring import check, list_pairs, measure_photos, measure_scores, tell

    asked = SimpleNamespace(**given)
    check(asked)
    measured = measure_scores(asked) if asked.scores_from else measure_photos(list_pairs(asked), asked)
    tell(measured, asked)
