"""Error rates told honestly: curves, thresholds and intervals.

Everything here takes scores and truths as arrays and knows no model, no photo and no file.
Higher scores mean more alike; a comparison is decided ``match`` if its score ≥ the threshold;
a failure to acquire is a score of NaN.
"""

from flaskapp.evaluation.curves import ErrorCurve, auc, choose_threshold, eer, error_curve, fnmr_at_fmr, pairs_needed
from flaskapp.evaluation.decisions import Band, confusion_at, decide_all, sigmoid
from flaskapp.evaluation.intervals import Interval, Sources, no_errors_bound, sources_by
from flaskapp.evaluation.quality import Quality, ReliabilityBin
from flaskapp.evaluation.result import Evaluation, evaluate

__all__ = [
    "Band", "ErrorCurve", "Evaluation", "Interval", "Quality", "ReliabilityBin", "Sources", "auc",
    "choose_threshold", "confusion_at", "decide_all", "eer", "error_curve", "evaluate", "fnmr_at_fmr",
    "no_errors_bound", "pairs_needed", "sigmoid", "sources_by",
]  # fmt: skip
