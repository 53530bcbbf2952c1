"""Verdicts on groups of pairs: parents beside their children, and people beside themselves as they were young.

Nothing is trained, chosen or stopped by these people: ``measuring-sets.toml`` says who they are.
"""

from __future__ import annotations

import itertools
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.errors import DataError
from flaskapp.evaluation import Sources
from flaskapp.pairs.labels import Labels
from flaskapp.pairs.scoring import embed_photos
from flaskapp.preprocess.files import check_presence, look_through
from flaskapp.preprocess.selection import Choice
from flaskapp.weights.info import WeightsInfo
from flaskapp.weights.runtime import Runtime
from flaskapp.weights.shape import EMBEDDING_SIZE
from research.measure.worse_photos import REPLICATES, Shares, Trials, VerdictCounter

OWN, ANOTHERS = "parent and own child", "parent and another's child"
CHILDREN = 20
"""How many other people's children each parent is compared with."""
AGES = ("both later", "young and later", "both young")
STRANGERS = 10_000
"""Pairs of strangers of each of ``AGES``."""

Masks = Mapping[str, np.ndarray]
Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True)
class Groups:
    """Pairs of photos, sorted into groups.

    Attributes:
        trials: M pairs; their sources are what the intervals draw again.
        of: name → its pairs, bool (M,).
        unit: what is drawn: "person" or "family".
    """

    trials: Trials
    of: Masks
    unit: str

    def split(self, labels: Labels) -> Groups:
        """Add, of each group, the pairs both photos of which have one label: "training=far: strangers, both later".

        Raises:
            DataError: not one photo has a label.
        """
        values = labels.values(self.trials.photos)
        if not (values != "").any():
            none = f"The labels name none of the {len(values):,} photos."
            raise DataError(none, "Write their paths from the folder on.")
        first, second = values[self.trials.first], values[self.trials.second]
        parts = {
            f"{column}={value}: {name}": chosen & (first[:, place] == value) & (second[:, place] == value)
            for place, column in enumerate(labels.columns)
            for value in np.unique(values[:, place]).tolist()
            if value
            for name, chosen in self.of.items()
        }
        return Groups(self.trials, {**self.of, **parts}, self.unit)


def relatives(root: Path, seed: int = 0) -> Groups:
    """Pair parents with their own children, and with other people's of the same set and relation.

    Args:
        root: KinFaceW (J. Lu et al., "Neighborhood repulsed metric learning for kinship verification", CVPR 2012):
            ``SET/RELATION/FAMILY_1.png`` is a parent, ``FAMILY_2.png`` the child.
        seed: of whose children the other ones are.

    Raises:
        DataError: no parent has a child there.
    """
    names, rng = look_through(root).names, np.random.default_rng(seed)
    family_of = [posixpath.splitext(name)[0].rpartition("_")[::2] for name in names]
    row_of = {who: row for row, who in enumerate(family_of)}
    both = {family for family, _ in row_of if {(family, "1"), (family, "2")} <= row_of.keys()}
    families = sorted(family for family in both if family.count("/") == 2)
    if not families:
        expected = f"{root.name} expects SET/RELATION/FAMILY_1 and FAMILY_2, a parent and a child. Received: none."
        raise DataError(expected, "`lay-out` brings KinFaceW-I and KinFaceW-II.")
    numbers = {family: number for number, family in enumerate(families)}
    pairs: list[tuple[int, int]] = []
    for _, folder in itertools.groupby(families, posixpath.dirname):
        # In its own order a family may follow itself: one father, and two of his children.
        shuffled = rng.permutation([numbers[family] for family in folder])
        for turn in range(min(CHILDREN + 1, len(shuffled))):
            pairs += zip(shuffled.tolist(), np.roll(shuffled, turn).tolist(), strict=True)
    parents, children = np.array(pairs).T
    first, second = (
        np.array([row_of[family, member] for family in families])[side]
        for member, side in (("1", parents), ("2", children))
    )
    own = parents == children
    of: dict[str, np.ndarray] = {OWN: own, ANOTHERS: ~own}
    for place in (0, 1):
        parts = np.array([family.split("/")[place] for family in families])[parents]
        for part in np.unique(parts).tolist():
            of |= {f"{part}: {name}": mask & (parts == part) for name, mask in ((OWN, own), (ANOTHERS, ~own))}
    strangers = np.zeros(len(own), bool)
    sources = Sources("person", parents, children, len(families))
    return Groups(Trials(names, first, second, strangers, sources), of, "family")


def ages(root: Path, seed: int = 0) -> Groups:
    """Pair people with themselves and with strangers, young and later.

    Args:
        root: LAG (S. Bianco, "Large age-gap face verification by feature injection in deep networks", Pattern
            Recognition Letters 90, 2017): ``NAME/y/`` holds photos of a person as a child or young, ``NAME/`` later
            ones.
        seed: of which strangers are compared.

    Raises:
        DataError: nobody is there both young and later.
    """
    names = look_through(root).names
    who = np.unique([name.split("/")[0] for name in names], return_inverse=True)[1]
    young = np.array(["/y/" in name for name in names], int)
    first, second = np.triu_indices(len(names), 1)
    age, same = young[first] + young[second], who[first] == who[second]
    if not (same & (age == 1)).any():
        expected = f"{root.name} expects people young, NAME/y/, and later, NAME/. Received: none."
        raise DataError(expected, "`lay-out` brings LAG.")
    rng, kept = np.random.default_rng(seed), [np.flatnonzero(same)]
    kept += [rng.permutation(np.flatnonzero(~same & (age == number)))[:STRANGERS] for number in range(len(AGES))]
    rows = np.concatenate(kept)
    first, second, age, same = first[rows], second[rows], age[rows], same[rows]
    of = {
        f"{kind}, {name}": mask & (age == number)
        for kind, mask in (("one person", same), ("strangers", ~same))
        for number, name in enumerate(AGES)
    }
    sources = Sources("person", who[first], who[second], int(who.max()) + 1)
    return Groups(Trials(names, first, second, same, sources), of, "person")


@dataclass(frozen=True)
class Counted:
    """Groups, and what verdicts their pairs got.

    Attributes:
        groups: the pairs.
        info: the weights, with the band that decided.
        shares: name of a group → its verdicts; none for a group without pairs.
        failures: why a photo failed, by its path.
        seed: of all that was drawn.
    """

    groups: Groups
    info: WeightsInfo
    shares: Mapping[str, Shares]
    failures: Mapping[str, str]
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return everything in JSON's types."""
        trials = self.groups.trials
        drawn = {"drawn": self.groups.unit, "count": trials.sources.count, "replicates": REPLICATES, "seed": self.seed}
        return {
            "weights": self.info.weights_id,
            "inconclusive_band": list(self.info.inconclusive_band),
            "photos": len(trials.photos),
            "photos_failed": len(self.failures),
            "interval_method": drawn,
            "verdicts": {name: shares.to_json() for name, shares in self.shares.items()},
        }


def count_verdicts(
    groups: Groups, root: Path, runtime: Runtime, *, seed: int = 0, choice: Choice = "centre", progress: Progress = iter
) -> Counted:
    """Compare the pairs, and count the verdicts of each group.

    Args:
        groups: the pairs.
        root: folder that the photos' paths start from.
        runtime: the weights, with their band.
        seed: of the intervals.
        choice: which of several faces is taken.
        progress: wraps the iteration over photos.
    """
    photos = groups.trials.photos
    check_presence(photos, root)
    embedded, failures = embed_photos(photos, root, runtime, choice, progress)
    nothing = defaultdict(lambda: np.full(EMBEDDING_SIZE, np.nan, np.float32), embedded)
    embeddings = np.stack([nothing[photo] for photo in photos])
    counter = VerdictCounter(groups.trials, runtime, seed)
    verdicts = counter.verdicts(embeddings, embeddings)
    shares = {name: counter.shares(verdicts, chosen) for name, chosen in groups.of.items() if chosen.any()}
    return Counted(groups, runtime.info, shares, failures, seed)
