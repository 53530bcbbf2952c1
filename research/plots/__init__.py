"""Figures that only makers of weights draw."""
