"""Weights ready to ship: calibrated, measured, written with what belongs to them."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp.dataset import sets
from flaskapp.dataset.sets import FaceTable
from flaskapp.evaluation.calibration import fit_calibration, sigmoid
from flaskapp.evaluation.choices import choose_band, choose_threshold
from flaskapp.evaluation.decisions import Band, count_verdicts
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.training.scores import embed_crops, labelled, log_odds

TERMS = (
    "For non-commercial research: among the training data are sets whose owners allow no more "
    "(CelebA, VGGFace2, UTKFace, the teacher). The code is free; these weights are not."
)


def ship(
    siamese: keras.Model,
    table: FaceTable,
    crops: np.ndarray,
    out: Path,
    recipe: Any,
    progress_log: Path,
    head_errors: list[float],
) -> None:
    """Calibrate on calibration people, count verdicts on reporting people, write both files.

    Args:
        siamese: the network; its score's two numbers are set anew.
        table: the photos.
        crops: uint8 (N, 100, 100, 3).
        out: the ``.h5``.
        recipe: a dataclass of settings, recorded.
        progress_log: the distillation's log, whose last line is recorded.
        head_errors: of the head's training, recorded.
    """
    distances, same = _pair_log_odds(siamese, table, crops, sets.CALIBRATION)
    calibration = fit_calibration(-distances, same)
    _rescale(siamese, -calibration.scale, calibration.offset)
    scores = sigmoid(-calibration.scale * distances + calibration.offset)
    choice = choose_band(scores, same)
    threshold = choose_threshold(scores, same, choice.band, genuine_share=0.5)
    write_weights(siamese, out)
    note = {
        "name": out.stem,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "created": datetime.now(UTC).date().isoformat(),
        "crop_geometry": CROP_GEOMETRY,
        "inconclusive_band": list(choice.band),
        "threshold": threshold,
        "band_choice": choice.to_json(),
        "calibration": calibration.to_json(),
        "error_counts": verdicts_of(siamese, table, crops, choice.band),
        "training": {
            "photos": table.counts(),
            "recipe": asdict(recipe),
            "distillation": _last_line(progress_log),
            "head_validation": {"before": head_errors[0], "after": min(head_errors), "epochs": len(head_errors) - 1},
        },
        "parameters": siamese.count_params(),
        "keras": keras.__version__,
        "terms": TERMS,
    }
    out.with_suffix(".json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def write_weights(siamese: keras.Model, out: Path) -> None:
    """Write an ordinary Keras ``.h5``; nobody ever sees half a file."""
    part = out.with_suffix(".part.h5")
    siamese.save(part)
    part.replace(out)


def _pair_log_odds(siamese: keras.Model, table: FaceTable, crops: np.ndarray, role: int) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds without offset, and ``same``, of all pairs of one role's people."""
    people = labelled(table, role)
    first, second, same = people.pairs()
    embeddings = embed_crops(siamese.get_layer("embedding_network"), crops[people.rows])
    kernel = siamese.get_layer("similarity_score").get_weights()[0].reshape(-1)
    return log_odds(embeddings, kernel, first, second), same


def _rescale(siamese: keras.Model, factor: float, offset: float) -> None:
    """Give the score a new scale and offset; the order of all pairs stays."""
    kernel, _ = siamese.get_layer("similarity_score").get_weights()
    siamese.get_layer("similarity_score").set_weights([kernel * factor, np.array([offset], np.float32)])


def verdicts_of(siamese: keras.Model, table: FaceTable, crops: np.ndarray, band: Band) -> dict[str, Any]:
    """Count verdicts on the reporting people, by ground truth."""
    distances, same = _pair_log_odds(siamese, table, crops, sets.REPORTING)
    offset = float(siamese.get_layer("similarity_score").get_weights()[1][0])
    counts = count_verdicts(sigmoid(distances + offset), same, band)
    return {kind: asdict(verdicts) for kind, verdicts in counts.items()}


def _last_line(progress_log: Path) -> dict[str, str]:
    with progress_log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))[-1]
