"""Measurements of speed and memory, against other programs where they are installed."""
