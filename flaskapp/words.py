"""What people read of each verdict, on the page, live and in the terminal."""

VERDICTS = {
    "match": ("Match", "The two faces are alike enough to count as the same person."),
    "non_match": ("Non-match", "The two faces are too different to count as the same person."),
    "inconclusive": (
        "Inconclusive",
        "The two faces are neither alike enough nor different enough to tell. Sharper photos from the front may help.",
    ),
    "out_of_scope": ("Out of scope", "Neither photo shows the person this model knows, so there is no score."),
}
"""Word and sentence of each decision."""


def line_of(decision: str) -> str:
    """Return a verdict in one line of lower case.

    >>> line_of("match")
    'match: the two faces are alike enough to count as the same person.'
    """
    word, sentence = VERDICTS[decision]
    return f"{word.lower()}: {sentence[0].lower()}{sentence[1:]}"
