from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_sets import distinct, one_set, touch, unit, write_teacher

from flaskapp.errors import DataError
from research.sets import table as sets
from research.sets.file import FaceSet, read_sets
from research.sets.roles import celeba_role, hashed_role
from research.sets.table import (
    CALIBRATION,
    LEFT_OUT,
    REPORTING,
    TRAINING,
    UNKNOWN_PERSON,
    VALIDATION,
    load_faces,
    nearest_cosine,
)

EYE = np.eye(128, dtype=np.float32)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


class TestRoles:
    @pytest.mark.parametrize(
        ("number", "role"),
        [
            (20, CALIBRATION),
            (10_000, CALIBRATION),
            (10, REPORTING),
            (30, REPORTING),
            (5, VALIDATION),
            (10_175, VALIDATION),
            (1, TRAINING),
            (9_999, TRAINING),
        ],
    )
    def test_a_celeba_number_says_what_the_person_is_for(self, number, role):
        assert celeba_role(number) == role

    def test_eight_of_ten_celeba_people_train(self):
        roles = np.bincount([celeba_role(number) for number in range(1, 1001)])
        assert roles.tolist() == [800, 100, 50, 50]

    def test_a_hash_shares_people_out_likewise(self):
        shares = np.bincount([hashed_role(f"person {number}") for number in range(4000)]) / 4000
        np.testing.assert_allclose(shares, [0.8, 0.1, 0.05, 0.05], atol=0.02)

    def test_a_hash_is_the_same_in_every_process(self):
        roles = [hashed_role(f"person {number}") for number in (4, 14, 7, 21)]
        assert roles == [TRAINING, VALIDATION, CALIBRATION, REPORTING]

    def test_celeba_files_without_a_known_person_are_left_out(self, folder):
        (folder.parent / "who.txt").write_text("a.jpg 20\nb.jpg 7\nc.jpg 15\n\nnonsense\n")
        photos = one_set(
            folder, ["x/a.jpg", "b.jpg", "c.jpg", "d.jpg"], roles="celeba", identities=folder.parent / "who.txt"
        )
        table = load_faces([photos])
        assert table.role.tolist() == [CALIBRATION, TRAINING, VALIDATION, LEFT_OUT]
        assert table.person[3] == UNKNOWN_PERSON

    def test_celeba_roles_need_numbers(self, folder):
        (folder.parent / "who.txt").write_text("a.jpg anna\n")
        with pytest.raises(DataError, match="'anna'"):
            load_faces([one_set(folder, ["a.jpg"], roles="celeba", identities=folder.parent / "who.txt")])

    def test_a_folder_may_have_its_own_role(self, folder):
        names = ["test/anna/1.jpg", "train/bert/1.jpg", "testing/carla/1.jpg"]
        table = load_faces([one_set(folder, names, identities="folder", role_of_folder={"test": "validation"})])
        assert table.role.tolist() == [VALIDATION, TRAINING, TRAINING]

    def test_one_role_may_hold_for_a_whole_set(self, folder):
        assert load_faces([one_set(folder, ["a.jpg"], roles="reporting")]).role.tolist() == [REPORTING]


class TestLandmarks:
    def test_they_move_by_shares_of_the_distance_between_the_eyes(self, folder):
        # write_teacher's second face has its left eye at (10, 11) and its right one at (12, 13).
        table = load_faces([one_set(folder, ["a.jpg", "b.jpg"], landmark_shift=(0.5, -0.25))])
        moved = np.arange(10, 20).reshape(5, 2) + np.sqrt(8) * np.array([0.5, -0.25])
        np.testing.assert_allclose(table.landmarks[1], moved, rtol=1e-6)

    @pytest.mark.parametrize("shift", ["3", "[1]", "[1, 2, 3]", '["a", "b"]', "[true, 1]"])
    def test_a_shift_is_two_numbers(self, tmp_path, shift):
        (tmp_path / "sets.toml").write_text(f'[[set]]\nname = "own"\nfolder = "f"\nlandmark_shift = {shift}\n')
        with pytest.raises(DataError, match="Set own: landmark_shift expects two numbers"):
            read_sets(tmp_path / "sets.toml")

    def test_a_shift_is_read(self, tmp_path):
        (tmp_path / "sets.toml").write_text('[[set]]\nname = "own"\nfolder = "f"\nlandmark_shift = [-0.02, 1]\n')
        (own,), _ = read_sets(tmp_path / "sets.toml")
        assert own.landmark_shift == (-0.02, 1.0)


class TestLeavingOut:
    def test_dropped_people_are_left_out(self, folder):
        names = ["anna/1.jpg", "bert/1.jpg", "anna/2.jpg"]
        table = load_faces([one_set(folder, names, identities="folder", drop=("anna",))])
        assert table.role.tolist() == [LEFT_OUT, TRAINING, LEFT_OUT]

    def test_a_dropped_photo_is_left_out_and_no_other_of_its_person(self, folder):
        names = ["anna/1.jpg", "bert/1.jpg", "anna/2.jpg"]
        table = load_faces([one_set(folder, names, identities="folder", drop=("anna/2.jpg",))])
        assert table.role.tolist() == [TRAINING, TRAINING, LEFT_OUT]

    def test_a_dropped_name_that_nobody_has_is_refused(self, folder):
        """A name misspelt would leave in training whom it was to keep out."""
        with pytest.raises(DataError, match="Set people: drop names Anna, which is none of its people or photos"):
            load_faces([one_set(folder, ["anna/1.jpg"], identities="folder", drop=("Anna",))])

    def test_photos_without_a_face_are_left_out(self, folder):
        table = load_faces([one_set(folder, ["a.jpg", "b.jpg"], usable=[True, False])])
        assert table.role.tolist() == [TRAINING, LEFT_OUT]

    def test_an_excluded_person_leaves_with_all_photos(self, folder):
        # Only anna's first photo looks like the excluded one; her second goes as well.
        names = ["anna/1.jpg", "anna/2.jpg", "bert/1.jpg"]
        embeddings = unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
        excluded = write_teacher(folder.parent / "lfw.npz", ["x.jpg"], unit([1, 0.5, 0]))
        table = load_faces([one_set(folder, names, embeddings, identities="folder")], {"lfw": excluded})
        assert table.role.tolist() == [LEFT_OUT, LEFT_OUT, TRAINING]

    @pytest.mark.parametrize(
        ("first", "second", "leave"),
        [
            (0.55, 0.0, [True, False]),  # by chance, perhaps: the photo alone
            (0.55, 0.45, [True, True]),  # so is the mean of both
            (0.65, 0.0, [True, True]),
            (0.45, 0.0, [False, False]),
        ],
    )
    def test_one_photo_near_somebody_excluded_speaks_for_its_person_if_it_is_sure(self, folder, first, second, leave):
        excluded = write_teacher(folder.parent / "lfw.npz", ["x.jpg"], unit([1]))
        rows = [first, np.sqrt(1 - first**2), 0], [second, 0, np.sqrt(1 - second**2)]
        photos = one_set(folder, ["anna/1.jpg", "anna/2.jpg"], unit(*rows), identities="folder")
        assert (load_faces([photos], {"lfw": excluded}).role == LEFT_OUT).tolist() == leave

    def test_of_nameless_photos_only_the_one_alike_leaves(self, folder):
        embeddings = unit([1, 0, 0], [0, 1, 0])
        excluded = write_teacher(folder.parent / "lfw.npz", ["x.jpg"], unit([1, 0.5, 0]))
        assert load_faces([one_set(folder, ["a.jpg", "b.jpg"], embeddings)], {"lfw": excluded}).role.tolist() == [
            LEFT_OUT,
            TRAINING,
        ]

    @pytest.mark.parametrize(("cosine", "role"), [(0.49, TRAINING), (0.51, LEFT_OUT)])
    def test_who_counts_as_one_person(self, folder, cosine, role):
        excluded = write_teacher(folder.parent / "lfw.npz", ["x.jpg"], unit([1]))
        photos = one_set(folder, ["a.jpg"], unit([cosine, np.sqrt(1 - cosine**2)]))
        assert load_faces([photos], {"lfw": excluded}).role.tolist() == [role]

    @pytest.mark.parametrize(("cosine", "role"), [(0.89, TRAINING), (0.91, LEFT_OUT)])
    @pytest.mark.parametrize("held_out", ["validation", "calibration", "reporting"])
    def test_repeated_photos_of_people_held_out_are_not_trained_on(self, folder, cosine, role, held_out):
        other = one_set(folder, ["same.jpg"], unit([1]), name="other", roles=held_out)
        photos = one_set(folder, ["a.jpg"], unit([cosine, np.sqrt(1 - cosine**2)]))
        assert load_faces([photos, other]).role[0] == role

    def test_people_held_out_are_measured_on_even_if_excluded(self, folder):
        # Exclusion is about learning; validation people in LFW spoil no weights.
        excluded = write_teacher(folder.parent / "lfw.npz", ["x.jpg"], unit([1]))
        assert (
            load_faces([one_set(folder, ["a.jpg"], unit([1]), roles="validation")], {"lfw": excluded}).role[0]
            == VALIDATION
        )

    def test_it_counts_why_photos_left(self, folder):
        names = ["anna/1.jpg", "bert/1.jpg", "held/1.jpg"]
        photos = one_set(
            folder, names, unit([1], [0, 1], [0, 1]), identities="folder", role_of_folder={"held": "validation"}
        )
        table = load_faces([photos])
        table.role[:] = [TRAINING, TRAINING, VALIDATION]
        assert sets.leave_out_overlaps(table, [unit([1])]) == {
            "people of the excluded sets": 1,
            "photos of people held out": 1,
        }
        assert table.role.tolist() == [LEFT_OUT, LEFT_OUT, VALIDATION]


class TestNearestCosine:
    def test_it_is_the_largest_cosine(self):
        first, second = distinct(60, seed=1), np.random.default_rng(2).normal(size=(40, 128)).astype(np.float32)
        second /= np.linalg.norm(second, axis=1, keepdims=True)
        np.testing.assert_allclose(nearest_cosine(first, second, rows=7), (first @ second.T).max(axis=1), rtol=1e-6)

    def test_what_has_no_embedding_is_near_to_nobody(self):
        some = unit([1], [1])
        some[0] = np.nan
        assert nearest_cosine(some, unit([1])).tolist() == [-1, 1]
        assert nearest_cosine(unit([0, 1]), some).tolist() == [0]

    def test_nobody_is_near_to_nobody(self):
        assert nearest_cosine(unit([1]), np.empty((0, 128), np.float32)).tolist() == [-1]
        assert nearest_cosine(np.empty((0, 128), np.float32), unit([1])).shape == (0,)


class TestLoading:
    def test_every_photo_is_a_row(self, folder):
        first = one_set(folder, ["anna/1.jpg", "bert/1.jpg"], identities="folder", terms="research")
        second = one_set(folder, ["x.jpg"], name="nameless")
        table = load_faces([first, second])
        assert len(table) == 3
        assert table.paths[2] == folder / "x.jpg"
        assert table.set_index.tolist() == [0, 0, 1]
        assert table.set_terms == ("research", "not stated")
        assert table.person.tolist() == [0, 1, UNKNOWN_PERSON]
        assert table.landmarks.dtype == table.teacher.dtype == np.float32
        assert table.counts()["people"]["training"] == 2

    def test_teachers_vectors_get_unit_length(self, folder):
        table = load_faces([one_set(folder, ["a.jpg", "b.jpg"], np.array([[3.0] * 128, [0.0] * 128]))])
        assert np.linalg.norm(table.teacher[0]) == pytest.approx(1)
        assert np.isnan(table.teacher[1]).all()

    def test_people_of_one_list_are_one_person_in_every_set(self, folder):
        who = folder.parent / "who.txt"
        who.write_text("a.jpg 1\nb.jpg 2\nc.jpg 1\n")
        first = one_set(folder, ["a.jpg", "b.jpg"], identities=who, roles="celeba")
        second = one_set(folder, ["c.jpg"], identities=who, roles="celeba", name="second")
        assert load_faces([first, second]).person.tolist() == [0, 1, 0]

    def test_people_of_two_folders_are_two_people_even_of_one_name(self, folder):
        first = one_set(folder, ["anna/1.jpg"], identities="folder")
        second = one_set(folder, ["anna/1.jpg"], identities="folder", name="second")
        assert load_faces([first, second]).person.tolist() == [0, 1]

    def test_without_a_teacher_the_photos_are_found_and_wait_for_detection(self, folder):
        for name in ("b.PNG", "a.jpg", "notes.txt", "sub/c.heic"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        table = load_faces([FaceSet("people", folder)])
        assert [path.name for path in table.paths] == ["a.jpg", "b.PNG", "c.heic"]
        assert np.isnan(table.landmarks).all()
        assert np.isnan(table.teacher).all()

    def test_a_teacher_file_without_landmarks_leaves_them_to_detection(self, folder):
        touch(folder, "a.jpg")
        teacher = folder.parent / "t.npz"
        np.savez(teacher, paths=["a.jpg"], embedding=np.eye(1, 128), ok=[True])
        table = load_faces([FaceSet("people", folder, teacher=teacher)])
        assert np.isnan(table.landmarks).all()
        assert table.teacher[0, 0] == 1

    def test_another_teacher_may_be_learned_than_the_one_that_finds_faults(self, folder):
        other = write_teacher(folder.parent / "other.npz", ["b.jpg", "a.jpg"], EYE[[5, 6]], usable=[True, False])
        first = one_set(folder, ["a.jpg", "b.jpg", "c.jpg"], EYE[:3], learned=other)
        table = load_faces([first, one_set(folder, ["d.jpg"], EYE[3:4], name="second")])
        assert table.teacher.argmax(axis=1).tolist() == [0, 1, 2, 3]
        assert np.isnan(table.targets).all(axis=1).tolist() == [True, False, True, False]
        np.testing.assert_array_equal(table.targets[[1, 3]], EYE[[5, 3]])

    def test_a_set_that_does_not_train_only_measures(self, folder):
        who = folder.parent / "who.txt"
        who.write_text("a.jpg 1\nb.jpg 5\nc.jpg 20\n")
        table = load_faces([one_set(folder, ["a.jpg", "b.jpg", "c.jpg"], identities=who, roles="celeba", trains=False)])
        assert table.role.tolist() == [LEFT_OUT, VALIDATION, CALIBRATION]

    def test_sets_without_photos_are_refused(self, folder):
        with pytest.raises(DataError, match="no photos"):
            load_faces([FaceSet("people", folder)])

    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(DataError, match="people: there is no folder nowhere"):
            load_faces([FaceSet("people", tmp_path / "nowhere")])

    def test_a_missing_list_of_people_is_named(self, folder):
        with pytest.raises(DataError, match=r"who\.txt cannot be read"):
            load_faces([one_set(folder, ["a.jpg"], identities=folder.parent / "who.txt")])

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04half an archive"])
    def test_a_damaged_teacher_file_is_named(self, folder, content):
        (folder.parent / "t.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"t\.npz"):
            load_faces([FaceSet("people", folder, teacher=folder.parent / "t.npz")])

    def test_a_missing_teacher_file_is_named(self, folder):
        with pytest.raises(DataError, match=r"t\.npz cannot be read"):
            load_faces([FaceSet("people", folder, teacher=folder.parent / "t.npz")])

    def test_a_teachers_file_of_other_photos_is_refused(self, folder):
        photos = one_set(folder, ["anna/1.jpg", "anna/2.jpg"])
        (folder / "anna" / "1.jpg").unlink()
        with pytest.raises(DataError, match=r"people\.npz names no photo of photos"):
            load_faces([photos])

    def test_a_teacher_file_of_other_shapes_is_named(self, folder):
        teacher = write_teacher(folder.parent / "t.npz", ["a.jpg"], np.zeros((1, 64)))
        with pytest.raises(DataError, match=r"t\.npz expects .*\(1, 128\)"):
            load_faces([FaceSet("people", folder, teacher=teacher)])

    def test_a_teacher_file_is_never_unpickled(self, folder):
        np.savez(folder.parent / "t.npz", paths=np.array([{"code": 1}], object))
        with pytest.raises(DataError, match=r"t\.npz expects"):
            load_faces([FaceSet("people", folder, teacher=folder.parent / "t.npz")])


class TestSetsFile:
    def read(self, tmp_path, text: str):
        (tmp_path / "sets.toml").write_text(text, encoding="utf-8")
        return read_sets(tmp_path / "sets.toml")

    def test_the_example_of_the_documentation_is_read(self, tmp_path):
        example = "\n".join(line.strip() for line in sets.__doc__.split("::")[1].split("Overlaps")[0].splitlines())
        (face_set,), excluded = self.read(tmp_path, example)
        assert face_set.folder == tmp_path / "celeba_test"
        assert face_set.identities == tmp_path / "identity_CelebA.txt"
        assert (face_set.roles, face_set.terms) == ("celeba", "non-commercial research")
        assert excluded == {"lfw": tmp_path / "lfw.npz"}

    def test_what_is_not_said_has_a_default(self, tmp_path):
        (face_set,), excluded = self.read(tmp_path, '[[set]]\nname = "a"\nfolder = "a"\nidentities = "folder"')
        assert face_set == FaceSet("a", tmp_path / "a", identities="folder")
        assert excluded == {}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no \\[\\[set\\]\\]"),
            ("[[set]", "not a readable TOML"),
            ('[[set]]\nname = "a"', "expects name, folder"),
            ('[[set]]\nname = "a"\nfolder = "a"\nrole = "x"', "Received: folder, name, role"),
            ('[[set]]\nname = "a"\nfolder = 5', "describes a set wrongly"),
            ('[[set]]\nname = "a"\nfolder = "a"\nroles = "boss"', "'boss'"),
            ('[[set]]\nname = "a"\nfolder = "a"\nrole_of_folder = {x = "boss"}', "'boss'"),
            ('[[set]]\nname = "a"\nfolder = "a"\n[[exclude]]\nname = "x"', "describes a set wrongly"),
            ("set = 5", "describes a set wrongly"),
            ('[[set]]\nname = "a"\nfolder = "a"\ntrains = "false"', "Set a: trains expects true or false, without"),
            ('[[set]]\nname = "a"\nfolder = "a"\nmeasures = 0', "Set a: measures expects true or false"),
            ('[[set]]\nname = "a"\nfolder = "a"\ncentre = "no"', "Set a: centre expects true or false"),
            ('[[set]]\nname = "a"\nfolder = "a"\ndrop = [21]', r"Set a: drop expects a list of names.* \[21\]"),
            ('[[set]]\nname = "a"\nfolder = "a"\ndrop = "n1"', "Set a: drop expects a list of names.* 'n1'"),
            ('[[set]]\nname = "a"\nfolder = "a"\n' * 2, r"two \[\[set\]\] of one name: a, a"),
            (
                '[[set]]\nname = "a"\nfolder = "a"\n' + '[[exclude]]\nname = "x"\nteacher = "x.npz"\n' * 2,
                r"two \[\[exclude\]\] of one name: x, x",
            ),
        ],
    )
    def test_a_wrong_file_is_refused_with_what_was_expected(self, tmp_path, text, message):
        with pytest.raises(DataError, match=message):
            self.read(tmp_path, text)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"none\.toml cannot be read"):
            read_sets(tmp_path / "none.toml")


def test_what_is_passed_over_in_a_folder_is_told(tmp_path):
    for name in ("grace/one.jpg", "eileen/two.jpg"):
        touch(tmp_path / "people", name)
        (tmp_path / "people" / name).write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "people" / "readme").write_text("no photo")
    (tmp_path / "sets.toml").write_text('[[set]]\nname="ours"\nfolder="people"\nidentities="folder"\n')
    table = load_faces(*read_sets(tmp_path / "sets.toml"))
    assert len(table) == 2
    assert table.passed_over.keys() == {"ours/readme"}


def test_the_example_of_how_weights_are_made_is_read(tmp_path):
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (tmp_path / "sets.toml").write_text(text.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    found, excluded = read_sets(tmp_path / "sets.toml")
    assert [face_set.name for face_set in found] == ["my_people", "other_people", "more_faces"]
    assert excluded == {"lfw": tmp_path / "teacher" / "lfw.npz"}
