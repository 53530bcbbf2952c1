"""Weights ready to ship: calibrated, measured, written with what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.errors import DataError
from flaskapp.evaluation.curves import MAX_FMR, MAX_FNMR
from flaskapp.evaluation.decisions import Band, count_verdicts, sigmoid
from flaskapp.model import (
    build_embedding_network,
    build_siamese_network,
    features_of,
    set_score,
    write_weights,
)
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.weights.runtime import pair_log_odds
from flaskapp.weights.shape import VECTOR_SIZE
from research.distil.bands import choose_band, choose_threshold_within, reachable_rate
from research.distil.calibration import fit_calibration
from research.distil.centring import centre_rows
from research.distil.network import fold_projection, unfolded
from research.sets.crops import crops_as_served
from research.sets.labelled import embed_crops, labelled
from research.sets.roles import CALIBRATION, REPORTING, ROLE_NAMES
from research.sets.table import FaceTable

__all__ = ["ship", "siamese_of"]

TERMS = "Use them only as the photos and networks that they were learned from allow. The code has other terms."
# Of each kind. Half of the pairs may then err before an error rate is shown by ten errors: enough to
# try things out, too few for weights worth keeping.
FEWEST_PAIRS = 20
# So many photos need no counting of their millions of pairs.
MANY_PHOTOS = 10_000
# For a mean of 256 numbers: twice as many change nothing.
CENTRE_PHOTOS = 6_000
AT_ONCE = 512


def siamese_of(
    arrays: Mapping[str, np.ndarray], residual_units: Sequence[int], neck: int, table: FaceTable, crops: np.ndarray
) -> keras.Model:
    """Return the Siamese network that says what trained arrays say; its score is not fitted yet.

    The vectors' mean over the sets named as centre becomes zero: what all faces have in common tells
    nobody from anybody.

    Args:
        arrays: by ``layer/variable``, folded, of ``network.build_student``.
        residual_units: of the four blocks.
        neck: filters of the 1×1 convolution; 0 = none.
        table: the photos.
        crops: uint8 (N, 100, 100, 3).
    """
    trained = unfolded(arrays, residual_units, neck)
    twin = build_embedding_network(residual_units, neck=neck)
    for layer in trained.layers:
        if layer.get_weights() and (neck or layer.name != "vector"):
            twin.get_layer(layer.name).set_weights(layer.get_weights())
    kernel, bias = trained.get_layer("vector").get_weights()
    rows = centre_rows(table)
    features = _features(twin, crops, rows[np.random.default_rng(0).permutation(len(rows))[:CENTRE_PHOTOS]])
    if neck:
        bias = bias - features.mean(axis=0) if len(features) else bias
        twin.get_layer("vector").set_weights([kernel, bias])
        fold_projection(twin, np.eye(VECTOR_SIZE, dtype=np.float32), np.zeros(VECTOR_SIZE, np.float32))
    else:
        fold_projection(twin, kernel, -features.mean(axis=0) @ kernel if len(features) else bias)
    return build_siamese_network(twin)


def _features(twin: keras.Model, crops: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return what stands before the Dropout, the mean over the views, float32 (len(rows), d)."""
    network = features_of(twin)
    parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    return np.concatenate(
        [
            np.empty((0, network.output_shape[-1]), np.float32),
            *(network.predict(preprocess.to_model_input(crops[np.sort(part)]), verbose=0) for part in parts),
        ]
    )


def ship(
    siamese: keras.Model,
    table: FaceTable,
    crops: np.ndarray,
    out: Path,
    training: Mapping[str, Any],
    workers: int = 2,
) -> None:
    """Calibrate on calibration people, count verdicts on reporting people, write both files.

    Args:
        siamese: the network; its score's two numbers are set here.
        table: the photos.
        crops: uint8 (N, 100, 100, 3).
        out: the ``.h5``.
        training: what is recorded of how the weights were made.
        workers: processes that find faces.

    Raises:
        DataError: there are too few people to calibrate with or to report on.
    """
    for role in (CALIBRATION, REPORTING):
        _check_people(table, role)
    set_score(siamese, 1.0, 0.0)
    log_odds, same = _pair_log_odds(siamese, table, crops, CALIBRATION, workers)
    calibration = fit_calibration(-log_odds, same)
    set_score(siamese, -calibration.scale, calibration.offset)
    scores = calibration.score(-log_odds)
    choice = choose_band(scores, same, *_limits(same))
    threshold = choose_threshold_within(scores, same, choice.band, genuine_share=0.5)
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
        "training": dict(training),
        "parameters": siamese.count_params(),
        "keras": keras.__version__,
        "terms": TERMS,
    }
    write_weights(siamese, out, note)


def _check_people(table: FaceTable, role: int) -> None:
    people = labelled(table, role)
    if len(people.rows) > MANY_PHOTOS:
        return
    _, _, same = people.pairs()
    genuine, impostor = int(np.sum(same)), int(np.sum(~same))
    if min(genuine, impostor) < FEWEST_PAIRS:
        raise DataError(
            f"Weights expect {ROLE_NAMES[role]} people with {FEWEST_PAIRS} pairs of photos of one person and as many "
            f"of two, both photos from one set. Received: {genuine} and {impostor}.",
            "Give sets of labelled people a part in this.",
        )


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
    return pair_log_odds(embeddings, kernel, first, second), same


def verdicts_of(
    siamese: keras.Model, table: FaceTable, crops: np.ndarray, band: Band, workers: int = 2
) -> dict[str, Any]:
    """Count verdicts on the reporting people, by ground truth."""
    log_odds_of_pairs, same = _pair_log_odds(siamese, table, crops, REPORTING, workers)
    offset = float(siamese.get_layer("similarity_score").get_weights()[1][0])
    counts = count_verdicts(sigmoid(log_odds_of_pairs + offset), same, band)
    return {kind: asdict(verdicts) for kind, verdicts in counts.items()}
