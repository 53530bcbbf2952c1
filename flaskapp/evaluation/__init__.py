"""Error rates told honestly: curves, thresholds, calibration and intervals.

Everything here takes scores and truths as arrays and knows no model, no photo and no file
but the list of scores that it writes. Higher scores mean more alike; a comparison is decided
``match`` if its score ≥ the threshold; a failure to acquire is a score of NaN.
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
from flaskapp.evaluation.intervals import (
    Interval,
    Sources,
    bootstrap_intervals,
    no_errors_bound,
    resampled_weights,
    sources_by,
    sources_of,
)
from flaskapp.evaluation.result import Evaluation, Population, evaluate, write_scores_csv

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
    "Interval",
    "Population",
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
    "fit_calibration",
    "fnmr_at_fmr",
    "no_errors_bound",
    "pairs_needed",
    "reachable_rate",
    "resampled_weights",
    "sigmoid",
    "sources_by",
    "sources_of",
    "write_scores_csv",
]
