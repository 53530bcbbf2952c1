"""Error rates told honestly: curves, thresholds and intervals.

Everything here takes scores and truths as arrays and knows no model, no photo and no file.
Higher scores mean more alike; a comparison is decided ``match`` if its score ≥ the threshold;
a failure to acquire is a score of NaN.
"""

from flaskapp.evaluation.choices import Folds, choose_threshold, evaluate_folds
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
    sigmoid,
)
from flaskapp.evaluation.intervals import (
    Interval,
    Sources,
    bootstrap_intervals,
    no_errors_bound,
    resampled_weights,
    sources_by,
)
from flaskapp.evaluation.quality import Quality, ReliabilityBin, score_quality
from flaskapp.evaluation.result import Evaluation, Population, evaluate

__all__ = [
    "INCONCLUSIVE",
    "MATCH",
    "NON_MATCH",
    "Band",
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
    "choose_threshold",
    "confusion_at",
    "count_verdicts",
    "decide",
    "decide_all",
    "eer",
    "error_curve",
    "evaluate",
    "evaluate_folds",
    "fnmr_at_fmr",
    "no_errors_bound",
    "pairs_needed",
    "reachable_rate",
    "resampled_weights",
    "score_quality",
    "sigmoid",
    "sources_by",
]
