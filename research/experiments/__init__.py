"""Trials of recipes, whose figures the notes tell."""
