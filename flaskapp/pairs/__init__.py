"""Pairs of photos: which two to compare, who they show, and how alike they are."""
