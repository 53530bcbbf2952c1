"""Which folder is the personal model of a server, where a crash has fallen amid replacing it."""

from __future__ import annotations

from personal_models import write_model
from web_helpers import Browser

from flaskapp.app import create_app

URL, BASE = "/api/v1/own-face", "http://localhost:5000"


def test_p25_the_model_before_is_found_where_a_crash_between_the_renames_left_it(tmp_path, monkeypatch, verifier):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "my_model").rename(tmp_path / "my_model.old")
    browser = Browser(create_app({}, verifier))
    browser.agree()
    assert browser.get(URL).json["exists"]
    assert browser.get("/own-face/report.html").status_code == 200
    assert browser.client.put(f"{URL}/use", json={"own": True}, base_url=BASE).status_code == 200
    assert browser.get(URL).json["comparing_with"].startswith("my_model@")
    assert browser.delete(URL).json["removed"]
    assert not list(tmp_path.iterdir())
