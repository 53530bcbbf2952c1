"""Faces for one training on one's own face: split, audited, and as the trunk's features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np

from flaskapp.augment_images import TRANSFORMATIONS, augment
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.personal.album import Album, join
from flaskapp.personal.duplicates import audit, find_alike, groups_of
from flaskapp.personal.split import Shares, Split, split_people, split_photos
from flaskapp.personal.stand_in import StandIn
from flaskapp.weights.runtime import Runtime, weighted_l1

Embed = Callable[[np.ndarray], np.ndarray]
PARTS = ("training", "validation", "test")
# People that the stand-in draws to choose the threshold with, and as many to score with.
DRAWN_PEOPLE = 150
MOST_NAMED = 10


class Others(Protocol):
    """Other people: their photos, or who stands in for them."""

    @property
    def kind(self) -> str:
        """Say which: "photos" or "stand-in"."""

    def people(self, part: str) -> np.ndarray:
        """Return the person of each of a part's photos, (M,)."""

    def names(self, part: str) -> list[str]:
        """Return what each of a part's photos is called."""

    def features(self, part: str, trunk: Embed) -> np.ndarray:
        """Return the trunk's features of a part, float32 (M, d)."""

    def to_learn_from(self, trunk: Embed, seed: int) -> np.ndarray | StandIn:
        """Return the training part as ``FeaturePairs`` takes it."""


@dataclass(frozen=True, eq=False)
class PeopleWithPhotos:
    """Other people's photos, split by person.

    Attributes:
        album: the photos.
        split: rows of the album.
    """

    album: Album
    split: Split
    kind: str = "photos"

    def faces(self, part: str) -> np.ndarray:
        """Return a part's faces, uint8 (M, 100, 100, 3)."""
        return self.album.faces[getattr(self.split, part)]

    def people(self, part: str) -> np.ndarray:
        """Return the person of each of a part's photos, (M,)."""
        return np.array(self.album.people)[getattr(self.split, part)]

    def names(self, part: str) -> list[str]:
        """Return where each of a part's photos lies."""
        return [f"others/{self.album.names[row]}" for row in getattr(self.split, part)]

    def features(self, part: str, trunk: Embed) -> np.ndarray:
        """Return the trunk's features of a part, float32 (M, d)."""
        return trunk(self.faces(part))

    def to_learn_from(self, trunk: Embed, seed: int) -> np.ndarray:
        """Return features of the training photos as they are and changed once: (M, 2, d)."""
        faces = self.faces("training")
        return np.stack([trunk(faces), trunk(augment(faces, np.random.default_rng(seed)))], axis=1)


@dataclass(frozen=True, eq=False)
class DrawnPeople:
    """People who do not exist, drawn from a stand-in; each part has its own.

    Attributes:
        stand_in: what they are drawn from.
        seed: of the drawing.
    """

    stand_in: StandIn
    seed: int
    kind: str = "stand-in"

    def people(self, part: str) -> np.ndarray:
        """Return the number of each drawn photo's person, (M,)."""
        return self._drawn[part][1]

    def names(self, part: str) -> list[str]:
        """Return a name for each drawn photo."""
        return [f"drawn {number}" for number in range(len(self.people(part)))]

    def features(self, part: str, trunk: Embed) -> np.ndarray:  # noqa: ARG002 - features are what is drawn
        """Return drawn features, float32 (M, d)."""
        return self._drawn[part][0]

    def to_learn_from(self, trunk: Embed, seed: int) -> StandIn:  # noqa: ARG002
        """Return the stand-in itself: each batch draws others anew."""
        return self.stand_in

    @cached_property
    def _drawn(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {
            part: self.stand_in.draw(DRAWN_PEOPLE, 2, np.random.default_rng((self.seed, number)))
            for number, part in enumerate(PARTS)
        }


@dataclass(frozen=True, eq=False)
class OwnData:
    """Photos of one person and of others, or who stands in for them, in three parts each.

    Attributes:
        mine: the person's photos.
        split: rows of ``mine``.
        others: everybody else.
        seed: of everything drawn.
        doubts: whether the photos show whom they should, in words; empty if nothing speaks against it.
    """

    mine: Album
    split: Split
    others: Others
    seed: int
    doubts: tuple[str, ...] = ()

    def my_faces(self, part: str) -> np.ndarray:
        """Return uint8 (N, 100, 100, 3)."""
        return self.mine.faces[getattr(self.split, part)]

    def my_names(self, part: str) -> list[str]:
        """Return where each of my photos of a part lies."""
        return [self.mine.names[row] for row in getattr(self.split, part)]

    def my_versions(self, trunk: Embed) -> np.ndarray:
        """Return features of each training photo as it is and in its nine versions: float32 (N, 10, d)."""
        faces = self.my_faces("training")
        versions = [faces] + [
            np.stack([change(face, self.seed + index) for index, face in enumerate(faces)])
            for change in TRANSFORMATIONS.values()
        ]
        return np.stack([trunk(version) for version in versions], axis=1)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count my photos, the others' and their people by part."""
        return {
            part: {
                "mine": len(self.my_names(part)),
                "others": len(self.others.people(part)),
                "people": len(np.unique(self.others.people(part))),
            }
            for part in PARTS
        }


def prepare_data(
    mine: Album, others: Album | StandIn, embed: Embed, seed: int, shares: Shares | None = None
) -> OwnData:
    """Split the photos before anything is augmented, and make sure that nothing leaks.

    Args:
        mine: the person's photos.
        others: other people's, or the stand-in for them.
        embed: from crops uint8 (N, 100, 100, 3) to embeddings, for near-duplicates.
        seed: draws who and what goes where.
        shares: how much is tested and validated.

    Raises:
        LeakError: two parts share a photo or a near-duplicate.
        DataError: there are too few photos or people.
    """
    rng = np.random.default_rng(seed)
    embeddings = embed(mine.faces)
    my_split = split_photos(groups_of(len(mine), find_alike(mine, embeddings)), rng, shares)
    parts = _parts_of(len(mine), my_split, "my")
    if isinstance(others, StandIn):
        audit(mine, parts, embeddings)
        return OwnData(mine, my_split, DrawnPeople(others, seed), seed)
    others_split = split_people(np.array(others.people), rng)
    audit(
        join(mine, others),
        np.concatenate([parts, _parts_of(len(others), others_split, "others'")]),
        np.concatenate([embeddings, embed(others.faces)]),
    )
    return OwnData(mine, my_split, PeopleWithPhotos(others, others_split), seed)


@dataclass(frozen=True)
class Doubt:
    """Photos that do not seem to show who the others show.

    Attributes:
        names: of all photos.
        odd: their rows.
    """

    names: tuple[str, ...]
    odd: tuple[int, ...]

    advice: ClassVar[str] = "If they do not show you, stop this and take them out of the folder."

    def in_words(self) -> str:
        """Return what is doubtful, as it is told before the training and stays in what comes of it."""
        count = len(self.odd)
        several = 2 * count > len(self.names)
        what = "the photos seem to show several people" if several else "some photos look like somebody else"
        return f"{what}. {count} of {len(self.names)} do not match most of the others: {_listed(self)}."


@dataclass(frozen=True)
class OwnAmongOthers:
    """Photos of other people that seem to show the owner.

    Attributes:
        names: of all the others' photos.
        odd: their rows.
    """

    names: tuple[str, ...]
    odd: tuple[int, ...]
    advice: ClassVar[str] = "If they show you, stop this and take them out: it would learn that you are somebody else."

    def in_words(self) -> str:
        """Return what is doubtful, as it is told before the training and stays in what comes of it."""
        return f"of the others' photos {len(self.odd)} match most of yours: {_listed(self)}."


def _listed(doubt: Doubt | OwnAmongOthers) -> str:
    names = ", ".join(doubt.names[row] for row in doubt.odd[:MOST_NAMED])
    return f"{names} … and {len(doubt.odd) - MOST_NAMED} more" if len(doubt.odd) > MOST_NAMED else names


def doubt_of_one_person(mine: Album, embeddings: np.ndarray, runtime: Runtime) -> Doubt | None:
    """Say which photos look like somebody else, or None: those that read non_match against most of the others.

    Of 35 people of CelebA, 27 had no such photo, seven had one to four, and one had only such:
    several people, it seems. Nothing is refused, because the weights err too, on old or bad photos
    most; that one's model gained most of all by training.

    Args:
        mine: N photos that should show one person.
        embeddings: float32 (N, 4096) of them.
        runtime: the weights that made the embeddings.
    """
    if len(mine) < 3:  # of two, nobody could say which is the other's
        return None
    strange = _scores(embeddings, embeddings, runtime) < runtime.info.inconclusive_band[0]
    odd = np.flatnonzero(strange.sum(axis=1) > (len(mine) - 1) / 2)
    return Doubt(tuple(mine.names), tuple(map(int, odd))) if len(odd) else None


def own_among_others(
    others: Album, embeddings: np.ndarray, mine: np.ndarray, runtime: Runtime
) -> OwnAmongOthers | None:
    """Say which photos of other people seem to show the owner, or None: those that match most of the owner's.

    Args:
        others: M photos.
        embeddings: float32 (M, 4096) of them.
        mine: float32 (N, 4096), of the owner's photos.
        runtime: the weights that made the embeddings.
    """
    alike = _scores(embeddings, mine, runtime) >= runtime.info.inconclusive_band[1]
    odd = np.flatnonzero(alike.mean(axis=1) > 0.5)
    return OwnAmongOthers(tuple(others.names), tuple(map(int, odd))) if len(odd) else None


def _scores(probes: np.ndarray, references: np.ndarray, runtime: Runtime) -> np.ndarray:
    """Return the similarity scores float (N, M) of N embeddings with M."""
    kernel, offset = runtime.head
    odds = [weighted_l1(probes, one, kernel) + offset for one in references]
    return sigmoid(np.stack(odds, axis=1))


def _parts_of(count: int, split: Split, whose: str) -> np.ndarray:
    parts = np.empty(count, object)
    for name, rows in zip(PARTS, split, strict=True):
        parts[rows] = f"{whose} {name}"
    return parts
