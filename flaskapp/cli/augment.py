"""The command that shows what training does to photos: augment."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flaskapp.cli.options import FIGURE, FOLDER, OUTPUT_FOLDER, ReadingCommand, photo_count, refuse_overwriting, shown
from flaskapp.cli.progress import progress_bar, report_left_out
from flaskapp.errors import DataError, PhotoError

if TYPE_CHECKING:
    import numpy as np

MOST_ROWS = 12
THUMBNAIL = 220
QUALITY = 95


@click.command(cls=ReadingCommand)
@click.argument("folder", type=FOLDER)
@click.option("--out", required=True, type=OUTPUT_FOLDER, metavar="DIR", help="Where the new photos go.")
@click.option("--sheet", type=FIGURE, metavar="OUT.png", help="Draw the first photos with their nine changes.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of how strong each change is.")
@click.pass_context
def augment(ctx: click.Context, folder: Path, out: Path, sheet: Path | None, seed: int) -> None:
    """Write the nine changed versions of every photo of FOLDER.

    They show what training does to photos on the fly: brighter, darker, more and less
    contrast, mirrored, more and less saturation, and two of these combined. `train` makes
    its own, so do not mix these with the photos you give it. --out must lie outside FOLDER,
    or the next run would change what this one wrote.

    \b
    Examples:
      facial-recognition augment my_photos/ --out augmented/
      facial-recognition augment my_photos/ --out augmented/ --sheet sheet.png

    \b
    Exit codes:
      0 all written   2 wrong usage, or a photo that cannot be used (the others are written)
    """
    from flaskapp.augment_images import TRANSFORMATIONS
    from flaskapp.preprocess.files import check_photos, look_through

    content = look_through(folder)
    check_photos(content)
    report_left_out(content.passed_over)
    photos = content.photos
    if out.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"--out {shown(out)} lies within {shown(folder)}: the next run would change what this one wrote.",
            "Name a folder outside it.",
        )
    places = {photo: [out / f"{photo.relative_to(folder)}.{name}.jpg" for name in TRANSFORMATIONS] for photo in photos}
    refuse_overwriting([*itertools.chain(*places.values()), *([sheet] if sheet else [])], photos)
    rows: list[list[np.ndarray]] = []
    failed = 0
    for index, photo in enumerate(progress_bar("Changing photos", "photos")(photos)):
        try:
            pictures = _write_all(photo, places[photo], seed + 2 * index)
        except PhotoError as error:
            failed += 1
            click.echo(f"Error: {error.for_photo(shown(photo.relative_to(folder)))}", err=True)
        else:
            rows += [pictures] if sheet and len(rows) < MOST_ROWS else []
    if sheet and rows:
        from flaskapp import plots

        plots.save(plots.plot_sheet(rows, ["original", *(name.replace("_", " ") for name in TRANSFORMATIONS)]), sheet)
        click.echo(f"Drawn: {shown(sheet)}", err=True)
    click.echo(f"{photo_count(len(photos) - failed)}, {9 * (len(photos) - failed):,} new ones in {shown(out)}")
    ctx.exit(2 if failed else 0)


def _write_all(photo: Path, places: list[Path], seed: int) -> list[np.ndarray]:
    """Write the nine; return thumbnails of the photo and of them."""
    from PIL import Image

    from flaskapp.augment_images import TRANSFORMATIONS
    from flaskapp.detection.detector import resized
    from flaskapp.preprocess import decode_photo
    from flaskapp.preprocess.files import read_photo

    pixels = decode_photo(read_photo(photo)).at_full_scale().pixels
    pictures = [pixels, *(change(pixels, seed) for change in TRANSFORMATIONS.values())]
    places[0].parent.mkdir(parents=True, exist_ok=True)
    new = zip(places, pictures[1:], strict=True)
    try:  # the longest name first: where that is too long, none is written
        for place, changed in sorted(new, key=lambda both: len(both[0].name), reverse=True):
            Image.fromarray(changed).save(place, quality=QUALITY)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise PhotoError("The name is too long to be continued.", "Give it a shorter one.") from None
    return [resized(picture, THUMBNAIL / max(picture.shape))[0] for picture in pictures]
