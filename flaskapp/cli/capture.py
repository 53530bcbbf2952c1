"""The command that takes photos of oneself: capture."""

from __future__ import annotations

import time
from pathlib import Path

import click

from flaskapp.cli.options import EXISTING_FILE, OUTPUT_FOLDER, FiniteRange, shown

QUALITY = 95


@click.command()
@click.option("--out", required=True, type=OUTPUT_FOLDER, metavar="DIR", help="Where the photos go.")
@click.option("--camera", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the camera.")
@click.option("--video", type=EXISTING_FILE, metavar="FILE", help="A film in place of the camera.")
@click.option("--photos", type=click.IntRange(min=11), default=15, show_default=True, help="How many to take.")
@click.option("--every", type=click.IntRange(min=1), default=5, show_default=True, help="Look at every N-th frame.")
@click.option(
    "--seconds", type=FiniteRange(min=1), default=180, show_default=True, help="Give up after this many seconds."
)
@click.pass_context
def capture(
    ctx: click.Context, out: Path, camera: int, video: Path | None, photos: int, every: int, seconds: float
) -> None:
    """Take photos of yourself for `train`, guided: turn, come closer, change the light.

    A frame is kept if it shows one sharp face, neither too dark nor too bright, and differs
    from those before it. At the end it says what is still missing. Ctrl-C stops it; the
    photos taken so far stay.

    \b
    Examples:
      facial-recognition capture --out my_photos
      facial-recognition capture --out my_photos --video clip.mp4
      facial-recognition train --me my_photos

    \b
    Exit codes:
      0 photos of every kind were taken   2 some are missing, or there is no camera
    """
    from flaskapp.personal.capture import GLASSES, Guide, read_camera

    guide, ends, last = Guide(photos), time.monotonic() + seconds, ""
    click.echo(f"{guide.next_step()} {GLASSES}", err=True)
    try:
        for frame in read_camera(str(video) if video else camera, every):
            glance = guide.show(frame)
            if glance.kept:
                _write(out, len(guide.looks), frame)
            line = f"{len(guide.looks)} of {photos}: {glance.words}"
            if line != last:
                click.echo(line, err=True)
            last = line
            if guide.finished or time.monotonic() > ends:
                break
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    missing = guide.missing()
    click.echo(f"{len(guide.looks)} photos in {shown(out)}")
    for line in missing:
        click.echo(f"  still missing: {line}")
    ctx.exit(2 if missing else 0)


def _write(out: Path, number: int, frame: object) -> None:
    import numpy as np
    from PIL import Image

    out.mkdir(parents=True, exist_ok=True)
    taken = time.strftime("%Y%m%d-%H%M%S")
    Image.fromarray(np.asarray(frame)).save(out / f"{taken}-{number:02d}.jpg", quality=QUALITY)
