"""A server that cannot train, for want of libraries or of a place to write: it says so early, and how to mend it."""

from __future__ import annotations

import re

import pytest
from described import check

from flaskapp import errors
from flaskapp.web import personal_model
from flaskapp.web.personal_model import missing_extra

URL = "/api/v1/own-face"


@pytest.fixture
def lacking(monkeypatch) -> None:
    monkeypatch.setattr(personal_model, "NEEDED", ("no_such_library",))


def test_nothing_is_said_where_it_can_train(agreed, monkeypatch):
    monkeypatch.setattr(personal_model, "NEEDED", ())
    assert "Not possible here yet" not in agreed.get("/").get_data(as_text=True)
    assert "obstacle-error" not in agreed.get("/own-face").get_data(as_text=True)


@pytest.fixture
def unwritable(monkeypatch) -> None:
    monkeypatch.setattr(personal_model, "NEEDED", ())
    monkeypatch.setattr(personal_model.os, "access", lambda *_: False)


@pytest.mark.parametrize(
    ("obstacle", "words", "status", "code"),
    [
        ("lacking", "Training needs no_such_library", 501, "missing_extra"),
        ("unwritable", "my_model cannot be written", 507, "unwritable"),
    ],
)
def test_page_and_api_say_so_before_photos_are_chosen(request, agreed, obstacle, words, status, code):
    request.getfixturevalue(obstacle)
    text = agreed.get("/own-face").get_data(as_text=True)
    assert text.index(words) < text.index("Choose photos")
    response = agreed.send(f"{URL}/training", {}, keep_model="yes")
    assert (response.status_code, response.json["code"]) == (status, code)
    told = agreed.get(URL)
    assert told.json["obstacle"]["code"] == code
    check(told, URL, "get")


@pytest.mark.usefixtures("lacking")
class TestWithoutTheLibraries:
    def test_the_link_says_so(self, agreed):
        assert "Not possible here yet: Training needs no_such_library" in agreed.get("/").get_data(as_text=True)

    def test_the_api_says_how_to_install_them(self, agreed):
        hint = agreed.send(f"{URL}/training", {}, keep_model="yes").json["hint"]
        assert 'pip install -e ".[train]" in the folder of this program' in hint

    def test_an_installed_program_is_installed_again_with_them(self, monkeypatch, tmp_path):
        monkeypatch.setattr(errors, "PACKAGES", tmp_path)
        assert 'run pip install ".[train]" in the folder' in missing_extra().hint  # the index has another of our name

    def test_a_checkout_gets_them_where_it_lies(self, monkeypatch, tmp_path):
        monkeypatch.setattr(errors, "PACKAGES", tmp_path)
        (tmp_path / "pyproject.toml").touch()
        assert 'run pip install -e ".[train]" in the folder of this program' in missing_extra().hint

    def test_a_checkout_gets_them_into_the_environment_that_lies_in_it(self, monkeypatch, tmp_path):
        monkeypatch.setattr(errors, "PACKAGES", tmp_path)
        (tmp_path / "pyproject.toml").touch()
        monkeypatch.setattr(errors.sys, "prefix", str(tmp_path / ".venv"))
        hint = missing_extra().hint
        assert re.search(r'run \.venv[/\\](bin|Scripts)[/\\]python -m pip install -e "\.\[train\]"', hint)
        assert str(tmp_path) not in hint
