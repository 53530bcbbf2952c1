"""What no browser and no client of ours sends is refused, and is no fault of the program."""

from __future__ import annotations

import pytest

ENDLESS = '[{"turn": 1%s, "closeness": 0.1, "brightness": 9, "sharpness": 0.1}]' % ("0" * 400)


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "\x01"])
def test_an_origin_that_is_none_is_another_site(agreed, origin):
    answer = agreed.post("/api/v1/verify", headers={"Origin": origin})
    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")


def test_a_number_of_four_hundred_digits_is_a_bad_request(agreed, hopper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = agreed.send("/api/v1/own-face/photo", {"photo": hopper}, looks=ENDLESS)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_people_without_scripts_are_told_how_long_to_wait(open_browser):
    browser = open_browser(FR_RATE_LIMIT=1)
    token = browser.form_token()
    answers = [browser.post("/consent", data={"csrf_token": token}) for _ in range(2)]
    assert answers[1].status_code == 429
    assert f"Try again in {answers[1].headers['Retry-After']} second" in answers[1].get_data(as_text=True)
