"""The command that takes photos of oneself: capture."""

from __future__ import annotations

import time
from pathlib import Path

import click

from flaskapp.cli.options import FILE, OUTPUT_FOLDER, finite, photo_count, shown

QUALITY = 95


@click.command()
@click.option("--out", required=True, type=OUTPUT_FOLDER, metavar="DIR", help="Where the photos go.")
@click.option("--camera", type=click.IntRange(0, 2**31 - 1), default=0, help="Number of the camera.")
@click.option("--video", type=FILE, metavar="FILE", help="A film in place of the camera.")
@click.option("--photos", type=click.IntRange(min=11), default=15, help="How many to take.")
@click.option("--every", type=click.IntRange(min=1), default=5, help="Look at every N-th frame.")
@click.option(
    "--seconds", type=click.FloatRange(min=1), callback=finite, default=180, help="Give up after this many seconds."
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
    from PIL import Image

    from flaskapp.personal.capture import GLASSES, Guide, read_camera

    guide, ends, last = Guide(photos), time.monotonic() + seconds, ""
    try:
        for frame in read_camera(str(video) if video else camera, every):
            if not last:
                click.echo(f"{guide.next_step()} {GLASSES}", err=True)
            glance = guide.show(frame)
            if glance.kept:
                out.mkdir(parents=True, exist_ok=True)
                name = f"{time.strftime('%Y%m%d-%H%M%S')}-{len(guide.looks):02d}.jpg"
                Image.fromarray(frame).save(out / name, quality=QUALITY)
            line = f"{len(guide.looks)} of {photos}: {glance.words}"
            if line != last:
                click.echo(line, err=True)
            last = line
            if guide.finished or time.monotonic() > ends:
                break
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    missing = guide.missing()
    lines = [f"{photo_count(len(guide.looks))} in {shown(out)}", *(f"  still missing: {line}" for line in missing)]
    click.echo("\n".join(lines))
    ctx.exit(2 if missing else 0)
