"""Weights ready to ship: calibrated, measured, written with what belongs to them."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp.dataset import sets
from flaskapp.dataset.crops import crops_as_served
from flaskapp.dataset.sets import FaceTable
from flaskapp.errors import DataError
from flaskapp.evaluation.bands import choose_band
from flaskapp.evaluation.calibration import fit_calibration
from flaskapp.evaluation.choices import MAX_FMR, MAX_FNMR, choose_threshold
from flaskapp.evaluation.curves import reachable_rate
from flaskapp.evaluation.decisions import Band, count_verdicts, sigmoid
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.training.scores import embed_crops, labelled, log_odds

TERMS = "Use them only as the photos and networks that they were learned from allow. The code has other terms."


def ship(
    siamese: keras.Model,
    table: FaceTable,
    crops: np.ndarray,
    out: Path,
    recipe: Any,
    progress_log: Path,
    head_errors: list[float],
    workers: int = 2,
) -> None:
    """Calibrate on calibration people, count verdicts on reporting people, write both files.

    Args:
        siamese: the network; its score's two numbers are set anew.
        table: the photos.
        crops: uint8 (N, 100, 100, 3).
        out: the ``.h5``.
        recipe: the settings, a ``Recipe``, recorded.
        progress_log: the distillation's log, whose last line is recorded.
        head_errors: of the head's training, recorded; empty if there was none.
        workers: processes that find faces.
    """
    log_odds_of_pairs, same = _pair_log_odds(siamese, table, crops, sets.CALIBRATION, workers)
    calibration = fit_calibration(-log_odds_of_pairs, same)
    _rescale(siamese, -calibration.scale, calibration.offset)
    scores = calibration.score(-log_odds_of_pairs)
    choice = choose_band(scores, same, *_limits(same))
    threshold = choose_threshold(scores, same, choice.band, genuine_share=0.5)
    note = {
        "name": out.stem,
        "created": datetime.now(UTC).date().isoformat(),
        "crop_geometry": CROP_GEOMETRY,
        "inconclusive_band": list(choice.band),
        "threshold": threshold,
        "band_choice": choice.to_json(),
        "calibration": calibration.to_json(),
        "error_counts": verdicts_of(siamese, table, crops, choice.band, workers),
        "data": _data(table),
        "training": {
            "recipe": recipe.to_json(),
            "distillation": _last_line(progress_log),
            "head_validation": _head_validation(head_errors),
        },
        "parameters": siamese.count_params(),
        "keras": keras.__version__,
        "terms": TERMS,
    }
    write_weights(siamese, out, note)


def _head_validation(errors: list[float]) -> dict[str, float] | None:
    return {"before": errors[0], "after": min(errors), "epochs": len(errors) - 1} if errors else None


def _data(table: FaceTable) -> dict[str, Any]:
    """Say what was learned from and measured with: photos by role, and terms, of each set."""
    terms = table.set_terms or ("not stated",) * len(table.set_names)
    counts = table.counts()
    return {
        name: {"photos": counts[name], "terms": set_terms}
        for name, set_terms in zip(table.set_names, terms, strict=True)
    }


def _limits(same: np.ndarray) -> tuple[float, float]:
    """Return the highest FMR and FNMR outside the band: those wanted, or what so few pairs can show."""
    genuine = int(np.sum(same))
    return max(MAX_FMR, reachable_rate(len(same) - genuine)), max(MAX_FNMR, reachable_rate(genuine))


def write_weights(siamese: keras.Model, out: Path, note: Mapping[str, Any]) -> None:
    """Write an ordinary Keras ``.h5`` and what belongs to it.

    Both files are finished under other names first: a kill leaves the old pair or the new
    one, or, between the two renames, a pair that does not fit and is refused.

    Args:
        siamese: the network.
        out: the ``.h5``; the note becomes the ``.json`` beside it.
        note: what is known of the weights; their hash is added.

    Raises:
        DataError: a weight is not finite, or the file cannot be written.
    """
    if not all(np.isfinite(array).all() for array in siamese.get_weights()):
        raise DataError("The network holds numbers that are not finite: training has gone astray.", "Lower the rate.")
    weights, beside = out.with_suffix(".part.h5"), out.with_suffix(".part.json")
    try:
        with _without_advice():
            siamese.save(weights)
    except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk by the latter
        weights.unlink(missing_ok=True)
        raise DataError(f"{out.name} cannot be written.", "Make room on the disk, or name another place.") from error
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    text = json.dumps({**note, "sha256": digest}, indent=2, allow_nan=False)
    beside.write_text(text + "\n", encoding="utf-8")
    weights.replace(out)
    beside.replace(out.with_suffix(".json"))


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence Keras's advice to use its newer format: ``.h5`` is what this program ships."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _pair_log_odds(
    siamese: keras.Model, table: FaceTable, crops: np.ndarray, role: int, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds without offset, and ``same``, of all pairs of one role's people.

    Their faces are found and cut by the program's own detection, as a user's are: its
    landmarks scatter less than those of the training files, so that scores come out higher,
    and a threshold chosen on the latter would be too low.
    """
    people = labelled(table, role)
    first, second, same = people.pairs()
    faces = crops_as_served([table.paths[row] for row in people.rows], crops[people.rows], workers)
    embeddings = embed_crops(siamese.get_layer("embedding_network"), faces)
    kernel = siamese.get_layer("similarity_score").get_weights()[0].reshape(-1)
    return log_odds(embeddings, kernel, first, second), same


def _rescale(siamese: keras.Model, factor: float, offset: float) -> None:
    """Give the score a new scale and offset; the order of all pairs stays."""
    kernel, _ = siamese.get_layer("similarity_score").get_weights()
    siamese.get_layer("similarity_score").set_weights([kernel * factor, np.array([offset], np.float32)])


def verdicts_of(
    siamese: keras.Model, table: FaceTable, crops: np.ndarray, band: Band, workers: int = 2
) -> dict[str, Any]:
    """Count verdicts on the reporting people, by ground truth."""
    log_odds_of_pairs, same = _pair_log_odds(siamese, table, crops, sets.REPORTING, workers)
    offset = float(siamese.get_layer("similarity_score").get_weights()[1][0])
    counts = count_verdicts(sigmoid(log_odds_of_pairs + offset), same, band)
    return {kind: asdict(verdicts) for kind, verdicts in counts.items()}


def _last_line(progress_log: Path) -> dict[str, str]:
    with progress_log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))[-1]
