"""Pairs of photos: which two to compare, who they show, and how alike they are."""

from flaskapp.pairs.labels import Labels, group_masks, read_labels
from flaskapp.pairs.lists import PhotoPair, photos_of, read_pairs, read_scores, sources_of, write_scores_csv

__all__ = [
    "Labels", "PhotoPair", "group_masks", "photos_of", "read_labels", "read_pairs", "read_scores", "sources_of",
    "write_scores_csv",
]  # fmt: skip
