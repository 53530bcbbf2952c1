"""What a sets file says: folders of photos, and what each is for. ``sets`` reads the photos."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flaskapp.errors import DataError
from research.sets.roles import ROLE_NAMES

__all__ = ["FaceSet", "read_sets"]


@dataclass(frozen=True)
class FaceSet:
    """One folder of photos as the sets file describes it.

    Attributes:
        name: what the set is called.
        folder: where its photos lie.
        teacher: file of the teacher's embeddings and landmarks, if there is one.
        identities: "folder" if each person has a folder, a file of lines ``photo person``, or
            None where nobody knows who is who.
        roles: "celeba" (by the person's number), "hashed" (by the person's name), or one role
            for all.
        role_of_folder: role of the photos in a folder of the set, before ``roles``.
        drop: people to leave out, and single photos by their paths in the set.
        terms: what the photos may be used for, in a few words.
        measures: whether its people may calibrate and be reported on: not where a photo is
            far coarser than what people compare, or its face was picked out of a group.
        landmark_shift: x and y, in distances between the eyes, added to the landmarks of the
            teacher file: what another detector sees further right or down than this
            program's is put where this program sees it.
        centre: whether the mean of its training photos' teacher embeddings is taken off every
            embedding that the network learns; of several such sets, the mean of all photos.
        learned: file of another teacher's embeddings of the same photos, for the network to
            learn in place of those by which overlaps and faults are found.
        trains: whether any of its photos may be learned from; else they only choose and measure.
        source: where its photos came from, for the record.
        tight: whether they are square and end at the face; ``lay-out`` enlarges them and adds a border.
    """

    name: str
    folder: Path
    teacher: Path | None = None
    identities: Path | str | None = None
    roles: str = "training"
    role_of_folder: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    terms: str = "not stated"
    measures: bool = True
    landmark_shift: tuple[float, float] = (0.0, 0.0)
    centre: bool = False
    learned: Path | None = None
    trains: bool = True
    source: str = ""
    tight: bool = False

    def __post_init__(self) -> None:
        if self.roles not in ("celeba", "hashed", *ROLE_NAMES[:4]):
            raise DataError(f"Set {self.name}: roles expects celeba, hashed or a role. Received: {self.roles!r}")
        unknown = set(self.role_of_folder.values()) - set(ROLE_NAMES)
        if unknown:
            raise DataError(
                f"Set {self.name}: role_of_folder expects {', '.join(ROLE_NAMES)}. Received: {sorted(unknown)}"
            )


def read_sets(path: Path) -> tuple[list[FaceSet], dict[str, Path]]:
    """Read a sets file.

    Returns:
        The sets; and by name the teacher files of everybody who must never be trained on.

    Raises:
        DataError: the file is absent, not TOML, or describes a set wrongly.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"The sets file {path.name} cannot be read: {error.strerror}.", "Check its path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a readable TOML file: {error}.") from None
    try:
        sets = [_face_set(entry, path.parent) for entry in content.get("set", [])]
        excluded = [(entry["name"], path.parent / entry["teacher"]) for entry in content.get("exclude", [])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{path.name} describes a set wrongly ({type(error).__name__}: {error}).",
            "[[set]] needs name and folder, [[exclude]] needs name and teacher, all of them text.",
        ) from None
    if not sets:
        raise DataError(f"{path.name} names no [[set]].", "Describe at least one folder of photos.")
    for kind, names in (("set", [one.name for one in sets]), ("exclude", [name for name, _ in excluded])):
        if len(set(names)) < len(names):
            raise DataError(f"{path.name} has two [[{kind}]] of one name: {', '.join(names)}.", "Rename one of them.")
    return sets, dict(excluded)


def _face_set(entry: dict[str, Any], base: Path) -> FaceSet:
    known = set(FaceSet.__dataclass_fields__)
    if not {"name", "folder"} <= entry.keys() or entry.keys() - known:
        raise DataError(
            f"A [[set]] expects name, folder and any of {', '.join(sorted(known))}. "
            f"Received: {', '.join(sorted(entry))}."
        )
    identities = entry.get("identities")
    return FaceSet(
        name=entry["name"],
        folder=base / entry["folder"],
        teacher=base / entry["teacher"] if "teacher" in entry else None,
        identities=identities if identities in (None, "folder") else base / identities,
        roles=entry.get("roles", "training"),
        role_of_folder=dict(entry.get("role_of_folder", {})),
        drop=_names(entry["name"], entry.get("drop", [])),
        terms=str(entry.get("terms", "not stated")),
        measures=_yes_or_no(entry, "measures", True),
        landmark_shift=_two_numbers(entry["name"], entry.get("landmark_shift", (0.0, 0.0))),
        centre=_yes_or_no(entry, "centre", False),
        learned=base / entry["learned"] if "learned" in entry else None,
        trains=_yes_or_no(entry, "trains", True),
        source=str(entry.get("source", "")),
        tight=_yes_or_no(entry, "tight", False),
    )


def _yes_or_no(entry: dict[str, Any], key: str, default: bool) -> bool:
    value = entry.get(key, default)
    if not isinstance(value, bool):  # "false" in quotes would be true
        raise DataError(f"Set {entry['name']}: {key} expects true or false, without quotes. Received: {value!r}")
    return value


def _names(set_name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(
            f"Set {set_name}: drop expects a list of names, each in quotes. Received: {value!r}",
            'Write it as drop = ["21"], numbers too.',
        )
    return tuple(value)


def _two_numbers(set_name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or [type(number) in (int, float) for number in value] != [True, True]:
        raise DataError(f"Set {set_name}: landmark_shift expects two numbers, x and y. Received: {value!r}")
    return float(value[0]), float(value[1])
