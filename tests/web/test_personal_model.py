"""The server with a personal model: whose it is, and that it gives strangers no score."""

from __future__ import annotations

import json
import re

import pytest
from personal_models import ONLY_THE_VERY_PHOTO, write_model
from web_helpers import Browser

from flaskapp.app import create_app
from flaskapp.errors import WeightsError


@pytest.fixture(scope="module")
def personal(tmp_path_factory) -> Browser:
    """Return a browser whose person has agreed, before a server with a model of Grace Hopper."""
    model = write_model(tmp_path_factory.mktemp("models") / "my_model", ONLY_THE_VERY_PHOTO)
    scope = {"stranger_pairs": 900, "strangers_out": 890, "owner_pairs": 20, "owner_out": 1}
    note = json.loads((model / "model.json").read_text(encoding="utf-8"))
    (model / "model.json").write_text(json.dumps(note | {"figures": {"scope": scope}}), encoding="utf-8")
    browser = Browser(create_app({"FR_MODEL": str(model), "FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0}))
    browser.agree()
    return browser


def test_p24_two_strangers_get_no_score(personal, collins):
    """Break: the score told all the same."""
    answer = personal.verify(collins, collins).json
    assert (answer["decision"], answer["similarity_score"]) == ("out_of_scope", None)
    assert answer["model"].startswith("my_model@")
    assert answer["error_counts"]["genuine_with_verdict"] == 1
    assert (answer["error_counts"]["impostors"], answer["error_counts"]["genuine"]) == ("two strangers", "its owner")
    frame = personal.send("/api/v1/live", {"reference": collins, "frame": collins}).json
    assert (frame["decision"], frame["similarity_score"]) == ("out_of_scope", None)
    assert frame["face"] is not None


def test_p24_its_owner_gets_one(personal, hopper, collins):
    assert personal.verify(hopper, collins).json["similarity_score"] is not None
    frame = personal.send("/api/v1/live", {"reference": hopper, "frame": collins}).json
    assert frame["similarity_score"] is not None


def test_one_photo_or_frame_asks_for_its_owner(personal, hopper, collins):
    for photo, decision in ((hopper, "match"), (collins, "non_match")):
        answer = personal.send("/api/v1/verify", {"probe": photo}).json
        assert (answer["decision"], answer["known_photos"]) == (decision, 3)
        assert (answer["error_counts"]["impostor_pairs"], answer["error_counts"]["genuine_pairs"]) == (10_000, 15)
        frame = personal.send("/api/v1/live", {"frame": photo}).json
        assert (frame["decision"], frame["similarity_score"]) == (decision, answer["similarity_score"])
        assert frame["inconclusive_band"] == answer["inconclusive_band"]
    assert "Known by 3 photos" in personal.get("/").get_data(as_text=True)


def test_a_frame_beside_a_photo_is_judged_by_the_owners_band(personal, hopper):
    answers = [personal.send("/api/v1/live", {"frame": hopper, **more}).json for more in ({}, {"reference": hopper})]
    assert answers[0]["inconclusive_band"] == answers[1]["inconclusive_band"]
    assert answers[1]["inconclusive_band"] != list(personal.services.comparer.verifier.weights.inconclusive_band)


def test_the_page_tells_whose_it_is_and_that_it_may_not_generalise(personal, collins):
    assert "the personal model my_model." in personal.get("/").get_data(as_text=True)
    token = personal.form_token()
    result = personal.send("/compare", {"reference": collins, "probe": collins}, csrf_token=token)
    text = result.get_data(as_text=True)
    assert 'data-decision="out_of_scope"' in text
    assert '<div id="result-score" hidden>' in text
    assert "may not generalise" in text
    assert re.search(r"pairs of two strangers .*pairs of its owner", text)


def test_shipped_weights_are_nobodys(browser):
    assert "personal model" not in browser.get("/").get_data(as_text=True)


def test_a_model_that_is_not_there_keeps_the_server_from_starting(tmp_path):
    with pytest.raises(WeightsError, match=r"model\.json"):
        create_app({"FR_MODEL": str(tmp_path / "nothing")})
