"""A server whose environment lacks what trains: it says so early, and how to mend it."""

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


@pytest.mark.usefixtures("lacking")
class TestWithoutTheLibraries:
    def test_the_link_says_so(self, agreed):
        assert "Not possible here yet: Training needs no_such_library" in agreed.get("/").get_data(as_text=True)

    def test_the_page_says_so_before_photos_are_chosen(self, agreed):
        text = agreed.get("/own-face").get_data(as_text=True)
        assert text.index("Training needs no_such_library") < text.index("Choose photos")

    def test_the_api_says_so(self, agreed):
        response = agreed.send(f"{URL}/training", {}, keep_model="yes")
        assert (response.status_code, response.json["code"]) == (501, "missing_extra")
        assert 'pip install -e ".[train]" in the folder of this program' in response.json["hint"]
        told = agreed.get(URL)
        assert told.json["obstacle"]["code"] == "missing_extra"
        check(told, URL, "get")

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


class TestWhereNothingCanBeWritten:
    @pytest.fixture(autouse=True)
    def refused(self, monkeypatch) -> None:
        monkeypatch.setattr(personal_model, "NEEDED", ())
        monkeypatch.setattr(personal_model.os, "access", lambda *_: False)

    def test_the_page_says_so_before_photos_are_chosen(self, agreed):
        text = agreed.get("/own-face").get_data(as_text=True)
        assert text.index("my_model cannot be written") < text.index("Choose photos")

    def test_the_api_says_so(self, agreed):
        response = agreed.send(f"{URL}/training", {}, keep_model="yes")
        assert (response.status_code, response.json["code"]) == (507, "unwritable")
        told = agreed.get(URL)
        assert told.json["obstacle"]["code"] == "unwritable"
        check(told, URL, "get")
