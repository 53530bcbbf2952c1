"""What people read of verdicts and of photos, on the page and in the terminal.

``static/js/words.js`` puts these words together in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flaskapp.quality import Quality

VERDICTS = {
    "match": ("Match", "The two faces are alike enough to count as the same person."),
    "non_match": ("Non-match", "The two faces are too different to count as the same person."),
    "inconclusive": ("Inconclusive", "The two faces are neither alike enough nor different enough to tell."),
    "out_of_scope": ("Out of scope", "Neither photo shows the person this model knows, so there is no score."),
}

ABOUT_YOU = {
    "match": ("Match", "The face is alike enough to your photos to count as you."),
    "non_match": ("Non-match", "The face is too different from your photos to count as you."),
    "inconclusive": ("Inconclusive", "The face is neither alike enough to your photos nor different enough to tell."),
}
"""Of one photo that was held against those that a personal model knows."""

REASONS = {
    "blurred": ("blurred", "A sharper photo may help."),
    "covered": ("covered", "A photo with nothing before eyes and mouth may help."),
    "little_contrast": ("low in contrast", "A photo in clearer light may help."),
    "noisy": ("grainy", "A photo in more light may help."),
    "pixelated": ("pixelated", "A photo saved in better quality may help."),
    "too_bright": ("too bright", "A photo in softer light may help."),
    "too_dark": ("too dark", "More light on the face may help."),
    "too_small": ("too small", "A larger photo, or one from nearer, may help."),
    "turned_aside": ("turned aside", "A photo from the front may help."),
    "turned_up_or_down": ("turned up or down", "A photo at the height of the eyes may help."),
    "unevenly_lit": ("unevenly lit", "Light from the front may help."),
}
"""What is wrong with a photo, in words, and what would help."""

NO_REASON = "A sharp photo from the front, in even light, may help."
"""What helps a photo that is not good for no reason that was measured."""

BOTH_GOOD = "Other photos may help."  # what helps two good photos that cannot be told

FOR_SCRIPTS = {
    "verdicts": VERDICTS,
    "about_you": ABOUT_YOU,
    "reasons": REASONS,
    "no_reason": NO_REASON,
    "both_good": BOTH_GOOD,
}
"""All of them, by the names that ``static/js/words.js`` knows."""


def verdict_words(decision: str, known_photos: int = 0) -> tuple[str, str]:
    """Return word and sentence of a verdict on two photos, or on one and the photos that a personal model knows."""
    return (ABOUT_YOU if known_photos else VERDICTS)[decision]


def line_of(decision: str, known_photos: int = 0) -> str:
    """Return a verdict in one line: "match: the two faces are alike enough …"."""
    word, sentence = verdict_words(decision, known_photos)
    return f"{word.lower()}: {sentence[0].lower()}{sentence[1:-1]}"


def references_sentence(count: int, odd: Sequence[int]) -> str:
    """Say that several photos of one person were compared with, and which of them, by number, may show another.

    >>> references_sentence(3, [2])
    'Compared with 3 photos of one person. Photo 2 does not look like the others: they may show two people.'
    """
    said = f"Compared with {count} photos of one person."
    if not odd:
        return said
    numbers = " and ".join(filter(None, (", ".join(map(str, odd[:-1])), str(odd[-1]))))
    which = f"Photo {numbers} does" if len(odd) == 1 else f"Photos {numbers} do"
    like = "They do not look like each other" if len(odd) == count else f"{which} not look like the others"
    return f"{said} {like}: they may show two people."


def grade_words(grade: str, reasons: Sequence[str]) -> str:
    """Return a grade with its reasons.

    >>> grade_words("fair", ["blurred", "too_dark"])
    'fair: a little blurred, too dark'
    """
    found = ", ".join(REASONS[reason][0] for reason in reasons)
    return f"{grade}: {'a little ' if grade == 'fair' else ''}{found}" if found else grade


def photo_words(quality: Quality) -> str:
    """Return how good a photo is: "Poor photo: blurred"."""
    return str(quality).replace(quality.grade, f"{quality.grade.capitalize()} photo", 1)


def hint_of(quality: Quality) -> str:
    """Return what would help; empty for a good photo."""
    return "" if quality.grade == "good" else REASONS[quality.reasons[0]][1] if quality.reasons else NO_REASON


def sentence_of(decision: str, photos: Mapping[str, Quality], known_photos: int = 0) -> str:
    """Return a verdict's sentence, with the explanation if there is one."""
    return f"{verdict_words(decision, known_photos)[1]} {explanation_of(decision, photos)}".strip()


def explanation_of(decision: str, photos: Mapping[str, Quality]) -> str:
    """Return of an inconclusive verdict what is wrong with which photo, and what may help; else nothing."""
    if decision != "inconclusive":
        return ""
    why = [f"The {name} photo is {quality}." for name, quality in photos.items() if quality.grade != "good"]
    hints = dict.fromkeys(filter(None, map(hint_of, photos.values())))
    return " ".join([*why, *(hints or [BOTH_GOOD])])
