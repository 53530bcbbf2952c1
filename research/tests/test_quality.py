"""Faults of training sets: each made on purpose, found, listed, and left out of training only."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from made_up_sets import distinct, one_set, touch, write_teacher

from research.__main__ import main
from research.sets.overlaps import of_whole_people
from research.sets.quality import audit_sets, centre_cosine, cross_person_duplicates, leave_out_faults
from research.sets.table import LEFT_OUT, REPORTING, TRAINING, load_faces

DIRECTIONS = distinct(20)
NAMES = [f"{person}/{number}.jpg" for person in ("ann", "bob", "cy", "dee") for number in range(4)]


def near(direction, cosine, aside=19):
    """Return a unit vector at a cosine to one direction, turned towards another that nobody else has."""
    return cosine * DIRECTIONS[direction] + np.sqrt(1 - cosine**2) * DIRECTIONS[aside]


@pytest.fixture
def faces():
    """Return embeddings of four people with four photos each, all alike within a person."""
    embeddings = np.repeat(DIRECTIONS[:4], 4, axis=0) + 0.02 * np.random.default_rng(0).normal(size=(16, 128))
    # Photos of one person are 0.85 alike: never one photo seen twice.
    embeddings += 0.4 * distinct(128, seed=3)[:16]
    return (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def table_of(folder, faces, **settings):
    settings = {"identities": "folder"} | settings
    return load_faces([one_set(folder, NAMES, faces, **settings)])


def test_good_photos_have_no_faults(folder, faces):
    table = table_of(folder, faces)
    assert centre_cosine(table).min() > 0.7
    assert cross_person_duplicates(table) == []
    assert leave_out_faults(table) == {"mislabelled": 0, "under two names": 0}
    assert (table.role == TRAINING).all()


def test_a_face_far_from_its_own_persons_centre_is_mislabelled(folder, faces):
    faces[5] = DIRECTIONS[10]  # a stranger among Bob's photos
    table = table_of(folder, faces)
    assert np.flatnonzero(centre_cosine(table) <= 0.2).tolist() == [5]
    assert leave_out_faults(table) == {"mislabelled": 1, "under two names": 0}
    assert np.flatnonzero(table.role == LEFT_OUT).tolist() == [5]


def test_of_two_photos_nobody_could_say_which_is_wrong(folder, faces):
    names = ["ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "bob/2.jpg", "bob/3.jpg"]
    table = load_faces([one_set(folder, names, faces[[0, 4, 8, 9, 12]], identities="folder")])
    found = centre_cosine(table)
    assert np.isnan(found[:2]).all()
    assert found[2] > 0.4 > 0.2 > found[4]
    others = faces[8] + faces[9]
    assert found[4] == pytest.approx(faces[12] @ others / np.linalg.norm(others), abs=1e-6)


def test_one_photo_under_two_names_leaves_under_both(folder, faces):
    faces[9] = near(0, 0.95)
    faces[1] = faces[9]
    table = table_of(folder, faces)
    [pair] = cross_person_duplicates(table)
    assert (pair.first, pair.second, round(pair.cosine, 3)) == (1, 9, 1.0)
    leave_out_faults(table)
    assert {1, 9} <= set(np.flatnonzero(table.role == LEFT_OUT).tolist())


def test_one_photo_twice_under_one_name_is_no_fault(folder, faces):
    faces[1] = faces[0]
    assert cross_person_duplicates(table_of(folder, faces)) == []


def test_duplicates_are_found_across_blocks(folder, faces, monkeypatch):
    monkeypatch.setattr("research.sets.quality.ROWS", 3)
    faces[15] = faces[0]
    assert [(pair.first, pair.second) for pair in cross_person_duplicates(table_of(folder, faces))] == [(0, 15)]


def test_who_measures_stays_as_photos_come(folder, faces):
    faces[5], faces[9] = DIRECTIONS[10], faces[1]
    table = table_of(folder, faces, roles="reporting")
    leave_out_faults(table)
    assert (table.role == REPORTING).all()


def test_photos_without_a_name_or_an_embedding_are_passed_over(folder, faces):
    faces[5] = 0
    table = table_of(folder, faces)
    assert np.isnan(centre_cosine(table)[5])
    nobody = table_of(folder, faces, identities=None)
    assert np.isnan(centre_cosine(nobody)).all()
    assert cross_person_duplicates(nobody) == []
    assert leave_out_faults(nobody) == {"mislabelled": 0, "under two names": 0}


def test_a_choice_is_widened_to_whole_people():
    person = np.array([0, 0, 1, -1, -1])
    assert of_whole_people(person, np.array([1, 0, 0, 1, 0], bool)).tolist() == [True, True, False, True, False]


class TestAudit:
    @pytest.fixture
    def sets_file(self, folder, faces, tmp_path):
        assert folder.is_dir()
        faces[5] = DIRECTIONS[10]
        faces[13] = faces[6]
        touch(folder, NAMES[0])
        touch(folder, "zoe/1.jpg")
        write_teacher(tmp_path / "people.npz", NAMES, faces)
        write_teacher(tmp_path / "held.npz", ["zoe/1.jpg", "zoe/2.jpg"], np.stack([faces[14], DIRECTIONS[12]]))
        write_teacher(tmp_path / "lfw.npz", ["x.jpg"], faces[[3]])
        (tmp_path / "sets.toml").write_text(
            '[[set]]\nname="people"\nfolder="photos"\nteacher="people.npz"\nidentities="folder"\n'
            '[[set]]\nname="held"\nfolder="photos"\nteacher="held.npz"\nidentities="folder"\nroles="reporting"\n'
            '[[exclude]]\nname="lfw"\nteacher="lfw.npz"\n'
        )
        return tmp_path / "sets.toml"

    def test_every_fault_is_counted_and_listed(self, sets_file, tmp_path):
        told = CliRunner().invoke(main, ["audit", str(sets_file), "--json", str(tmp_path / "a.json")])
        assert told.exit_code == 0, told.output
        found = json.loads((tmp_path / "a.json").read_text())
        people = found["counts"]["people"]
        assert people["photos"] == people["of known people"] == 16
        assert found["photos_leaving_with_people"] == {"lfw": 4}
        assert {face["person"] for face in found["excluded"]["lfw"]} == {"ann"}
        assert [face["photo"].rsplit("/", 1)[-1] for face in found["repeats"]] == ["2.jpg"]
        [pair] = found["duplicates"]
        assert (pair["first"]["person"], pair["second"]["person"], pair["cosine"]) == ("bob", "dee", 1)
        mislabelled = [(face["person"], face["photo"][-5], face["role"]) for face in found["mislabelled"]]
        assert mislabelled == [("bob", "1", "training"), ("dee", "1", "training")]
        assert "mislabelled                              2" in told.stdout
        assert "4 training photos leave with the people of lfw." in told.stdout
        assert "is hardly bob" in told.stdout

    def test_excluded_sets_are_told_apart_by_name_not_by_file(self, sets_file, tmp_path):
        (tmp_path / "more").mkdir()
        shutil.copy(tmp_path / "held.npz", tmp_path / "more" / "lfw.npz")
        more = '[[exclude]]\nname="other"\nteacher="more/lfw.npz"\n'
        sets_file.write_text(sets_file.read_text() + more)
        told = CliRunner().invoke(main, ["audit", str(sets_file), "--json", str(tmp_path / "a.json")])
        assert told.exit_code == 0, told.output
        found = json.loads((tmp_path / "a.json").read_text())
        assert found["excluded"].keys() == found["photos_leaving_with_people"].keys() == {"lfw", "other"}
        assert found["photos_leaving_with_people"]["lfw"] == 4
        assert {face["person"] for face in found["excluded"]["lfw"]} == {"ann"}

    def test_what_it_lists_is_what_training_leaves_out(self, sets_file):
        from research.sets.table import read_sets

        sets, exclude = read_sets(sets_file)
        found, table = audit_sets(sets, exclude), load_faces(sets, exclude)
        leave_out_faults(table)
        listed = {row for row, _ in found.repeated} | {row for row, _ in found.mislabelled}
        listed |= {row for pair in found.duplicates for row in (pair.first, pair.second)}
        listed |= set(np.flatnonzero(found.table.role == LEFT_OUT).tolist())
        assert {row for row in listed if row < 16} == set(np.flatnonzero(table.role == LEFT_OUT).tolist())

    def test_a_wrong_sets_file_is_one_clean_line(self, tmp_path):
        (tmp_path / "sets.toml").write_text("[[set]")
        told = CliRunner().invoke(main, ["audit", str(tmp_path / "sets.toml")])
        assert told.exit_code == 2
        assert told.stderr.startswith("Error: sets.toml is not a readable TOML file")
