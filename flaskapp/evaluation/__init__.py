"""Error rates told honestly: curves, thresholds, calibration and intervals.

Everything here takes scores and truths as arrays and knows no model, no photo and no file.
Higher scores mean more alike; a comparison is decided ``match`` if its score ≥ the threshold;
a failure to acquire is a score of NaN.
"""

from flaskapp.evaluation.calibration import Calibration, fit_calibration, sigmoid
from flaskapp.evaluation.choices import BandChoice, choose_band, choose_threshold
from flaskapp.evaluation.curves import (
    ErrorCurve,
    auc,
    eer,
    error_curve,
    fnmr_at_fmr,
    pairs_needed,
    reachable_rate,
)
from flaskapp.evaluation.decisions import (
    INCONCLUSIVE,
    MATCH,
    NON_MATCH,
    Band,
    Confusion,
    Decision,
    Verdicts,
    check_band,
    confusion_at,
    count_verdicts,
    decide,
    decide_all,
)
from flaskapp.evaluation.folds import Folds, evaluate_folds
from flaskapp.evaluation.intervals import Interval, bootstrap_intervals, no_errors_bound, resampled_weights
from flaskapp.evaluation.quality import Quality, ReliabilityBin, min_cllr, score_quality
from flaskapp.evaluation.result import Evaluation, Population, evaluate
from flaskapp.evaluation.sources import Sources, sources_by

__all__ = [
    "INCONCLUSIVE",
    "MATCH",
    "NON_MATCH",
    "Band",
    "BandChoice",
    "Calibration",
    "Confusion",
    "Decision",
    "ErrorCurve",
    "Evaluation",
    "Folds",
    "Interval",
    "Population",
    "Quality",
    "ReliabilityBin",
    "Sources",
    "Verdicts",
    "auc",
    "bootstrap_intervals",
    "check_band",
    "choose_band",
    "choose_threshold",
    "confusion_at",
    "count_verdicts",
    "decide",
    "decide_all",
    "eer",
    "error_curve",
    "evaluate",
    "evaluate_folds",
    "fit_calibration",
    "fnmr_at_fmr",
    "min_cllr",
    "no_errors_bound",
    "pairs_needed",
    "reachable_rate",
    "resampled_weights",
    "score_quality",
    "sigmoid",
    "sources_by",
]
