"""Photos for one's own face: read, told apart, split, audited; and the stand-in for others."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from personal_models import stand_in_note
from PIL import Image

from flaskapp import preprocess
from flaskapp.errors import DataError, LeakError, MissingExtraError
from flaskapp.personal import album as albums
from flaskapp.personal.album import Album, join, read_album, read_people
from flaskapp.personal.data import DRAWN_PEOPLE, doubt_of_one_person, own_among_others, prepare_data
from flaskapp.personal.split import (
    FEWEST_PHOTOS,
    PARTS,
    audit,
    find_alike,
    groups_of,
    split_people,
    split_photos,
)
from flaskapp.personal.stand_in import stand_in_of
from flaskapp.weights.runtime import default_runtime
from tests.conftest import PORTRAITS

# In place of weights: two embeddings match if they are one, and a person's match if most do.
BAND = SimpleNamespace(inconclusive_band=(0.4, 0.6))
EQUAL_ONES = SimpleNamespace(
    info=SimpleNamespace(**vars(BAND), for_references=lambda _: BAND),
    scores=lambda many, one: np.where((many == one).all(axis=1), 0.9, 0.1),
    person_scores=lambda known, many: np.array([np.mean((known == one).all(axis=1)) for one in many]),
)


def pattern(seed: int) -> np.ndarray:
    """Return a picture uint8 (100, 100, 3) of soft patches: somebody's face."""
    patches = np.random.default_rng(seed).integers(20, 236, (5, 5, 3), np.uint8)
    return cv2.resize(patches, (100, 100), interpolation=cv2.INTER_LINEAR)


def drawn_album(count: int, person: str = "me", first: int = 0) -> Album:
    numbers = range(first, first + count)
    return Album(
        tuple(f"{person}{number}.png" for number in numbers),
        (person,) * count,
        np.stack([pattern(number) for number in numbers]),
        tuple(f"{person}-{number}" for number in numbers),
    )


def unlike(count: int) -> np.ndarray:
    """Return embeddings (count, 64) of unit length that are all far from each other."""
    return np.eye(64, dtype=np.float32)[np.arange(count) % 64]


class TestAlbum:
    @pytest.fixture
    def folder(self, tmp_path):
        both = np.hstack([np.asarray(Image.open(PORTRAITS / f"{name}.jpg"))[:512] for name in ("grace_hopper",) * 2])
        shutil.copy(PORTRAITS / "grace_hopper.jpg", tmp_path / "one.jpg")
        Image.fromarray(both).save(tmp_path / "two.png")
        Image.fromarray(np.full((90, 90, 3), 128, np.uint8)).save(tmp_path / "nobody.png")
        (tmp_path / "broken.heic").write_bytes(b"no photo")
        return tmp_path

    def test_whatever_cannot_be_used_is_listed_with_its_reason(self, folder):
        album = read_album(folder)
        assert album.names == ("one.jpg",)
        assert album.faces.shape == (1, 100, 100, 3)
        assert len(album.digests[0]) == 64
        assert set(album.left_out) == {"two.png", "nobody.png", "broken.heic"}
        assert "2 faces" in album.left_out["two.png"]
        assert "No face" in album.left_out["nobody.png"]
        assert "known format" in album.left_out["broken.heic"]

    def test_heic_is_read(self, tmp_path):
        import pillow_heif

        portrait = Image.open(PORTRAITS / "eileen_collins.jpg")
        pillow_heif.from_pillow(portrait).save(tmp_path / "phone.heic", quality=90)
        assert len(read_album(tmp_path)) == 1

    def test_an_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="no photos in"):
            read_album(tmp_path)

    def test_as_many_photos_are_read_at_a_time_as_there_are_cores(self, tmp_path, monkeypatch):
        names = [shutil.copy(PORTRAITS / "grace_hopper.jpg", tmp_path / f"{number}.jpg") for number in range(3)]
        all_at_once = threading.Barrier(len(names), timeout=60)
        monkeypatch.setattr(albums, "allowed_cores", lambda: len(names))
        monkeypatch.setattr(albums, "photos_at_once", lambda: len(names))
        monkeypatch.setattr(preprocess, "crop_photo", lambda *_, **__: pattern(all_at_once.wait()))
        assert len(read_album(tmp_path)) == len(names)

    def test_people_are_folders_and_a_stray_photo_is_nobodys(self, tmp_path):
        for name in ("grace_hopper", "eileen_collins"):
            (tmp_path / name).mkdir()
            shutil.copy(PORTRAITS / f"{name}.jpg", tmp_path / name)
        shutil.copy(PORTRAITS / "grace_hopper.jpg", tmp_path / "stray.jpg")
        album = read_people(tmp_path)
        assert album.people == ("eileen_collins", "grace_hopper")
        assert album.left_out == {"stray.jpg": "It lies in nobody's folder."}
        shutil.copy(PORTRAITS / "grace_hopper.jpg", tmp_path / "grace_hopper" / "again.jpg")
        assert read_people(tmp_path, people=1).names == ("grace_hopper/again.jpg", "grace_hopper/grace_hopper.jpg")
        assert read_people(tmp_path, people=1, most=1).names == ("grace_hopper/again.jpg",)

    def test_lfw_comes_by_scikit_learns_loader(self, tmp_path, monkeypatch):
        datasets = pytest.importorskip("sklearn.datasets")
        asked = {}
        monkeypatch.setattr(datasets, "fetch_lfw_people", lambda **settings: asked.update(settings))
        assert albums.fetch_lfw(tmp_path) == tmp_path / "lfw_home" / "lfw_funneled"
        assert asked["data_home"] == tmp_path
        monkeypatch.setattr(datasets, "fetch_lfw_people", lambda **_: (_ for _ in ()).throw(OSError("no network")))
        with pytest.raises(DataError, match="could not be fetched"):
            albums.fetch_lfw(tmp_path)

    def test_without_scikit_learn_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
        with pytest.raises(MissingExtraError, match="scikit-learn"):
            albums.fetch_lfw()


class TestNearDuplicates:
    def change(self, face, way):
        if way == "mirrored":
            return face[:, ::-1]
        if way == "darker":
            return (face * 0.6).astype(np.uint8)
        small = cv2.resize(face, (60, 60), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (100, 100), interpolation=cv2.INTER_LINEAR)

    @pytest.mark.parametrize("way", ["mirrored", "darker", "smaller"])
    def test_an_edited_copy_is_alike_by_its_perceptual_hash(self, way):
        album = drawn_album(4)
        edited = Album(("copy.png",), ("me",), self.change(album.faces[2], way)[None], ("other",))
        (found,) = find_alike(join(album, edited), unlike(5))
        assert (found.first, found.second) == (2, 4)
        assert "hash bits" in found.why

    def test_equal_files_and_equal_embeddings_are_alike_and_others_are_not(self):
        album = drawn_album(4)
        assert find_alike(album, unlike(4)) == []
        embeddings = unlike(4)
        embeddings[3] = embeddings[1]
        assert [(pair.first, pair.second) for pair in find_alike(album, embeddings)] == [(1, 3)]
        assert [(pair.first, pair.second) for pair in find_alike(album, 0.1 * embeddings)] == [(1, 3)]
        assert find_alike(album, 10 * unlike(4)) == []
        same_file = Album(album.names, album.people, album.faces, ("a", "b", "a", "c"))
        assert [pair.why for pair in find_alike(same_file, unlike(4))] == ["the same file"]

    def test_a_chain_of_likeness_is_one_group(self):
        album = drawn_album(5)
        chained = Album(album.names, album.people, album.faces, ("a", "b", "a", "b", "c"))
        pairs = find_alike(chained, unlike(5))
        embeddings = unlike(5)
        embeddings[3] = embeddings[2]
        assert len(set(groups_of(5, pairs).tolist())) == 3
        assert len(set(groups_of(5, find_alike(chained, embeddings)).tolist())) == 2

    @pytest.mark.needs_shared
    @pytest.mark.slow
    def test_no_two_people_are_alike_and_a_known_copy_is(self, shared):
        albums = {name: read_album(shared / "people" / name) for name in ("06230", "05170")}
        album = join(*(replace(photos, people=(name,) * len(photos)) for name, photos in albums.items()))
        found = find_alike(album, np.zeros((len(album), 2), np.float32))
        assert all(album.people[pair.first] == album.people[pair.second] for pair in found)
        names = {frozenset((album.names[pair.first], album.names[pair.second])) for pair in found}
        assert frozenset(("190620.jpg", "192472.jpg")) in names


class TestAudit:
    def test_a_clean_split_passes(self):
        audit(drawn_album(4), np.array(["a", "a", "b", "b"]), unlike(4))

    def test_a_photo_of_mine_among_the_others_stops_training_with_the_evidence(self):
        mine, others = drawn_album(3), drawn_album(3, "her", 10)
        hidden = join(others, Album(("her9.png",), ("her",), mine.faces[1:2], (mine.digests[1],)))
        parts = np.array(["my training"] * 3 + ["others' test"] * 4)
        with pytest.raises(LeakError, match=r"me1\.png \(my training\) and her9\.png \(others' test\): the same file"):
            audit(join(mine, hidden), parts, unlike(7))

    def test_alike_photos_of_one_part_are_no_leak(self):
        album = drawn_album(3)
        twice = Album(album.names, album.people, album.faces, ("a", "a", "b"))
        audit(twice, np.array(["a", "a", "b"]), unlike(3))


class TestOnePerson:
    @pytest.fixture(scope="class")
    @classmethod
    def doubt(cls):
        runtime = default_runtime()

        def doubt(*photos: Album) -> str | None:
            album = join(*photos)
            doubted = doubt_of_one_person(album, runtime.embed(preprocess.to_model_input(album.faces)), runtime)
            return doubted and doubted.words

        return doubt

    @pytest.mark.needs_shared
    def test_photos_of_six_people_are_doubted(self, doubt, photos):
        warning = doubt(read_album(photos))
        assert re.match(r"the photos seem to show several people\. (\d+) of \1 do not match most", warning)
        for name in ("biden.jpg", "ivan.jpg", "lin-manuel-miranda.png", "alex-lacamoire.png"):
            assert name in warning

    @pytest.mark.needs_shared
    @pytest.mark.slow
    def test_one_photo_of_somebody_else_among_ones_own_is_named(self, doubt, shared, photos):
        mine = read_album(shared / "people" / "04930").take(np.arange(10))
        everybody = read_album(photos)
        biden = everybody.take(np.array([name == "biden.jpg" for name in everybody.names]))
        assert doubt(mine) is None
        assert "some photos look like somebody else. 1 of 11 do not match most of the others: biden.jpg." in doubt(
            mine, biden
        )

    @pytest.mark.parametrize(
        ("people", "words"),
        [
            ([0, 1], None),
            ([0, 0, 0, 0], None),
            ([0, 0, 1], "some photos look like somebody else. 1 of 3 do not match most of the others: me2.png."),
            ([0, 0, 0, 1, 1], "2 of 5 do not match most of the others: me3.png, me4.png."),
            ([0, 0, 1, 1], "the photos seem to show several people. 4 of 4"),
            (range(30), "30 of 30 do not match most of the others: me0.png, me1.png, me2.png, me3.png, me4.png, "),
            (range(30), "me9.png … and 20 more."),
        ],
    )
    def test_odd_is_what_matches_less_than_half_of_the_others(self, people, words):
        embeddings = np.eye(30, 4096, dtype=np.float32)[list(people)]
        doubted = doubt_of_one_person(drawn_album(len(people)), embeddings, EQUAL_ONES)
        assert doubted is None if words is None else words in doubted.words


class TestOwnAmongOthers:
    @pytest.mark.parametrize(
        ("mine", "others", "named"),
        [
            ([0, 0, 0], [1, 2, 3], None),
            ([0, 0, 0], [1, 0, 3], "1 match yours: other1.png."),
            ([0, 0, 9], [0, 9, 3], "1 match yours: other0.png."),
            ([0, 0, 9, 9], [0, 9], None),
        ],
    )
    def test_is_what_matches_mine_together(self, mine, others, named):
        faces = np.eye(10, 4096, dtype=np.float32)
        found = own_among_others(drawn_album(len(others), "other"), faces[others], faces[mine], EQUAL_ONES)
        assert found is None if named is None else named in found.words

    @pytest.mark.needs_shared
    @pytest.mark.slow
    def test_other_photos_of_oneself_are_named_and_strangers_are_not(self, shared):
        runtime = default_runtime()
        me, *strangers = (read_album(shared / "people" / name) for name in ("04930", "05150", "05170"))
        others = join(*strangers, replace(me.take(np.arange(10, 12)), names=("a.jpg", "b.jpg")))
        embeddings = runtime.embed(preprocess.to_model_input(others.faces))
        mine = runtime.embed(preprocess.to_model_input(me.faces[:10]))
        found = own_among_others(others, embeddings, mine, runtime)
        assert found.words == "of the others' photos 2 match yours: a.jpg, b.jpg."


def sides(parts: np.ndarray, keys: np.ndarray) -> dict[str, set]:
    """Return the keys of each part, none of which is in two parts or in none."""
    found = {part: set(keys[parts == part].tolist()) for part in PARTS}
    assert sum(map(len, found.values())) == len(set(keys.tolist()))
    return found


class TestSplits:
    @pytest.mark.parametrize("count", [8, 10, 15, 20, 26])
    def test_a_fifth_is_tested_and_a_fifth_of_the_rest_validates(self, count):
        parts = sides(split_photos(np.arange(count), np.random.default_rng(0)), np.arange(count))
        assert abs(len(parts["test"]) - count / 5) <= 1
        assert abs(len(parts["validation"]) - (count - len(parts["test"])) / 5) <= 1

    @pytest.mark.parametrize("seed", range(30))
    def test_a_burst_stays_on_one_side(self, seed):
        groups = np.array([0] * 6 + [1, 1, 2, 2, 2, *range(3, 11)])
        parts = sides(split_photos(groups, np.random.default_rng(seed)), groups)
        assert all(parts.values())
        assert 0 in parts["training"], "a long burst is learned from"

    @pytest.mark.parametrize(("burst", "others"), [(26, 7), (40, 10), (60, 11)])
    def test_a_burst_longer_than_all_else_leaves_no_part_empty(self, burst, others):
        groups = np.array([0] * burst + list(range(1, others + 1)))
        for seed in range(5):
            parts = sides(split_photos(groups, np.random.default_rng(seed)), groups)
            assert all(parts.values())
            assert 0 in parts["training"]

    def test_a_person_of_more_photos_than_all_others_leaves_no_part_empty(self):
        people = np.array(["much"] * 30 + list("abcde"))
        assert all(sides(split_people(people, np.random.default_rng(0)), people).values())

    def test_too_few_moments_are_refused_however_many_photos(self):
        with pytest.raises(DataError, match=rf"at least {FEWEST_PHOTOS} .*Received: 20 usable ones, of 2 different"):
            split_photos(np.repeat([0, 1], 10), np.random.default_rng(0))

    def test_people_stay_whole(self):
        people = np.repeat([f"p{number}" for number in range(10)], 5)
        parts = sides(split_people(people, np.random.default_rng(3)), people)
        assert [len(parts[part]) for part in PARTS] == [6, 2, 2]

    def test_too_few_people_are_refused(self):
        with pytest.raises(DataError, match="Received: 2"):
            split_people(np.array(["a", "a", "b"]), np.random.default_rng(0))


class TestStandIn:
    @pytest.fixture(scope="class")
    @classmethod
    def stand_in(cls):
        return stand_in_of({"stand_in": stand_in_note("a" * 64)}, "a" * 64)

    def test_drawn_people_differ_as_it_says_and_so_do_their_photos(self, stand_in):
        drawn = stand_in.draw(400, 6, np.random.default_rng(1))
        assert drawn.vectors.shape == (2400, 129) and drawn.vectors.dtype == np.float32
        centres = drawn.vectors.reshape(400, 6, -1).mean(1)
        assert centres.std(0).mean() == pytest.approx(1, rel=0.1)
        assert (drawn.vectors - centres[drawn.people]).std() == pytest.approx(0.3 * np.sqrt(5 / 6), rel=0.05)

    def test_each_part_has_people_of_its_own(self, stand_in):
        data = prepare_data(drawn_album(10), stand_in, lambda faces: unlike(len(faces)), 0)
        vectors = [data.others[part].vectors for part in PARTS]
        assert [len(part) for part in vectors] == [2 * DRAWN_PEOPLE[part] for part in PARTS]
        assert len(np.unique(np.concatenate(vectors), axis=0)) == sum(map(len, vectors))
        assert data.counts()["test"] == {"mine": 2, "others": 6000, "people": 3000}

    def test_photos_of_one_moment_have_one_number(self, stand_in):
        mine = drawn_album(10)
        twice = join(mine, replace(mine.take(np.array([4])), names=("again.png",)))
        data = prepare_data(twice, stand_in, lambda faces: unlike(len(faces)), 0)
        names = [name for part in PARTS for name in data.mine[part].names]
        numbers = dict(zip(names, data.moments.tolist(), strict=True))
        assert numbers["me4.png"] == numbers["again.png"]
        assert len(set(numbers.values())) == 10

    def test_it_belongs_to_its_weights(self):
        details = {"stand_in": stand_in_note("a" * 64)}
        assert stand_in_of(details, "a" * 64).count == (130, 390)
        with pytest.raises(DataError, match="different weights"):
            stand_in_of(details, "b" * 64)
        details["stand_in"]["arrays"]["mean"]["float16"] = "?"
        with pytest.raises(DataError, match="damaged"):
            stand_in_of(details, "a" * 64)
        with pytest.raises(DataError, match="no stand-in"):
            stand_in_of({}, "a" * 64)
