"""Faces for one training on one's own face: doubted, split, audited, and as the trunk's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from flaskapp.augment_images import TRANSFORMATIONS, augment
from flaskapp.personal.album import Album, join
from flaskapp.personal.split import PARTS, audit, find_alike, groups_of, split_people, split_photos
from flaskapp.personal.stand_in import Drawn, StandIn
from flaskapp.weights.runtime import Runtime, surest

Embed = Callable[[np.ndarray], np.ndarray]
# People whom the stand-in draws, two photos each: for shipped weights, to which all are new, 10,000 in all.
DRAWN_PEOPLE = {"training": 1000, "validation": 1000, "test": 3000}
MOST_NAMED = 10


@dataclass(frozen=True, eq=False)
class OwnData:
    """Photos of one person and of others, or who stands in for them, by part."""

    mine: Mapping[str, Album]  # part → the person's photos
    others: Mapping[str, Album | Drawn]  # part → everybody else's
    seed: int  # of everything drawn
    moments: np.ndarray  # int (N,), of my photos part by part: copies and bursts have one number
    doubts: tuple[str, ...] = ()  # whether the photos show whom they should, in words, if anything speaks against it

    def my_versions(self, trunk: Embed) -> np.ndarray:
        """Return features of each training photo as it is and in its nine versions: float32 (N, 10, d)."""
        faces = self.mine["training"].faces
        versions = [*faces]
        for change in TRANSFORMATIONS.values():
            versions += [change(face, self.seed + index) for index, face in enumerate(faces)]
        features = trunk(np.stack(versions))
        return features.reshape(-1, len(faces), features.shape[1]).swapaxes(0, 1)

    def others_versions(self, trunk: Embed) -> np.ndarray | StandIn:
        """Return features of the others' training photos as they are and changed once, (M, 2, d), or the stand-in."""
        others = self.others["training"]
        if isinstance(others, Drawn):
            return others.stand_in
        changed = augment(others.faces, np.random.default_rng(self.seed))
        return np.stack([trunk(others.faces), trunk(changed)], axis=1)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count my photos, the others' and their people by part."""
        return {
            part: {"mine": len(self.mine[part]), "others": len(others), "people": len(set(others.people))}
            for part, others in self.others.items()
        }


def prepare_data(mine: Album, others: Album | StandIn, embed: Embed, seed: int) -> OwnData:
    """Split the photos before anything is augmented, and make sure that nothing leaks.

    ``embed`` makes embeddings of crops uint8 (N, 100, 100, 3), for near-duplicates. Of a stand-in each part
    has its own people.

    Raises:
        LeakError: two parts share a photo or a near-duplicate.
        DataError: there are too few photos or people.
    """
    rng = np.random.default_rng(seed)
    embeddings = embed(mine.faces)
    groups = groups_of(len(mine), find_alike(mine, embeddings))
    my_parts = split_photos(groups, rng)
    moments = np.concatenate([groups[my_parts == part] for part in PARTS])
    mine_by_part = {part: mine.take(my_parts == part) for part in PARTS}
    if isinstance(others, StandIn):
        rngs = {part: np.random.default_rng((seed, number)) for number, part in enumerate(PARTS)}
        drawn = {part: others.draw(DRAWN_PEOPLE[part], 2, rng) for part, rng in rngs.items()}
        return OwnData(mine_by_part, drawn, seed, moments)
    parts = split_people(np.array(others.people), rng)
    everybody = [f"my {part}" for part in my_parts] + [f"others' {part}" for part in parts]
    audit(join(mine, others), np.array(everybody), np.concatenate([embeddings, embed(others.faces)]))
    return OwnData(mine_by_part, {part: others.take(parts == part) for part in PARTS}, seed, moments)


@dataclass(frozen=True)
class Doubt:
    """Rows of photos that do not seem to show who they should, in words that stay with the model, and what to do."""

    rows: tuple[int, ...]
    words: str
    advice: str


def doubt_of_one_person(mine: Album, embeddings: np.ndarray, runtime: Runtime) -> Doubt | None:
    """Say which photos look like somebody else, or None: those that read non_match against most of the others.

    Of 35 people of CelebA, 27 had no such photo, seven had one to four, and one had only such:
    several people, it seems. Nothing is refused, because the weights err too, on old or bad photos
    most; that one's model gained most of all by training.

    The embeddings are float32 (N, 4096), and ``runtime`` the weights that made them.
    """
    if len(mine) < 3:  # of two, nobody could say which is the other's
        return None
    scores = np.stack([runtime.scores(embeddings, one) for one in embeddings])
    strange = scores < runtime.info.inconclusive_band[0]
    rows = np.flatnonzero(strange.sum(axis=1) > (len(mine) - 1) / 2).tolist()
    if not rows:
        return None
    several = 2 * len(rows) > len(mine)
    what = "the photos seem to show several people" if several else "some photos look like somebody else"
    words = f"{what}. {len(rows)} of {len(mine)} do not match most of the others: {_listed(mine, rows)}."
    return Doubt(tuple(rows), words, "If they do not show you, stop this and take them out of the folder.")


def own_among_others(others: Album, embeddings: np.ndarray, mine: np.ndarray, runtime: Runtime) -> Doubt | None:
    """Say which photos of other people seem to show the owner, or None: those that match the owner's together.

    The embeddings are float32 (M, 4096), ``mine`` those of the owner's N photos.
    """
    known = mine[surest(mine)]
    alike = runtime.person_scores(known, embeddings) >= runtime.info.for_references(len(known)).inconclusive_band[1]
    rows = np.flatnonzero(alike).tolist()
    if not rows:
        return None
    words = f"of the others' photos {len(rows)} match yours: {_listed(others, rows)}."
    advice = "If they show you, stop this and take them out: it would learn that you are somebody else."
    return Doubt(tuple(rows), words, advice)


def _listed(album: Album, rows: list[int]) -> str:
    names = ", ".join(album.names[row] for row in rows[:MOST_NAMED])
    return f"{names} … and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else names
