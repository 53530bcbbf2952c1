"""The words for verdicts: there is one for each, and the terminal says it in a line."""

from __future__ import annotations

from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.verifier import OUT_OF_SCOPE
from flaskapp.words import VERDICTS, line_of


def test_there_are_words_for_every_verdict():
    assert set(VERDICTS) == {*DECISIONS, OUT_OF_SCOPE}


def test_the_terminal_says_a_verdict_in_one_line():
    for decision, (word, sentence) in VERDICTS.items():
        assert line_of(decision).lower() == f"{word}: {sentence}".lower()
