"""The commands about a few photos: compare and detect."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flaskapp.cli.options import ANY_PATH, FIGURE, FIGURES, FILE, PATH, ReadingCommand, refuse_overwriting, shown
from flaskapp.errors import FacialRecognitionError, NotEnoughMemoryError, PhotoError, SeveralFacesError
from flaskapp.words import explanation_of, line_of, references_sentence

if TYPE_CHECKING:
    from flaskapp.detection import Face
    from flaskapp.verifier import FaceInPhoto, Verification

EXIT_CODES = {"match": 0, "non_match": 1, "inconclusive": 3, "out_of_scope": 4}
HOW_TO_CHOOSE = "Write 2 for face 2 of the first reference, 3:2 for that of the third."


def _numbers_of_faces(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return which references and which of their faces: "2" is face 2 of the first, "3:2" that of the third."""
    found = [re.fullmatch(r"(?:([1-9]\d?):)?([1-9]\d{0,3})", face) for face in value]
    if not all(found):
        raise click.BadParameter(HOW_TO_CHOOSE, ctx, param)
    return [(int(face[1] or 1), int(face[2])) for face in found if face]


@click.command(cls=ReadingCommand)
@click.argument("photos", nargs=-1, type=PATH, metavar="[REFERENCE…] PROBE")
@click.option("--probe", type=FILE, metavar="PHOTO", help="The new photo; all others are references then.")
@click.option(
    "--reference-face",
    multiple=True,
    callback=_numbers_of_faces,
    metavar="N",
    help="Which face of REFERENCE; 1 is the leftmost. Of several: 3:1 is that of the third.",
)
@click.option("--probe-face", type=click.IntRange(min=1), metavar="N", help="Which face of PROBE; 1 is the leftmost.")
@click.option("--model", type=ANY_PATH, metavar="MODEL", help="A personal model's folder, or other weights (.h5).")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--plot", type=FIGURE, metavar="OUT.png", help="Draw the answer (PNG, SVG or PDF).")
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    photos: tuple[Path, ...],
    probe: Path | None,
    reference_face: list[tuple[int, int]],
    as_json: bool,
    plot: Path | None,
    **chosen: Any,
) -> None:
    """Say whether two photos show the same person.

    REFERENCE is the photo you trust, PROBE the new one. Up to twenty photos of one person,
    or a folder of them, tell more than one does. If a photo shows several people, choose one
    by its number: `facial-recognition detect` lists them in the same order. A personal model
    knows its owner: with --model one photo is enough.

    \b
    Examples:
      facial-recognition compare passport.jpg selfie.heic
      facial-recognition compare anna1.jpg anna2.jpg --probe new.jpg
      facial-recognition compare anna/ new.jpg
      facial-recognition compare group.jpg selfie.jpg --reference-face 2
      facial-recognition compare a.jpg b.jpg --json | jq .similarity_score
      facial-recognition compare a.jpg b.jpg --plot answer.png
      facial-recognition compare selfie.jpg --model my_model
      facial-recognition compare passport.jpg selfie.jpg --model my_model

    \b
    Exit codes:
      0 match   1 non-match   2 wrong usage or unusable photo   3 inconclusive
      4 out of scope: neither photo is the person that a personal model knows
    """
    from flaskapp.verifier import reference_labels

    references, new = _told_apart(photos, probe, chosen["model"])
    refuse_overwriting([plot] if plot else [], references)
    faces = _faces_of(reference_face, len(references))
    paths = dict(zip(reference_labels(len(references)), references, strict=True)) | {"probe": new}
    try:
        *known, unknown = (_read(label, path) for label, path in paths.items())
        verification = _verify(known, unknown, faces, **chosen)
    except (PhotoError, NotEnoughMemoryError) as error:
        _refuse(ctx, error, paths, as_json)
        return
    try:
        if plot and verification.decision == "out_of_scope":
            click.echo("Nothing was drawn: an answer out of scope has no score to show.", err=True)
        elif plot:
            _plot(verification, known, unknown, plot)
    finally:  # last, as its reader may have gone
        click.echo(json.dumps(verification.to_json(), indent=2) if as_json else _describe(verification, paths))
    ctx.exit(EXIT_CODES[verification.decision])


def _told_apart(photos: Sequence[Path], probe: Path | None, model: Path | None) -> tuple[list[Path], Path]:
    """Return the references, those in folders too, and the probe: the second of two photos where none is named.

    With a model one photo is the probe.
    """
    from flaskapp.preprocess.files import check_photos, look_through
    from flaskapp.weights.info import MOST_REFERENCES

    count = len(photos) + (probe is not None)
    if count < (1 if model else 2) or (probe is None and count > 2):
        raise click.UsageError(
            "Name a reference and the new photo, or several references and --probe. "
            "One photo is enough for a personal model: --model."
        )
    if probe is None:
        *photos, probe = photos
        if probe.is_dir():
            raise click.UsageError(f"{shown(probe)} is a folder; the new photo is a file.")
    references: list[Path] = []
    for path in photos:
        if path.is_dir():
            check_photos(content := look_through(path))
            references += content.photos
        else:
            references.append(path)
    if len(references) > MOST_REFERENCES:
        raise click.UsageError(f"{len(references)} references are too many. Name {MOST_REFERENCES} photos at most.")
    return references, probe


def _faces_of(given: Sequence[tuple[int, int]], count: int) -> list[int | None]:
    """Return the face of each reference that was chosen, or None."""
    faces: dict[int, int] = {}
    for number, face in given:
        if number > count or number in faces:
            wrong = "There is no" if number > count else "Two faces are named of"
            raise click.BadParameter(f"{wrong} reference {number}. {HOW_TO_CHOOSE}", param_hint="--reference-face")
        faces[number] = face
    return [faces.get(number) for number in range(1, count + 1)]


def _read(label: str, path: Path) -> bytes:
    from flaskapp.preprocess.files import read_photo

    try:
        return read_photo(path)
    except PhotoError as error:
        error.for_photo(label)
        raise


def _verify(
    references: list[bytes], probe: bytes, faces: list[int | None], probe_face: int | None, model: Path | None
) -> Verification:
    """Verify, and load the weights while the photos are read: a tenth of a second less to wait."""
    from flaskapp.verifier import Verifier
    from flaskapp.weights.runtime import default_runtime

    if model is not None:
        from flaskapp.personal import load_model

        runtime, owner = load_model(model)
        if not references and owner is None:
            raise click.UsageError(f"{shown(model)} knows nobody. Name a reference too, or a personal model's folder.")
        return Verifier(runtime, owner=owner).verify(references, probe, faces, probe_face)
    with ThreadPoolExecutor(1) as pool:
        return Verifier(pool.submit(default_runtime)).verify(references, probe, faces, probe_face)


def _refuse(ctx: click.Context, error: FacialRecognitionError, paths: dict[str, Path], as_json: bool) -> None:
    """Say which photo cannot be used, list the faces to choose from, and end."""
    from flaskapp.verifier import faces_to_json

    label = error.photo or ""
    faces = error.faces if isinstance(error, SeveralFacesError) else ()
    if as_json:
        problem = {"photo": label, **error.to_json()} | ({"faces": faces_to_json(faces)} if faces else {})
        click.echo(json.dumps({"error": problem}, indent=2))
    if label in paths:
        error.for_photo(f"{label} {shown(paths[label])}")
    click.echo(f"Error: {error}", err=True)
    if faces:
        click.echo("\n".join(_face_lines(faces)), err=True)
        if label in paths:
            click.echo(f"For example: {_again(ctx.params, label)}", err=True)
    ctx.exit(error.exit_code)


def _again(given: dict[str, Any], label: str) -> str:
    """Return the command that compares the same photos, with a face of one chosen, as a shell reads it."""
    photos = [shown(path) for path in given["photos"]]
    number = label.removeprefix("reference").strip()
    faces = [f"{of}:{face}" if of > 1 or number else str(face) for of, face in given["reference_face"]]
    faces += [f"{number}:1" if number else "1"] * label.startswith("reference")
    probe_face = 1 if label == "probe" else given["probe_face"]
    options = [("--probe", given["probe"] and shown(given["probe"]))]
    options += [*(("--reference-face", face) for face in faces), ("--probe-face", probe_face)]
    options += [("--model", given["model"] and shown(given["model"]))]
    chosen = [str(word) for name, value in options if value is not None for word in (name, value)]
    if any(photo.startswith("-") for photo in photos):
        chosen, photos = [*chosen, "--", *photos], []  # else a photo would be taken for an option
    return shlex.join(["facial-recognition", "compare", *photos, *chosen])


def _describe(verification: Verification, paths: dict[str, Path]) -> str:
    if verification.decision == "out_of_scope":
        score = "no similarity score: this model can tell its owner from others, but not strangers apart"
    else:
        low, high = verification.inconclusive_band
        below = f"non-match below {low:.4f}, inconclusive in between" if low < high else "else non-match"
        score = f"similarity score {verification.similarity_score:.4f}   (match from {high:.4f}, {below})"
    faces = *verification.references, verification.probe
    count, odd = len(verification.references), verification.odd_references
    several = [references_sentence(count, odd)] if count > 1 else []
    if known := verification.known_photos:
        several = [f"compared with {known} photos of you, which the model knows"]
    lines = [
        line_of(verification.decision, known),
        score,
        *(f"{label:9} {shown(paths[label])}: {_found(face)}" for label, face in zip(paths, faces, strict=True)),
        *several,
        *filter(None, [explanation_of(verification.decision, verification.qualities)]),
        str(verification.verdict_counts),
        "No liveness check: a photo of a photo would pass.",
        f"weights {verification.weights_id}, {verification.timings_ms['total']:.0f} ms",
    ]
    return "\n  ".join(lines)


def _found(found: FaceInPhoto) -> str:
    others = f"; {found.other_faces} more in the photo" if found.other_faces else ""
    turned = f"; the photo was turned by {found.turned} degrees to the right" if found.turned else ""
    return f"face {_face_line(found.number, found.face)}, quality {found.quality}{others}{turned}"


def _face_line(number: int, face: Face) -> str:
    left, top, right, bottom = (round(value) for value in face.box_xyxy)
    return f"{number}: x {left} to {right}, y {top} to {bottom}, detection score {face.detection_score:.3f}"


def _face_lines(faces: Sequence[Face]) -> list[str]:
    return [f"  {_face_line(number, face)}" for number, face in enumerate(faces, start=1)]


def _plot(verification: Verification, references: list[bytes], probe: bytes, out: Path) -> None:
    """Draw the answer; of several references the best one."""
    from flaskapp import plots
    from flaskapp.preprocess import decode_photo

    def view(label: str, found: FaceInPhoto, photo: bytes) -> plots.PhotoView:
        pixels = decode_photo(photo).pixels
        about = found.faces, found.number, found.aligned, found.photo_size_wh, str(found.quality)
        return plots.PhotoView(label, pixels, *about)

    reference, count = None, len(references)
    if references:
        best = verification.best_reference - 1
        label = "Reference" if count == 1 else f"Reference {best + 1} of {count}"
        reference = view(label, verification.references[best], references[best])
    views = reference, view("Probe", verification.probe, probe)
    score, band = verification.similarity_score, verification.inconclusive_band
    plots.save(plots.plot_comparison(*views, score, band, verification.threshold, verification.known_photos), out)
    click.echo(f"Drawn: {shown(out)}", err=True)


@click.command(cls=ReadingCommand)
@click.argument("photos", nargs=-1, required=True, type=ANY_PATH, metavar="PHOTO…")
@click.option("--json", "as_json", is_flag=True, help="Print the faces as JSON, one entry for each photo.")
@click.option("--plot", type=FIGURES, metavar="DIR", help="Draw each photo's faces into DIR.")
@click.pass_context
def detect(ctx: click.Context, photos: tuple[Path, ...], as_json: bool, plot: Path | None) -> None:
    """List the faces of photos, numbered from 1, left to right, with how good a photo of each it is.

    Boxes and landmarks are in pixels of the upright photo. Photos that cannot be used are
    reported, and the others are still listed.

    \b
    Examples:
      facial-recognition detect group.jpg
      facial-recognition detect *.jpg --json > faces.json
      facial-recognition detect group.jpg --plot boxes/

    \b
    Exit codes:
      0 every photo was read, even if it shows no face   2 wrong usage or unusable photo
    """
    from flaskapp import preprocess
    from flaskapp.preprocess.files import read_photo
    from flaskapp.verifier import Verifier, faces_to_json
    from flaskapp.weights.runtime import default_runtime

    verifier = Verifier(default_runtime())
    figures = [plot / name for name in _figure_names(photos)] if plot else [None] * len(photos)
    refuse_overwriting(filter(None, figures), photos)
    entries: list[dict[str, Any]] = []
    for path, figure in zip(photos, figures, strict=True):
        try:
            photo = preprocess.decode_photo(read_photo(path))
            found = preprocess.find_faces(photo)
            qualities = verifier.grade(photo, found.faces)
        except (PhotoError, NotEnoughMemoryError) as error:
            click.echo(f"Error: {error.for_photo(shown(path))}", err=True)
            entries.append({"photo": str(path), "error": error.to_json()})
            continue
        if figure:
            from flaskapp import plots

            figure.parent.mkdir(parents=True, exist_ok=True)
            plots.save(plots.plot_detection(photo.pixels, found, photo.size_wh, list(map(str, qualities))), figure)
        told = zip(faces_to_json(found.faces), qualities, strict=True)
        faces = [face | {"quality": quality.to_json()} for face, quality in told]
        entry = {"photo": str(path), "photo_size_wh": photo.size_wh, "faces": faces}
        entries.append(entry | {"more_faces": found.more_faces, "turned": found.turned, "notes": found.notes})
        if not as_json:
            count = {0: "no face", 1: "1 face"}.get(len(found.faces), f"{len(found.faces)} faces")
            notes = [f"  {note}" for note in found.notes]
            lines = map(", quality ".join, zip(_face_lines(found.faces), map(str, qualities), strict=True))
            click.echo("\n".join([f"{shown(path)}: {count}", *lines, *notes]))
    if as_json:
        click.echo(json.dumps(entries, indent=2))
    ctx.exit(2 if any("error" in entry for entry in entries) else 0)


def _figure_names(photos: Sequence[Path]) -> list[str]:
    """Name a figure after each photo; photos of one name in several folders get numbers.

    >>> _figure_names((Path("a/1.jpg"), Path("b/1.png"), Path("2.jpg")))
    ['1.faces.png', '1-2.faces.png', '2.faces.png']
    """
    stems = {photo.stem.casefold() for photo in photos}
    taken: set[str] = set()
    names = []
    for photo in photos:
        name, number = photo.stem, 1
        # A number that makes the name of another photo would put one picture over the other.
        while name.casefold() in (taken | stems if number > 1 else taken):
            number += 1
            name = f"{photo.stem}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.faces.png")
    return names
