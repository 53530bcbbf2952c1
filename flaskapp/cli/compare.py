"""The commands about a few photos: compare and detect."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flaskapp.cli.options import ANY_PATH, FIGURE, FIGURES, FILE, ReadingCommand, refuse_overwriting, shown
from flaskapp.errors import FacialRecognitionError, NotEnoughMemoryError, PhotoError, SeveralFacesError
from flaskapp.words import line_of

if TYPE_CHECKING:
    from flaskapp.detection import Face
    from flaskapp.verifier import FaceInPhoto, Verification

EXIT_CODES = {"match": 0, "non_match": 1, "inconclusive": 3, "out_of_scope": 4}

FACE_NUMBER = click.IntRange(min=1)


@click.command(cls=ReadingCommand)
@click.argument("reference", type=FILE)
@click.argument("probe", type=FILE)
@click.option("--reference-face", type=FACE_NUMBER, metavar="N", help="Which face of REFERENCE; 1 is the leftmost.")
@click.option("--probe-face", type=FACE_NUMBER, metavar="N", help="Which face of PROBE; 1 is the leftmost.")
@click.option("--model", type=ANY_PATH, metavar="MODEL", help="A personal model's folder, or other weights (.h5).")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--plot", type=FIGURE, metavar="OUT.png", help="Draw the answer (PNG, SVG or PDF).")
@click.pass_context
def compare(
    ctx: click.Context, /, reference: Path, probe: Path, as_json: bool, plot: Path | None, **chosen: Any
) -> None:
    """Say whether two photos show the same person.

    REFERENCE is the photo you trust, PROBE the new one. If a photo shows several people,
    choose one by its number: `facial-recognition detect` lists them in the same order.

    \b
    Examples:
      facial-recognition compare passport.jpg selfie.heic
      facial-recognition compare group.jpg selfie.jpg --reference-face 2
      facial-recognition compare a.jpg b.jpg --json | jq .similarity_score
      facial-recognition compare a.jpg b.jpg --plot answer.png
      facial-recognition compare me.jpg selfie.jpg --model my_model

    \b
    Exit codes:
      0 match   1 non-match   2 wrong usage or unusable photo   3 inconclusive
      4 out of scope: neither photo is the person that a personal model knows
    """
    try:
        photos = _read("reference", reference), _read("probe", probe)
        verification = _verify(*photos, **chosen)
    except (PhotoError, NotEnoughMemoryError) as error:
        _refuse(ctx, error, {"reference": reference, "probe": probe}, as_json)
        return
    click.echo(json.dumps(verification.to_json(), indent=2) if as_json else _describe(verification, reference, probe))
    if plot and verification.decision == "out_of_scope":
        click.echo("Nothing was drawn: an answer out of scope has no score to show.", err=True)
    elif plot:
        _plot(verification, *photos, plot)
    ctx.exit(EXIT_CODES[verification.decision])


def _read(label: str, path: Path) -> bytes:
    from flaskapp.preprocess.files import read_photo

    try:
        return read_photo(path)
    except PhotoError as error:
        error.for_photo(label)
        raise


def _verify(
    reference: bytes, probe: bytes, reference_face: int | None, probe_face: int | None, model: Path | None
) -> Verification:
    """Verify, and load the weights while the photos are read: a tenth of a second less to wait."""
    from flaskapp.verifier import Verifier
    from flaskapp.weights.runtime import default_runtime

    if model is not None:
        from flaskapp.personal import load_model

        runtime, owner = load_model(model)
        return Verifier(runtime, owner=owner).verify(reference, probe, reference_face, probe_face)
    with ThreadPoolExecutor(1) as pool:
        return Verifier(pool.submit(default_runtime)).verify(reference, probe, reference_face, probe_face)


def _refuse(ctx: click.Context, error: FacialRecognitionError, paths: dict[str, Path], as_json: bool) -> None:
    """Say which photo cannot be used, list the faces to choose from, and end."""
    from flaskapp.verifier import faces_to_json

    label = error.photo or ""
    faces = error.faces if isinstance(error, SeveralFacesError) else ()
    if as_json:
        problem = {"photo": label, **_problem(error)} | ({"faces": faces_to_json(faces)} if faces else {})
        click.echo(json.dumps({"error": problem}, indent=2))
    if label in paths:
        error.for_photo(f"{label} {shown(paths[label])}")
    click.echo(f"Error: {error}", err=True)
    if faces:
        click.echo("\n".join(_face_lines(faces)), err=True)
        if label in paths:
            click.echo(f"For example: {_again(ctx.params | {f'{label}_face': 1})}", err=True)
    ctx.exit(error.exit_code)


def _problem(error: FacialRecognitionError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _again(given: dict[str, Any]) -> str:
    """Return the command that compares the same photos, likewise, as a shell reads it."""
    photos = [shown(given["reference"]), shown(given["probe"])]
    options = {"--reference-face": given["reference_face"], "--probe-face": given["probe_face"]}
    options["--model"] = given["model"] and shown(given["model"])
    chosen = [str(word) for name, value in options.items() if value is not None for word in (name, value)]
    if any(photo.startswith("-") for photo in photos):
        chosen, photos = [*chosen, "--", *photos], []  # else a photo would be taken for an option
    return shlex.join(["facial-recognition", "compare", *photos, *chosen])


def _describe(verification: Verification, reference: Path, probe: Path) -> str:
    if verification.decision == "out_of_scope":
        score = "no similarity score: this model can tell its owner from others, but not strangers apart"
    else:
        low, high = verification.inconclusive_band
        below = f"non-match below {low:.4f}, inconclusive in between" if low < high else "else non-match"
        score = f"similarity score {verification.similarity_score:.4f}   (match from {high:.4f}, {below})"
    lines = [
        line_of(verification.decision),
        score,
        f"reference {shown(reference)}: {_found(verification.reference)}",
        f"probe     {shown(probe)}: {_found(verification.probe)}",
        str(verification.verdict_counts),
        "No liveness check: a photo of a photo would pass.",
        f"weights {verification.weights_id}, {verification.timings_ms['total']:.0f} ms",
    ]
    return "\n  ".join(lines)


def _found(found: FaceInPhoto) -> str:
    others = f"; {found.other_faces} more in the photo" if found.other_faces else ""
    turned = f"; the photo was turned by {found.turned} degrees to the right" if found.turned else ""
    return f"face {_face_line(found.number, found.face)}{others}{turned}"


def _face_line(number: int, face: Face) -> str:
    left, top, right, bottom = (round(value) for value in face.box_xyxy)
    return f"{number}: x {left} to {right}, y {top} to {bottom}, detection score {face.detection_score:.3f}"


def _face_lines(faces: Sequence[Face]) -> list[str]:
    return [f"  {_face_line(number, face)}" for number, face in enumerate(faces, start=1)]


def _plot(verification: Verification, reference: bytes, probe: bytes, out: Path) -> None:
    from flaskapp import plots
    from flaskapp.preprocess import decode_photo

    def view(label: str, found: FaceInPhoto, photo: bytes) -> plots.PhotoView:
        pixels = decode_photo(photo).pixels
        return plots.PhotoView(label, pixels, found.faces, found.number, found.aligned, found.photo_size_wh)

    views = view("Reference", verification.reference, reference), view("Probe", verification.probe, probe)
    score, band = verification.similarity_score, verification.inconclusive_band
    plots.save(plots.plot_comparison(*views, score, band, verification.threshold), out)
    click.echo(f"Drawn: {shown(out)}", err=True)


@click.command(cls=ReadingCommand)
@click.argument("photos", nargs=-1, required=True, type=FILE, metavar="PHOTO…")
@click.option("--json", "as_json", is_flag=True, help="Print the faces as JSON, one entry for each photo.")
@click.option("--plot", type=FIGURES, metavar="DIR", help="Draw each photo's faces into DIR.")
@click.pass_context
def detect(ctx: click.Context, photos: tuple[Path, ...], as_json: bool, plot: Path | None) -> None:
    """List the faces of photos, numbered from 1, left to right.

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
    from flaskapp.verifier import faces_to_json

    figures = [plot / name for name in _figure_names(photos)] if plot else [None] * len(photos)
    refuse_overwriting(filter(None, figures), photos)
    entries: list[dict[str, Any]] = []
    for path, figure in zip(photos, figures, strict=True):
        try:
            photo = preprocess.decode_photo(read_photo(path))
            found = preprocess.find_faces(photo)
        except (PhotoError, NotEnoughMemoryError) as error:
            click.echo(f"Error: {error.for_photo(shown(path))}", err=True)
            entries.append({"photo": str(path), "error": _problem(error)})
            continue
        if figure:
            from flaskapp import plots

            figure.parent.mkdir(parents=True, exist_ok=True)
            plots.save(plots.plot_detection(photo.pixels, found, photo.size_wh), figure)
        entry = {"photo": str(path), "photo_size_wh": photo.size_wh, "faces": faces_to_json(found.faces)}
        entries.append(entry | {"more_faces": found.more_faces, "turned": found.turned, "notes": found.notes})
        if not as_json:
            count = {0: "no face", 1: "1 face"}.get(len(found.faces), f"{len(found.faces)} faces")
            notes = [f"  {note}" for note in found.notes]
            click.echo("\n".join([f"{shown(path)}: {count}", *_face_lines(found.faces), *notes]))
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
