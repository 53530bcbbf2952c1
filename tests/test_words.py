"""The words for verdicts and photos: there is one for each, and they make sentences."""

from __future__ import annotations

from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.quality import LIMITS, Quality
from flaskapp.verifier import OUT_OF_SCOPE
from flaskapp.words import BOTH_GOOD, REASONS, VERDICTS, hint_of, line_of, photo_words, references_sentence, sentence_of

GOOD, FAIR, POOR = Quality("good", 0.9), Quality("fair", 0.5), Quality("poor", 0.1, ("blurred", "too_dark"))
ODD = ((), (2,), (1, 3), (1, 2, 4), (1, 2, 3, 4))


def test_there_are_words_for_every_verdict_and_reason():
    assert set(VERDICTS) == {*DECISIONS, OUT_OF_SCOPE}
    assert set(REASONS) == {limit.reason for limit in LIMITS.values()}


def test_the_terminal_says_a_verdict_in_one_line():
    assert line_of("non_match") == "non-match: the two faces are too different to count as the same person"


def test_photos_are_told_in_words_with_what_would_help():
    assert [photo_words(quality) for quality in (GOOD, FAIR, POOR)] == [
        "Good photo",
        "Fair photo",
        "Poor photo: blurred, too dark",
    ]
    assert photo_words(Quality("fair", 0.5, ("noisy",))) == "Fair photo: a little grainy"
    assert hint_of(GOOD) == ""
    assert hint_of(FAIR).startswith("A sharp photo from the front")
    assert hint_of(POOR) == "A sharper photo may help."


def test_references_that_do_not_look_like_the_others_are_named():
    told = {odd: references_sentence(4, odd).removeprefix("Compared with 4 photos of one person.") for odd in ODD}
    assert told[()] == ""
    assert told[(2,)].startswith(" Photo 2 does not look like the others: ")
    assert told[(1, 3)].startswith(" Photos 1 and 3 do not look like the others: ")
    assert told[(1, 2, 4)].startswith(" Photos 1, 2 and 4 do not")
    assert told[(1, 2, 3, 4)].startswith(" They do not look like each other: ")


def test_what_cannot_be_told_says_which_photo_is_to_blame():
    told = sentence_of("inconclusive", {"reference": GOOD, "probe": POOR})
    assert told.endswith("to tell. The probe photo is poor: blurred, too dark. A sharper photo may help.")
    both = sentence_of("inconclusive", {"reference": POOR, "probe": POOR})
    assert both.count("is poor") == 2
    assert both.count("A sharper photo may help.") == 1
    assert sentence_of("inconclusive", {"reference": GOOD, "probe": GOOD}).endswith(f"to tell. {BOTH_GOOD}")
    assert sentence_of("match", {"reference": POOR, "probe": POOR}) == VERDICTS["match"][1]
