"""Figures: comparisons, detections and error rates. The only part that imports Matplotlib.

Everything here takes plain values (arrays of pixels, faces with a box and landmarks, scores)
and returns a Matplotlib ``Figure``; ``save`` writes it.
"""

from flaskapp.plots.photos import PhotoView, plot_comparison, plot_detection, plot_faces, plot_sheet
from flaskapp.plots.rates import plot_det, plot_evaluation, plot_reliability, plot_roc, plot_scores
from flaskapp.plots.style import save
from flaskapp.plots.training import plot_architecture, plot_training

__all__ = [
    "PhotoView", "plot_architecture", "plot_comparison", "plot_det", "plot_detection", "plot_evaluation",
    "plot_faces", "plot_reliability", "plot_roc", "plot_scores", "plot_sheet", "plot_training", "save",
]  # fmt: skip
