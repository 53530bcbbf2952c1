"""The model card: what the weights are, and what runs of the measuring commands say of them, as Markdown.

Everything in it comes from JSON: the note beside the weights, and the files that ``--json``
wrote. M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from flaskapp.errors import DataError
from flaskapp.evaluation import Interval
from flaskapp.report import VERDICT_HEAD, Table, interval_text, percent, verdict_rows
from flaskapp.report.rows import NAMES, PLAIN, name_of
from flaskapp.weights.info import default_weights_path, read_info
from research.measure.beside import BESIDE_HEAD, Beside, beside_rows

Json = Mapping[str, Any]

MOST_ECE, MOST_LOSS = 0.03, 0.02
"""What calibration is to reach: ECE, and Cllr − minCllr in bits."""

PEER = (
    "The peer on the same pairs, at the threshold that is best for it on them; every interval draws the same people\n"
    "for both:"
)


def write_card(runs: Sequence[Path], weights: Path | None, recipe: Path | None, out: Path) -> None:
    """Write the card.

    Args:
        runs: JSON files, in the order in which they are to be told.
        weights: None = the shipped ones.
        recipe: Markdown on how the recipe was chosen.
        out: where to.

    Raises:
        DataError: a run cannot be read, or is of other weights.
    """
    note = read_info(weights or default_weights_path()).details
    told = [_read(run, weights_id(note)) for run in runs]
    text = _text_of(recipe) if recipe else ""
    try:
        card = model_card(note, told, text)
    except (KeyError, TypeError, ValueError, jinja2.UndefinedError) as error:
        raise DataError(
            f"A run lacks what the card tells ({type(error).__name__}: {error}).", "Measure anew."
        ) from None
    out.write_text(card, encoding="utf-8")


def _text_of(recipe: Path) -> str:
    try:
        return recipe.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{recipe.name} is not text in UTF-8.", "Save it as UTF-8.") from None


def _read(run: Path, weights: str) -> dict[str, Any]:
    try:
        told = json.loads(run.read_text(encoding="utf-8"))
        measured = told["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{run.name} is no JSON of evaluate.", "Give what evaluate --json wrote.") from None
    if measured != weights:
        raise DataError(f"{run.name} was measured with {measured}, and the card is of {weights}.", "Measure anew.")
    return dict(told)


def model_card(note: Json, runs: Sequence[Json], recipe: str = "") -> str:
    """Return the card as Markdown.

    Args:
        note: what belongs to the weights.
        runs: JSON of ``evaluate``, ``strangers`` and ``worse-photos``, in the order in which they are to be
            told; those of other weights are refused by whoever calls.
        recipe: Markdown on how the recipe was chosen, told as it is.
    """
    low, high = note["inconclusive_band"]
    training = note.get("training")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("research.measure", ""),
        autoescape=False,  # noqa: S701 - it is Markdown
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters |= {"table": _table, "percent": percent, "count": "{:,}".format}
    return environment.get_template("model-card.md").render(
        note=note,
        weights=Table(("", ""), _weights(note)),
        low=low,
        high=high,
        choice=note.get("band_choice"),
        verdicts=Table(VERDICT_HEAD, verdict_rows(note["error_counts"])),
        data=_data(note.get("data", {})),
        training=Table(("", ""), [(f"`{name}`", _plain(value)) for name, value in _flat(training)])
        if training
        else None,
        recipe=recipe,
        runs=[{"title": run["measured"], "command": run["command"], "parts": _parts(run)} for run in runs],
    )


def weights_id(note: Json) -> str:
    """Return how runs name these weights."""
    return f"{note['name']}@{str(note['sha256'])[:12]}"


def _table(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _weights(note: Json) -> list[tuple[str, str]]:
    rows = [("id", f"`{weights_id(note)}`"), ("made", str(note.get("created", "not recorded")))]
    if "parameters" in note:
        rows.append(("parameters", f"{note['parameters']:,}"))
    return [
        *rows,
        ("what it is", "a Siamese network: 100×100 RGB face → 4,096 numbers; their L1 distance → a similarity score"),
        ("terms", str(note.get("terms", "not recorded"))),
    ]


def _data(data: Json) -> Table | None:
    if not data:
        return None
    roles = list(dict.fromkeys(role for part in data.values() for role in part["photos"]))
    rows = [
        (name, *(f"{part['photos'].get(role, 0):,}" for role in roles), part.get("terms", "not stated"))
        for name, part in data.items()
    ]
    return Table(("set", *roles, "terms"), rows)


def _training(told: Json) -> list[tuple[str, str]]:
    return [(f"`{name}`", _plain(value)) for name, value in _flat(told)]


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(name, value)]
    return [pair for key, part in value.items() for pair in _flat(part, f"{name}.{key}" if name else str(key))]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "–" if value is None else str(value)


def _parts(run: Json) -> list[str | Table]:
    """Return what a run tells, paragraphs and tables."""
    if "degraded" in run:
        return _degraded(run)
    return _strangers(run) if "operating_points" in run else _evaluation(run)


def _evaluation(run: Json) -> list[str | Table]:
    method = run.get("interval_method")
    drawn = {"person": "people", "photo": "photos, since nobody knows who is who"}
    whom = f", {method['count']:,} {drawn[method['drawn']]}" if method else ""
    told: list[str | Table] = [
        f"{run['genuine']:,} genuine and {run['impostor']:,} impostor pairs{whom}; {run['photos_failed']:,} of "
        f"{run['photos']:,} photos failed to acquire.",
        Table(("figure", "value", "95 % interval"), _figure_rows(run)),
    ]
    if run.get("ece") is not None and run.get("calibration_loss") is not None:
        told.append(_calibration(run["ece"], run["calibration_loss"]))
    if run.get("beside"):
        figures = {
            name: Beside(**{key: part for key, part in told_of.items() if key != "difference"})
            for name, told_of in run["beside"].items()
        }
        told += [PEER, Table(("figure", *BESIDE_HEAD[1:]), beside_rows(figures))]
    if run.get("groups"):
        rows = [
            (name, *_rate_cells(group, "fnmr", "false_non_matches", "genuine"), *_rate_cells(group, "fmr",
             "false_matches", "impostor"), _number(group["ece"]), _number(group["calibration_loss"]))
            for name, group in run["groups"].items()
        ]  # fmt: skip
        told.append(Table(("pairs within", "FNMR", "of", "FMR", "of", "ECE", "Cllr − minCllr"), rows))
    return told


def _figure_rows(run: Json) -> list[tuple[str, str, str]]:
    rows = []
    if run.get("view_2"):
        folds = run["view_2"]
        value = f"{100 * folds['mean_accuracy']:.2f} ± {percent(folds['standard_error'])}"
        rows.append(("view 2: mean accuracy ± standard error", value, "thresholds from the other folds"))
    figures = {name: run[name] for name in NAMES if name in run}
    figures |= {f"fnmr_at_fmr.{key}": value for key, value in run["fnmr_at_fmr"].items()}
    for key, value in figures.items():
        plain = key in PLAIN
        if value is None:
            rows.append((name_of(key), "–", f"not claimed: {run['reasons'][key]}"))
        else:
            rows.append((name_of(key), _number(value) if plain else percent(value), _interval(run, key, plain=plain)))
    return rows


def _interval(run: Json, key: str, *, plain: bool = False) -> str:
    told = run["intervals"].get(key)
    return interval_text(Interval(**told) if told else None, plain=plain)


def _calibration(ece: float, loss: float) -> str:
    """Say whether the scores keep what they promise."""
    kept = "keeps" if ece <= MOST_ECE and loss <= MOST_LOSS else "does not keep"
    return (
        f"Calibration {kept} what it is to reach here: ECE {ece:.4f} (at most {MOST_ECE}), Cllr − minCllr "
        f"{loss:.4f} bits (at most {MOST_LOSS})."
    )


def _rate_cells(run: Json, key: str, errors: str, pairs: str) -> tuple[str, str]:
    value, interval = run[key], _interval(run, key)
    shown = "–" if value is None else percent(value) + (f" ({interval})" if interval else "")
    return shown, f"{run[errors]:,} of {run[pairs]:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _degraded(run: Json) -> list[str | Table]:
    unchanged = run["unchanged"]
    rows = [("unchanged", "", *_step_cells(unchanged))]
    for kind, part in run["degraded"].items():
        rows += [
            (kind if not index else "", step["step"], *_step_cells(step)) for index, step in enumerate(part["steps"])
        ]
    labels = "; ".join(f"*{kind}*: {part['label']}" for kind, part in run["degraded"].items())
    return [
        f"{unchanged['genuine']:,} genuine and {unchanged['impostor']:,} impostor pairs a step; only the probe is "
        f"changed. {labels}.",
        Table(("what", "step", "FNMR", "failed", "match", "inconclusive", "FMR"), rows),
    ]


def _step_cells(step: Json) -> tuple[str, ...]:
    fnmr, _ = _rate_cells(step, "fnmr", "false_non_matches", "genuine")
    fmr, _ = _rate_cells(step, "fmr", "false_matches", "impostor")
    verdicts = step["decisions"]["genuine"]
    counts = [f"{verdicts[name]:,} of {step['genuine']:,}" for name in ("match", "inconclusive")]
    return fnmr, f"{step['failures']['genuine']:,} of {step['genuine']:,}", *counts, fmr


def _strangers(run: Json) -> list[str | Table]:
    usable = run["photos"] - run["photos_failed"]
    told: list[str | Table] = [
        f"{run['photos']:,} photos, of which {usable:,} are usable; no two show one person, so every match is false.",
        Table(("failures to acquire", "rate (95 % interval)", "of"), _by_value(run["failures_to_acquire"])),
    ]
    for point in run["operating_points"]:
        parts = ("everybody", "alike_in_all_labels", "unlike_in_all_labels")
        rows: list[tuple[str, ...]] = [(name.replace("_", " "), *_rate_of(point[name])) for name in parts]
        rows += _by_value(point["within"], "within ")
        rows += [(f"within {name}", *_rate_of(rate)) for name, rate in point["within_combinations"].items()]
        for column, spread in point["highest_over_geometric_mean"].items():
            shown = "not claimed: a group has fewer than 10 errors" if spread is None else f"{spread:.2f}"
            rows.append((f"highest {column} over their geometric mean", shown, ""))
        told.append(f"False matches {point['name']} ({point['threshold']:.3f}):")
        told.append(Table(("pairs", "FMR (95 % interval)", "of"), rows))
    return told


def _by_value(rates: Json, prefix: str = "") -> list[tuple[str, ...]]:
    return [
        (f"{prefix}{column}={value}", *_rate_of(rate)) for column, part in rates.items() for value, rate in part.items()
    ]


def _rate_of(rate: Json) -> tuple[str, str]:
    if rate["rate"] is None:
        return "–", "0"
    interval = interval_text(Interval(**rate["interval"]) if rate["interval"] else None)
    return f"{percent(rate['rate'])} ({interval})", f"{rate['errors']:,} of {rate['trials']:,}"
