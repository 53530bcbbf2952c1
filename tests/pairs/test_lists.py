"""Lists of pairs: what is read, and what is refused with file and line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scored_pairs import NAN

from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair, photos_of, read_pairs, read_scores, sources_of, write_scores_csv

SHARED = Path(os.environ.get("FR_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))

PEOPLE = "reference,probe,same,reference_person,probe_person"
VIEW_1 = "2\nAnn\t1\t2\nBob_Jr\t3\t14\nAnn\t1\tBob_Jr\t2\nCy\t1\tDee\t12\n"
VIEW_2 = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t2\nCy\t3\t4\nCy\t1\tDee\t2\n"


@pytest.fixture
def write(tmp_path):
    def write_text(text: str, name: str = "pairs.txt", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


def test_view_1_holds_genuine_pairs_then_impostor_pairs(write):
    assert read_pairs(write(VIEW_1)) == [
        PhotoPair("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", True),
        PhotoPair("Bob_Jr/Bob_Jr_0003.jpg", "Bob_Jr/Bob_Jr_0014.jpg", True),
        PhotoPair("Ann/Ann_0001.jpg", "Bob_Jr/Bob_Jr_0002.jpg", False),
        PhotoPair("Cy/Cy_0001.jpg", "Dee/Dee_0012.jpg", False),
    ]


def test_view_2_keeps_its_folds(write):
    pairs = read_pairs(write(VIEW_2))
    assert [(pair.fold, pair.same) for pair in pairs] == [(0, True), (0, False), (1, True), (1, False)]


@pytest.mark.parametrize("text", [VIEW_1.replace("\n", "\r\n"), VIEW_1.rstrip("\n"), VIEW_1.replace("\t", " ")])
def test_line_ends_and_lost_tabs_change_nothing(write, text):
    assert read_pairs(write(text)) == read_pairs(write(VIEW_1, "other.txt"))


def test_csv_with_every_way_to_say_yes_and_no(write):
    rows = [f"a.jpg,b{word}.jpg,{word}" for word in ("1", "true", "YES", "0", "False", "no")]
    pairs = read_pairs(write("reference,probe,same\n" + "\n".join(rows)))
    assert [pair.same for pair in pairs] == [True, True, True, False, False, False]


def test_csv_of_a_spreadsheet(write):
    text = 'same, probe ,reference,note\r\n1,"x, y.jpg",ü/a.jpg,fine\r\n'
    assert read_pairs(write(text, "p.csv", "utf-8-sig")) == [PhotoPair("ü/a.jpg", "x, y.jpg", True)]


def test_quoted_headers_are_headers(write):
    path = write('"reference", "probe" ,"same","similarity_score"\n"a.jpg","b.jpg","1","0.5"\n')
    assert read_pairs(path) == [PhotoPair("a.jpg", "b.jpg", True)]
    assert read_scores(path)[1].tolist() == [0.5]


@pytest.mark.parametrize("rows", [3, 20000])
def test_a_quote_that_is_not_closed_is_told_shortly(write, rows):
    path = write('reference,probe,same\na.jpg,b.jpg,1\na.jpg,"c.jpg,1\n' + "a.jpg,d.jpg,0\n" * rows)
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert str(caught.value).startswith("pairs.txt, line ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: expects the number of pairs"),
        ("left,right,same\na,b,1\n", "line 1: expects the number of pairs"),
        ("2\nAnn\t1\t2\n", "expects 4 lines of pairs after its first line '2'. Received: '1 lines'"),
        (VIEW_1 + "Cy\t1\tDee\t12\n", "expects 4 lines of pairs"),
        ("0\n", "lines of pairs after its first line '0'"),
        ("1\nAnn\t1\tBob\t2\nAnn\t1\t2\n", "line 2: expects a name and two photo numbers"),
        ("1\nAnn\t1\tx\nAnn\t1\tBob\t2\n", "line 2: expects a name and two photo numbers"),
        ("1\nAnn\t1\t2\nAnn\t1\tAnn\t2\n", "line 3: expects a name and a photo number, twice, of two"),
        ("1\n../x\t1\t2\nAnn\t1\tBob\t2\n", "line 2: A pair expects paths below"),
        ("reference,probe,same\n", "at least one pair"),
        ("reference,probe,same\na.jpg,b.jpg\n", "line 2: expects a reference, a probe and same"),
        ("reference,probe,same\na.jpg,,1\n", "line 2: expects a reference, a probe and same"),
        ("reference,probe,same\na.jpg,b.jpg,1\na.jpg,b.jpg,maybe\n", "line 3: expects 1, 0, true"),
        ("1\nAnn\t1\t1\nAnn\t1\tBob\t2\n", "line 2: A pair expects two photos"),
        ("2\nAnn\t1\t2\nAnn\t2\t1\nA\t1\tB\t1\nA\t1\tC\t1\n", "line 3: expects two photos that"),
        ("reference,probe,same\na.jpg,a.jpg,1\n", "line 2: A pair expects two photos"),
        ("reference,probe,same\na/1.jpg,./a/../a//1.jpg,1\n", "line 2: A pair expects two photos"),
        ("reference,probe,same\na.jpg,b.jpg,1\n\n./b.jpg,a.jpg,1\n", "line 4: expects two photos that no line has"),
        ("reference,probe,same\na.jpg,a.jpg,0\n", "line 2: A pair expects two photos"),
        ("reference,probe,same,fold\na.jpg,b.jpg,0,x\n", "line 2: expects a whole number under fold"),
        (f"{PEOPLE}\na.jpg,b.jpg,1,Ann,Bob\n", "line 2: A pair expects two people, one and the same if"),
        (f"{PEOPLE}\na.jpg,b.jpg,0,Ann,Ann\n", "line 2: A pair expects two people"),
        (f"{PEOPLE}\na.jpg,b.jpg,0,Ann,\n", "line 2: A pair expects two people"),
    ],
)
def test_a_bad_list_is_refused_with_file_and_line(write, text, said):
    with pytest.raises(DataError) as caught:
        read_pairs(write(text))
    assert said in str(caught.value)
    assert "pairs.txt" in str(caught.value)


def test_a_list_that_contradicts_itself_is_refused(write):
    path = write("reference,probe,same\na.jpg,b.jpg,1\nb.jpg,c.jpg,0\nb.jpg,a.jpg,0\n")
    with pytest.raises(DataError, match=r"line 4: expects what line 2 says of these two photos, same=1. Received: 0"):
        read_pairs(path)


@pytest.mark.parametrize("read", [read_pairs, read_scores])
@pytest.mark.parametrize(
    ("separator", "encoding"),
    [(";", "utf-8"), ("\t", "utf-8"), (",", "utf-16"), (",", "utf-16-le"), (",", "utf-16-be")],
)
def test_what_some_spreadsheets_save_is_told_how_to_save_it(write, read, separator, encoding):
    rows = "reference,probe,same,similarity_score\na.jpg,b.jpg,1,0.5\n"
    with pytest.raises(DataError, match="as CSV in UTF-8, with commas"):
        read(write(rows.replace(",", separator), encoding=encoding))


def test_one_photo_has_one_name_however_the_list_spells_it(write):
    pairs = read_pairs(write("reference,probe,same\na/1.jpg,./b/1.jpg,0\n./a//1.jpg,a/b/../2.jpg,1\n"))
    assert photos_of(pairs) == ["a/1.jpg", "b/1.jpg", "a/2.jpg"]
    assert sources_of(pairs).unit == "person"


def test_csv_may_know_people_and_folds(write):
    pairs = read_pairs(write(f"fold,{PEOPLE}\n3,a.jpg,b.jpg,1,Ann,Ann\n,a.jpg,c.jpg,0,Ann,Bob\n,a.jpg,d.jpg,0,,\n"))
    assert pairs == [
        PhotoPair("a.jpg", "b.jpg", True, 3, "Ann", "Ann"),
        PhotoPair("a.jpg", "c.jpg", False, None, "Ann", "Bob"),
        PhotoPair("a.jpg", "d.jpg", False),
    ]


def test_scores_of_a_peer_are_any_numbers(write):
    path = write("reference,probe,similarity_score,same\na.jpg,b.jpg,-3.5e2,1\na.jpg,c.jpg,,0\n")
    pairs, scores = read_scores(path)
    assert pairs == [PhotoPair("a.jpg", "b.jpg", True), PhotoPair("a.jpg", "c.jpg", False)]
    np.testing.assert_array_equal(scores, [-350, np.nan])
    assert read_pairs(path) == pairs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "reference,probe,same\na.jpg,b.jpg,1\n",
            "line 1: expects the columns probe, reference, same, similarity_score",
        ),
        ("", "line 1: expects the columns"),
        ("reference,probe,same,similarity_score\na.jpg,b.jpg,1,high\n", "line 2: expects a number from"),
        ("reference,probe,same,similarity_score\na.jpg,b.jpg,1,inf\n", "line 2: expects a number from"),
        ("reference,probe,same,similarity_score\na.jpg,b.jpg,1,-1e308\n", "line 2: expects a number from"),
    ],
)
def test_a_bad_list_of_scores_is_refused(write, text, said):
    with pytest.raises(DataError, match=said):
        read_scores(write(text))


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "\\\\host\\a.jpg", "..\\a.jpg", "http://x/a.jpg", ""],
)
def test_a_pair_never_leaves_the_root(path):
    with pytest.raises(DataError, match="below the photos' root"):
        PhotoPair(path, "b.jpg", True)
    with pytest.raises(DataError, match="below the photos' root"):
        PhotoPair("b.jpg", path, True)


def test_going_up_within_the_root_is_allowed():
    assert PhotoPair("a/../b.jpg", "c...jpg", False).reference == "a/../b.jpg"


def test_what_is_no_readable_text_is_refused(tmp_path, write):
    for path in (tmp_path / "absent.txt", tmp_path, write("1\nAnn\t1\té\n", encoding="latin-1")):
        with pytest.raises(DataError):
            read_pairs(path)


def test_photos_are_listed_once_in_first_seen_order(write):
    assert photos_of([]) == []
    photos = photos_of(read_pairs(write(VIEW_1)))
    assert photos[:4] == [
        "Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob_Jr/Bob_Jr_0003.jpg", "Bob_Jr/Bob_Jr_0014.jpg",
    ]  # fmt: skip
    assert len(photos) == len(set(photos)) == 7


@pytest.mark.skipif(not (SHARED / "lfw-devtest").is_dir(), reason="needs shared/lfw-devtest")
def test_lfw_development_test_is_read_whole():
    folder = SHARED / "lfw-devtest"
    pairs = read_pairs(folder / "pairsDevTest.txt")
    assert len(pairs) == 1000
    assert sum(pair.same for pair in pairs) == 500
    assert len(photos_of(pairs)) == 1549
    assert all((folder / photo).is_file() for photo in photos_of(pairs))


class TestScoresCsv:
    pairs = (PhotoPair("Ann/1.jpg", "Ann/2.jpg", True), PhotoPair("Ann/1.jpg", "B, ob/ü.jpg", False))

    def test_rows(self, tmp_path):
        path = tmp_path / "scores.csv"
        write_scores_csv(path, self.pairs, [np.float32(0.1), NAN], (0.05, 0.6))
        assert path.read_text(encoding="utf-8").splitlines() == [
            "reference,probe,same,similarity_score,decision",
            "Ann/1.jpg,Ann/2.jpg,1,0.10000000149011612,inconclusive",
            'Ann/1.jpg,"B, ob/ü.jpg",0,,non_match',
        ]

    def test_reads_back_as_pairs(self, tmp_path):
        path = tmp_path / "scores.csv"
        write_scores_csv(path, self.pairs, [0.9, 0.2], (0.5, 0.6))
        assert tuple(read_pairs(path)) == self.pairs

    @pytest.mark.parametrize(
        "name",
        [
            " Ann", "Ann ", "\tAnn", "A\u2028nn", "A\x0cnn", "A\x85nn", "A\nnn", "A\rnn", "A\r\nnn", 'A"nn', '"Ann"',
            "A,nn", os.fsdecode(b"\xc4nn"), "\ufeffAnn",
        ],
    )  # fmt: skip
    def test_photos_and_people_of_any_name_are_read_back(self, tmp_path, name):
        path = tmp_path / "scores.csv"
        pairs = [
            PhotoPair(f"{name}/1.jpg", f"{name}/{name}", True, None, name, name),
            PhotoPair(f"{name}/1.jpg", "Bob/1.jpg", False, None, name, "Bob"),
        ]
        write_scores_csv(path, pairs, [0.9, NAN], (0.5, 0.6))
        assert read_pairs(path) == read_scores(path)[0] == pairs

    def test_lines_are_counted_as_they_stand_in_the_file(self, tmp_path):
        path = tmp_path / "scores.csv"
        write_scores_csv(path, [PhotoPair("A\u2028nn/1.jpg", "A\nnn/2.jpg", True)], [0.9], (0.5, 0.6))
        with path.open("a", encoding="utf-8") as file:
            file.write("a.jpg,b.jpg,maybe,,\n")
        with pytest.raises(DataError, match="line 4: expects 1, 0, true"):
            read_pairs(path)

    def test_people_and_folds_are_kept_where_they_are_known(self, tmp_path):
        path = tmp_path / "scores.csv"
        pairs = [
            PhotoPair("1.jpg", "2.jpg", True, 0, "Ann", "Ann"),
            PhotoPair("1.jpg", "3.jpg", False, 1, "Ann", "Bob"),
        ]
        write_scores_csv(path, pairs, [0.25, NAN], (0.5, 0.6))
        read, scores = read_scores(path)
        assert read == pairs
        np.testing.assert_array_equal(scores, [0.25, NAN])

    def test_a_score_for_each_pair(self, tmp_path):
        with pytest.raises(ValueError, match="2 scores"):
            write_scores_csv(tmp_path / "scores.csv", self.pairs, [0.9], (0.5, 0.6))


class TestSources:
    genuine = PhotoPair("Ann/1.jpg", "Ann/2.jpg", True)
    impostor = PhotoPair("Ann/1.jpg", "Bob/1.jpg", False)

    def test_folders_that_agree_with_the_list_are_people(self):
        sources = sources_of([self.genuine, self.impostor])
        assert (sources.unit, sources.count) == ("person", 2)
        assert sources.reference.tolist() == [0, 0]
        assert sources.probe.tolist() == [0, 1]

    @pytest.mark.parametrize(
        "pair",
        [PhotoPair("ref/1.jpg", "probe/1.jpg", True), PhotoPair("Ann/1.jpg", "Ann/3.jpg", False),
         PhotoPair("1.jpg", "2.jpg", True)],
    )  # fmt: skip
    def test_otherwise_photos_stand_in(self, pair):
        sources = sources_of([self.genuine, self.impostor, pair])
        assert sources.unit == "photo"
        assert sources.count == len({"Ann/1.jpg", "Ann/2.jpg", "Bob/1.jpg", pair.reference, pair.probe})

    def test_people_whom_the_pairs_name_come_first(self):
        pairs = [
            PhotoPair("a/1.jpg", "b/1.jpg", True, None, "x", "x"),
            PhotoPair("a/1.jpg", "a/2.jpg", False, 0, "x", "y"),
        ]
        assert (sources_of(pairs).unit, sources_of(pairs).count) == ("person", 2)
        assert sources_of([*pairs, self.genuine]).unit == "photo"

    def test_one_kind_proves_nothing_about_folders(self):
        assert sources_of([self.impostor]).unit == "photo"
        assert sources_of([]).count == 0
