"""Groups of photos, and of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from flaskapp.errors import DataError
from flaskapp.pairs.labels import group_masks, read_labels
from flaskapp.pairs.lists import PhotoPair


class TestLabels:
    TEXT = "file,gender,race,age\nA/1.jpg,f,x,3\nA/2.jpg,f,x,4\nB/1.jpg,f,y,3\nC/1.jpg,m,x,\nD/1.jpg,,,\n"

    @pytest.fixture
    def write(self, tmp_path):
        def write_text(text):
            (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
            return tmp_path / "labels.csv"

        return write_text

    def test_every_column_groups_or_those_asked_for(self, write):
        labels = read_labels(write(self.TEXT))
        assert labels.columns == ("gender", "race", "age")
        assert labels.of_photo["C/1.jpg"] == ("m", "x", "")
        assert read_labels(write(self.TEXT), ["race"]).values(["B/1.jpg", "no.jpg"]).tolist() == [["y"], [""]]

    def test_a_spreadsheets_untidiness_does_no_harm(self, write):
        labels = read_labels(write('"path" , gender,\na.jpg,F,\nb.jpg,M,,,\n,,\n"c, d.jpg" , F\n'))
        assert labels.columns == ("gender",)
        assert labels.of_photo == {"a.jpg": ("F",), "b.jpg": ("M",), "c, d.jpg": ("F",)}

    def test_names_of_photos_may_hold_what_ends_lines_elsewhere(self, write):
        labels = read_labels(write('path,gender\na\u2028b\x0c.jpg,F\n"c\nd.jpg",M\n'))
        assert labels.of_photo == {"a\u2028b\x0c.jpg": ("F",), "c\nd.jpg": ("M",)}

    def test_a_quote_that_is_not_closed_is_told(self, write):
        with pytest.raises(DataError, match=r"The labels labels\.csv cannot be read: field larger"):
            read_labels(write('path,gender\na.jpg,"F\n' + "b.jpg,M\n" * 20000))

    def test_a_pair_belongs_to_a_group_if_both_photos_do(self, write):
        pairs = [
            PhotoPair("A/1.jpg", "A/2.jpg", True),
            PhotoPair("A/1.jpg", "B/1.jpg", False),
            PhotoPair("A/1.jpg", "C/1.jpg", False),
            PhotoPair("A/1.jpg", "D/1.jpg", False),
            PhotoPair("D/1.jpg", "D/2.jpg", True),
        ]
        masks = group_masks(pairs, read_labels(write(self.TEXT), ["gender", "race"]))
        assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
            "gender=f": [0, 1], "gender=m": [], "race=x": [0, 2], "race=y": [],
            "alike in gender, race": [0, 4],
        }  # fmt: skip
        alike = group_masks(pairs, read_labels(write(self.TEXT), ["gender"]))["alike in gender"]
        assert np.flatnonzero(alike).tolist() == [0, 1, 4]  # unknown is not alike

    @pytest.mark.parametrize(
        ("text", "by", "said"),
        [
            ("", (), "Received: nothing"),
            ("path;gender\na.jpg;f\n", (), "as CSV in UTF-8, with commas"),
            ("file\na.jpg\n", (), "at least one for a grouping"),
            ("name,race\na.jpg,x\n", (), "expects the columns path"),
            ("path,race\na.jpg,x\n", ("age",), "path \\(or file\\) and age"),
            ("path,n\n" + "".join(f"{n}.jpg,{n}\n" for n in range(51)), (), "more than 50 values"),
        ],
    )
    def test_what_labels_nothing_is_refused(self, write, text, by, said):
        with pytest.raises(DataError, match=said):
            read_labels(write(text), by)

    def test_labels_that_contradict_each_other_are_refused_with_both_lines(self, write):
        text = "path,gender,race\na.jpg,F,x\nb.jpg,M,x\n./b.jpg,F,x\n"
        with pytest.raises(DataError, match=r"line 4: expects what line 3 says of b.jpg, M, x. Received: F, x"):
            read_labels(write(text))
        assert read_labels(write(text), ["race"]).of_photo == {"a.jpg": ("x",), "b.jpg": ("x",)}

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
    def test_labels_in_another_encoding_are_told_how_to_save_them(self, tmp_path, encoding):
        (tmp_path / "labels.csv").write_bytes("path,name\na.jpg,Zoë\n".encode(encoding))
        with pytest.raises(DataError) as caught:
            read_labels(tmp_path / "labels.csv")
        assert "codec" not in str(caught.value)
        assert "as CSV in UTF-8, with commas" in str(caught.value)

    def test_labels_of_other_photos_are_refused(self, write):
        with pytest.raises(DataError, match="none of the 2 photos"):
            group_masks([PhotoPair("x.jpg", "y.jpg", True)], read_labels(write(self.TEXT)))
