"""What people read of each verdict, a word and a sentence: on the page, live, in plots and in the terminal."""

VERDICTS = {
    "match": ("Match", "The two faces are alike enough to count as the same person."),
    "non_match": ("Non-match", "The two faces are too different to count as the same person."),
    "inconclusive": (
        "Inconclusive",
        "The two faces are neither alike enough nor different enough to tell. Sharper photos from the front may help.",
    ),
    "out_of_scope": ("Out of scope", "Neither photo shows the person this model knows, so there is no score."),
}


def line_of(decision: str) -> str:
    """Return a verdict in one line: "match: the two faces are alike enough …"."""
    word, sentence = VERDICTS[decision]
    return f"{word.lower()}: {sentence[0].lower()}{sentence[1:]}"
