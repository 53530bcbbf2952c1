"""What each person of a training set is for: to learn from, to choose with, to be reported on."""

from __future__ import annotations

from hashlib import sha256

TRAINING, VALIDATION, CALIBRATION, REPORTING, LEFT_OUT = range(5)
ROLE_NAMES = ("training", "validation", "calibration", "reporting", "left out")
HELD_OUT = (VALIDATION, CALIBRATION, REPORTING)


def celeba_role(number: int) -> int:
    """Return what a CelebA person is for: every 20th calibrates, and so on.

    >>> [ROLE_NAMES[celeba_role(number)] for number in (20, 10, 15, 11)]
    ['calibration', 'reporting', 'validation', 'training']
    """
    if number % 20 == 0:
        return CALIBRATION
    if number % 10 == 0:
        return REPORTING
    return VALIDATION if number % 10 == 5 else TRAINING


def hashed_role(person: str) -> int:
    """Return a person's role by a hash of the name: the same in every set and run.

    80 % train, 10 % validate, 5 % calibrate and 5 % report, as with CelebA's numbers.
    """
    share = int.from_bytes(sha256(person.encode()).digest()[:4], "big") / 2**32
    if share < 0.8:
        return TRAINING
    if share < 0.9:
        return VALIDATION
    return CALIBRATION if share < 0.95 else REPORTING
