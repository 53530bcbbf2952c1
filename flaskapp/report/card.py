"""The model card: what the weights are, and what runs of ``evaluate`` say of them, as Markdown.

Everything in it comes from JSON: the note beside the weights, and the files that ``evaluate``
wrote. M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flaskapp.evaluation import Beside, Interval
from flaskapp.report.rows import BESIDE_HEAD, NAMES, PLAIN, beside_rows, interval_text, name_of, percent

Json = Mapping[str, Any]

MOST_ECE, MOST_LOSS = 0.03, 0.02
"""What calibration is to reach: ECE, and Cllr − minCllr in bits."""

USES = """## Uses

**Meant for**: comparing two photos that the people in them, or whoever answers for them, want to have compared:
sorting one's own photos, checking that a picture shows who it should, teaching and research.

**Refused**: decisions about people in policing, hiring, housing, credit, borders or surveillance; searching
through many people; guarding anything, since a photo of a photo passes; faces of people who were not asked."""

TEACHER = """The network imitates another one, which learned from MS1M: a million photos of celebrities, some of whom
are surely in LFW and CelebA too. So figures on either compare systems, most of which share this flaw, and prove nothing
about people whom nobody's network has ever seen. Figures on strangers' ordinary photos matter the more."""

PEER = """The peer on the same pairs, at the threshold that is best for it on them; every interval draws the same people
for both:"""

LIMITS = """## Limits

- No liveness check.
- Errors grow on small, blurred, dark, covered and turned faces: see the tables on worse photos, where they were
  measured.
- Error rates differ between groups of people: see the tables on strangers, where they were measured.
- Twins and relatives, and photos many years apart, were not measured; children only as strangers.
- Labels of race, gender and age in the tables are what other people saw in photos, in a few coarse words, or guesses
  learned from such labels ([evaluation.md](evaluation.md)).
- The score is calibrated for as many genuine as impostor pairs, of people like those who calibrated it. On other photos
  it is not the chance that two are one person."""


def model_card(note: Json, runs: Sequence[Json], recipe: str = "") -> str:
    """Return the card as Markdown.

    Args:
        note: what belongs to the weights.
        runs: JSON of ``evaluate``, in the order in which they are to be told; those of other
            weights are refused by whoever calls.
        recipe: Markdown on how the recipe was chosen, told as it is.
    """
    parts = [
        f"# Model card: {note['name']}",
        "Made by `facial-recognition model-card` from the JSON beside the weights and from that of the runs named "
        "below; not to be changed by hand. Intervals are 95 % intervals; [evaluation.md](evaluation.md) says what each "
        "figure means.",
        *_weights(note),
        USES,
        *_decisions(note),
        *_data(note),
        *_recipe(note, recipe),
        "## Figures",
        TEACHER,
        *(text for run in runs for text in _run(run)),
        LIMITS,
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def weights_id(note: Json) -> str:
    """Return how runs name these weights."""
    return f"{note['name']}@{str(note['sha256'])[:12]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _weights(note: Json) -> list[str]:
    rows = [("id", f"`{weights_id(note)}`"), ("made", str(note.get("created", "not recorded")))]
    if "parameters" in note:
        rows.append(("parameters", f"{note['parameters']:,}"))
    rows += [
        ("what it is", "a Siamese network: 100×100 RGB face → 4,096 numbers; their L1 distance → a similarity score"),
        ("terms", str(note.get("terms", "not recorded"))),
    ]
    return ["## Weights", _table(("", ""), rows)]


def _decisions(note: Json) -> list[str]:
    low, high = note["inconclusive_band"]
    counts = note["error_counts"]
    rows = [
        (
            kind,
            f"{sum(counts[key].values()):,}",
            *(_share(counts[key][verdict], counts[key]) for verdict in ("match", "inconclusive", "non_match")),
        )
        for kind, key in (("one person", "genuine"), ("two people", "impostor"))
    ]
    return [
        "## Decisions",
        f"`match` from {high:.3f} on, `non_match` below {low:.3f}, `inconclusive` between them; the threshold "
        f"{note['threshold']:.3f} forces a two-way answer. All of them were chosen on people who neither trained nor "
        "report." + _choice(note.get("band_choice")),
        "On people whom nothing had seen before:",
        _table(("pairs of", "pairs", "match", "inconclusive", "non-match"), rows),
    ]


def _choice(choice: Json | None) -> str:
    if not choice:
        return ""
    asked = (
        f" Asked for: at most {percent(choice['max_fmr'])} of stranger pairs reading match, "
        f"{percent(choice['max_fnmr'])} of same-person pairs reading non-match, "
        f"{percent(choice['max_inconclusive'])} of either in between."
    )
    if not choice.get("relaxed"):
        return asked + " The people who chose keep all three."
    return asked + (
        f" These weights do not reach that: {percent(choice['fmr'])} ({choice['false_matches']:,} of "
        f"{choice['impostor']:,}) and {percent(choice['fnmr'])} ({choice['false_non_matches']:,} of "
        f"{choice['genuine']:,}) on the people who chose."
    )


def _share(count: int, counts: Mapping[str, int]) -> str:
    return f"{count:,} ({percent(count / max(sum(counts.values()), 1))})"


def _data(note: Json) -> list[str]:
    data = note.get("data", {})
    if not data:
        return []
    roles = list(dict.fromkeys(role for part in data.values() for role in part["photos"]))
    rows = [
        (name, *(f"{part['photos'].get(role, 0):,}" for role in roles), part.get("terms", "not stated"))
        for name, part in data.items()
    ]
    head = ("set", *roles, "terms")
    return ["## Data and terms", "Photos by set and by what their people were for:", _table(head, rows)]


def _recipe(note: Json, recipe: str) -> list[str]:
    rows = [(f"`{name}`", _plain(value)) for name, value in _flat(note.get("training", {}))]
    told = [_table(("", ""), rows)] if rows else []
    told += [recipe] if recipe else []
    return ["## Recipe", "[training.md](training.md) explains it.", *told] if told else []


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(name, value)]
    return [pair for key, part in value.items() for pair in _flat(part, f"{name}.{key}" if name else str(key))]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "–" if value is None else str(value)


def _run(run: Json) -> list[str]:
    told = [f"### {run['measured']}", f"`{run['command']}`"]
    if "degraded" in run:
        return told + _degraded(run)
    return told + (_strangers(run) if "operating_points" in run else _evaluation(run))


def _evaluation(run: Json) -> list[str]:
    method = run.get("interval_method")
    drawn = {"person": "people", "photo": "photos, since nobody knows who is who"}
    whom = f", {method['count']:,} {drawn[method['drawn']]}" if method else ""
    told = [
        f"{run['genuine']:,} genuine and {run['impostor']:,} impostor pairs{whom}; {run['photos_failed']:,} of "
        f"{run['photos']:,} photos failed to acquire.",
        _table(("figure", "value", "95 % interval"), _figure_rows(run)),
        _calibration(run),
    ]
    if run.get("beside"):
        figures = {
            name: Beside(**{key: part for key, part in told_of.items() if key != "difference"})
            for name, told_of in run["beside"].items()
        }
        told += [PEER, _table(("figure", *BESIDE_HEAD[1:]), beside_rows(figures))]
    groups = run.get("groups") or {}
    if groups:
        rows = [
            (name, *_rate_cells(group, "fnmr", "false_non_matches", "genuine"), *_rate_cells(group, "fmr",
             "false_matches", "impostor"), _number(group["ece"]), _number(group["calibration_loss"]))
            for name, group in groups.items()
        ]  # fmt: skip
        told.append(_table(("pairs within", "FNMR", "of", "FMR", "of", "ECE", "Cllr − minCllr"), rows))
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
        name = name_of(key)
        plain = key in PLAIN
        if value is None:
            rows.append((name, "–", f"not claimed: {run['reasons'][key]}"))
        else:
            rows.append((name, _number(value) if plain else percent(value), _interval(run, key, plain=plain)))
    return rows


def _interval(run: Json, key: str, *, plain: bool = False) -> str:
    told = run["intervals"].get(key)
    return interval_text(Interval(**told) if told else None, plain=plain)


def _calibration(run: Json) -> str:
    """Say whether the scores keep what they promise."""
    ece, loss = run.get("ece"), run.get("calibration_loss")
    if ece is None or loss is None:
        return ""
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


def _degraded(run: Json) -> list[str]:
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
        _table(("what", "step", "FNMR", "failed", "match", "inconclusive", "FMR"), rows),
    ]


def _step_cells(step: Json) -> tuple[str, ...]:
    fnmr, _ = _rate_cells(step, "fnmr", "false_non_matches", "genuine")
    fmr, _ = _rate_cells(step, "fmr", "false_matches", "impostor")
    verdicts = step["decisions"]["genuine"]
    counts = [f"{verdicts[name]:,} of {step['genuine']:,}" for name in ("match", "inconclusive")]
    return fnmr, f"{step['failures']['genuine']:,} of {step['genuine']:,}", *counts, fmr


def _strangers(run: Json) -> list[str]:
    usable = run["photos"] - run["photos_failed"]
    told = [
        f"{run['photos']:,} photos, of which {usable:,} are usable; no two show one person, so every match is false."
    ]
    failures = [
        (f"{column}={value}", *_rate_of(rate))
        for column, rates in run["failures_to_acquire"].items()
        for value, rate in rates.items()
    ]
    told.append(_table(("failures to acquire", "rate (95 % interval)", "of"), failures))
    for point in run["operating_points"]:
        parts = ("everybody", "alike_in_all_labels", "unlike_in_all_labels")
        rows = [(name.replace("_", " "), *_rate_of(point[name])) for name in parts]
        for column, rates in point["within"].items():
            rows += [(f"within {column}={value}", *_rate_of(rate)) for value, rate in rates.items()]
        rows += [(f"within {name}", *_rate_of(rate)) for name, rate in point["within_combinations"].items()]
        for column, spread in point["highest_over_geometric_mean"].items():
            shown = "not claimed: a group has fewer than 10 errors" if spread is None else f"{spread:.2f}"
            rows.append((f"highest {column} over their geometric mean", shown, ""))
        told.append(f"False matches {point['name']} ({point['threshold']:.3f}):")
        told.append(_table(("pairs", "FMR (95 % interval)", "of"), rows))
    return told


def _rate_of(rate: Json) -> tuple[str, str]:
    if rate["rate"] is None:
        return "–", "0"
    interval = interval_text(Interval(**rate["interval"]) if rate["interval"] else None)
    return f"{percent(rate['rate'])} ({interval})", f"{rate['errors']:,} of {rate['trials']:,}"
