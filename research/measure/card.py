"""The model card: what the weights are and how good they are, for people who may use them.

Every figure in it comes from JSON: the note beside the weights, and what the measuring commands
wrote by ``--json``. M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from flaskapp.errors import DataError
from flaskapp.evaluation import Interval
from flaskapp.report.rows import interval_text, percent
from flaskapp.weights.info import default_weights_path, read_info
from research.measure.worse_photos import ERRORS, WAYS

Json = Mapping[str, Any]

RUNS = {
    "view_1": "1-lfw-view-1",
    "view_2": "1b-lfw-view-2",
    "people": "1c-lfw-people",
    "reporting": "2-reporting",
    "mixture": "2b-mixture",
    "strangers": "3-strangers",
    "ages": "3b-strangers-by-age",
    "worse": "4-worse-photos",
    "relatives": "5-relatives",
    "years": "5b-ages",
}
"""What the card calls each run, and the name of its file."""
MAY_BE_ABSENT = ("mixture", "relatives", "years")


def write_card(files: Sequence[Path], weights: Path | None, out: Path) -> None:
    """Write the card, and its figures beside the runs.

    Args:
        files: the runs' JSON, named as in ``RUNS``, in one folder.
        weights: None = the shipped ones.
        out: where to.

    Raises:
        DataError: a run is missing, cannot be read, or is of other weights.
    """
    from flaskapp import plots
    from research.plots.card import draw_card

    note = read_info(weights or default_weights_path()).details
    runs = read_runs(files, weights_id(note))
    folder = files[0].parent
    try:
        card = model_card(note, runs, Path(os.path.relpath(folder, out.parent)).as_posix())
        figures = draw_card(runs)
    except (KeyError, TypeError, ValueError, jinja2.UndefinedError) as error:
        raise DataError(
            f"A run lacks what the card tells ({type(error).__name__}: {error}).", "Measure anew."
        ) from None
    for name, figure in figures.items():
        plots.save(figure, folder / f"{name}.png")
    out.write_text(card, encoding="utf-8")


def read_runs(files: Sequence[Path], weights: str) -> dict[str, Json]:
    """Read the runs, by what the card calls them; see ``write_card`` for what is refused."""
    by_name = {file.stem: file for file in files}
    missing = [run for run, name in RUNS.items() if name not in by_name]
    if needed := [f"{RUNS[run]}.json" for run in missing if run not in MAY_BE_ABSENT]:
        raise DataError(f"The card also needs {', '.join(needed)}.", "`make figures` measures all of it.")
    return {run: _read(by_name[name], weights) for run, name in RUNS.items() if run not in missing}


def _read(run: Path, weights: str) -> Json:
    try:
        told = json.loads(run.read_text(encoding="utf-8"))
        measured = told["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{run.name} is no JSON of evaluate.", "Give what evaluate --json wrote.") from None
    if measured != weights:
        raise DataError(f"{run.name} was measured with {measured}, and the card is of {weights}.", "Measure anew.")
    return dict(told)


def model_card(note: Json, runs: Mapping[str, Json], folder: str = "figures") -> str:
    """Return the card as Markdown.

    Args:
        note: what belongs to the weights.
        runs: the JSON of each run, by its name in ``RUNS``.
        folder: where the runs lie, seen from the card.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("research.measure", ""),
        autoescape=False,  # noqa: S701 - it is Markdown
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": "{:,}".format, "interval": _interval, "rate": _rate}
    environment.filters |= {"verdict": _verdict, "calibration": _calibration}
    return environment.get_template("model-card.md").render(
        note=note,
        weights=weights_id(note),
        files={run: f"{folder}/{name}.json" for run, name in RUNS.items()},
        folder=folder,
        rows=_rows(runs),
        reference_rows=_reference_rows(note),
        races=_by_rate(runs["strangers"]["operating_points"][1]["within"]["race"]),
        unusable=_by_rate(runs["strangers"]["failures_to_acquire"]["race"]),
        ages=_by_rate(runs["ages"]["operating_points"][1]["within"]["age"]),
        grades=_grade_rows(note.get("counts_by_grades", {})),
        poor=_poor_rows(runs["worse"]["kinds"]),
        **{run: runs.get(run) for run in ("reporting", "worse", *MAY_BE_ABSENT)},
    )


def weights_id(note: Json) -> str:
    """Return how runs name these weights."""
    return f"{note['name']}@{str(note['sha256'])[:12]}"


def _rows(runs: Mapping[str, Json]) -> list[tuple[str, ...]]:
    """Return the card's few rows: run, what it measured, figure, value, interval, counts."""
    folds = runs["view_2"]["view_2"]
    people, read_match = runs["people"], runs["strangers"]["operating_points"][1]["everybody"]
    at_tenth = "fnmr_at_fmr.0.001"
    return [
        ("view_2", "LFW, view 2", f"accuracy, mean of {len(folds['pairs'])} folds", percent(folds["mean_accuracy"]),
         f"± {percent(folds['standard_error'])} (standard error)", f"{sum(folds['pairs']):,} pairs"),
        ("people", "LFW, everybody", "FNMR at FMR 0.1 %", percent(people["fnmr_at_fmr"]["0.001"]),
         _interval(people["intervals"][at_tenth]), _pairs(people)),
        *(("reporting", "CelebA, people unseen before", name, percent(runs["reporting"][key]),
           _interval(runs["reporting"]["intervals"][key]), _pairs(runs["reporting"]))
          for key, name in (("eer", "EER"), ("fmr", "FMR at the threshold"), ("fnmr", "FNMR at the threshold"))),
        ("strangers", "FairFace, strangers", "pairs that read `match`", percent(read_match["rate"]),
         _interval(read_match["interval"]), f"{read_match['errors']:,} of {read_match['trials']:,}"),
    ]  # fmt: skip


def _reference_rows(note: Json) -> list[tuple[str, ...]]:
    """Return a row for each number of photos of one person; none where the weights tell of none."""
    rows = []
    for row in note.get("references", {}).get("figures", ()):
        counts, intervals = row["decisions"], row["intervals"]
        told = {f"fnmr_at_fmr.{fmr}": row["fnmr_at_fmr"][fmr] for fmr in ("0.01", "0.001")}
        told["impostor.match"] = counts["impostor"]["match"] / row["impostor"]
        told["genuine.non_match"] = counts["genuine"]["non_match"] / row["genuine"]
        cells = [
            "too few people" if value is None else f"{percent(value)} ({_interval(intervals[name])})"
            for name, value in told.items()
        ]
        rows.append((str(row["references"]), *cells, f"{row['ece']:.3f}", f"{row['people']:,}", _pairs(row)))
    return rows


def _grade_rows(by_grades: Mapping[str, Json]) -> list[tuple[str, ...]]:
    """Return, for each two grades, pairs of strangers and of one person with their errors and what is inconclusive."""
    rows = []
    for grades, counts in by_grades.items():
        cells = [grades]
        for of, error in ERRORS.items():
            pairs = sum(counts[of].values())
            cells.append(f"{pairs:,}")
            for verdict in (error, "inconclusive"):
                low, high = counts["intervals"][verdict][of]
                # Drawing people again shows no error that never was: that is no interval.
                interval = interval_text(Interval(low, high)) + "; " if low < high else ""
                cells.append(f"{percent(counts[of][verdict] / pairs)} ({interval}{counts[of][verdict]:,})")
        rows.append(tuple(cells))
    return rows


def _poor_rows(kinds: Mapping[str, Json]) -> list[tuple[str, ...]]:
    """Return, for each kind of poor photos, its worst steps: errors where both are poor alike and in any way."""
    return [
        (
            kind,
            *(_worst(part["steps"], of, error, ways) for of, error in ERRORS.items() for ways in (("alike",), WAYS)),
            *(_worst(part["steps"], of, "inconclusive", ("alike",)) for of in ERRORS),
        )
        for kind, part in kinds.items()
        if "alike" in part["steps"][0]["ways"]
    ]


def _worst(steps: Sequence[Json], of: str, verdict: str, ways: Sequence[str]) -> str:
    cells = ((step["ways"][way][of], step["step"], way) for step in steps for way in ways)
    cell, step, way = max(cells, key=lambda each: each[0][verdict] / each[0]["pairs"])
    if len(ways) > 1 and way == "alike":
        return way
    place = f"; at {step}" + f", {way}" * (len(ways) > 1)
    return f"{percent(cell[verdict] / cell['pairs'])} ({cell[verdict]:,}{place * (cell[verdict] > 0)})"


def _by_rate(rates: Mapping[str, Json]) -> list[dict[str, Any]]:
    """Sort groups from the lowest rate to the highest."""
    return sorted(({"name": name, **rate} for name, rate in rates.items()), key=lambda group: group["rate"])


def _pairs(run: Json) -> str:
    return f"{run['genuine']:,} genuine, {run['impostor']:,} impostor"


def _rate(told: Json) -> str:
    """Write a rate with its interval and counts."""
    return f"{percent(told['rate'])} ({_interval(told['interval'])}; {told['errors']:,} of {told['trials']:,})"


def _calibration(run: Json) -> str:
    """Say what calibration costs, of all pairs and by the grade of the worse photo."""
    whole = f"ECE {run['ece']:.3f}, Cllr − minCllr {run['calibration_loss']:.3f} bits"
    parts = [f"{part['ece']:.3f} where it is {grade}" for grade, part in run.get("by_worse_grade", {}).items()]
    return f"{whole}; by the worse photo, ECE {', '.join(parts)}" if parts else whole


def _verdict(shares: Json, name: str) -> str:
    """Write a verdict's share of a group of pairs with its interval and counts."""
    told = shares[name]
    interval = interval_text(Interval(told["low"], told["high"])) + "; " if "low" in told else ""
    return f"{percent(told['share'])} ({interval}{told['count']:,} of {shares['pairs']:,})"


def _interval(told: Json) -> str:
    return interval_text(Interval(**told))
