"""What the program ends with where it is not a verdict: 0 is a match, 1 a non-match."""

USAGE = 2  # wrong usage, unusable input, or an answer that could not be written
STOPPED, BUG, OUT_OF_MEMORY = 130, 70, 71
"""What a shell gives a program that Ctrl-C ended; ``EX_SOFTWARE`` and ``EX_OSERR`` of ``sysexits.h``."""
