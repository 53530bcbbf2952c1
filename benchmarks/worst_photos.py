"""What the costliest photos cost: seconds of processor time, and memory over the process at rest.

Run it with ``python -m benchmarks.worst_photos`` on Linux, from the folder of the checkout. Each
case has a fresh process, which first compares the two packaged portraits, as the server does
when it starts, and then does one thing, once. The plain photos of 12 megapixels are measured
in the same run: what the others cost is to be seen beside them.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import flaskapp

PORTRAITS = tuple((Path(flaskapp.__file__).parent / "static" / "portraits").glob("*.jpg"))
GREY = (127, 127, 127)

Photo = Callable[[], bytes]


def as_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def portrait(number: int = 0) -> Image.Image:
    """Return one of the packaged portraits."""
    with Image.open(sorted(PORTRAITS)[number]) as image:
        return image.convert("RGB")


def plain(number: int = 0) -> bytes:
    """Return a portrait as a phone makes it, 4000×3000 pixels."""
    canvas = Image.new("RGB", (4000, 3000), GREY)
    canvas.paste(portrait(number).resize((2560, 3000), Image.Resampling.BICUBIC), (720, 0))
    return as_jpeg(canvas)


def collage(face: int, side: int = 2048) -> bytes:
    """Return a square full of faces: a portrait cut to its head, again and again, ``face``
    pixels wide."""
    head = portrait(1).crop((170, 110, 360, 300)).resize((face, face), Image.Resampling.LANCZOS)
    return as_jpeg(Image.fromarray(np.tile(np.asarray(head), (side // face, side // face, 1))))


def collage_on_its_side(face: int) -> bytes:
    """Return such a square turned by 90 degrees, which is looked at all four ways round."""
    with Image.open(io.BytesIO(collage(face))) as image:
        return as_jpeg(image.transpose(Image.Transpose.ROTATE_90))


def noise(side: int = 2048) -> bytes:
    """Return coarse coloured noise, in which the first network guesses at faces everywhere."""
    small = np.random.default_rng(0).integers(0, 256, (side // 16, side // 16, 3), np.uint8)
    return as_jpeg(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def panorama() -> bytes:
    """Return a strip of 25,000×2,000 pixels with a portrait every 600 pixels."""
    canvas = Image.new("RGB", (25_000, 2_000), GREY)
    small = portrait().resize((400, 469), Image.Resampling.LANCZOS)
    for left in range(0, canvas.width - small.width, 600):
        canvas.paste(small, (left, 700))
    return as_jpeg(canvas)


def nobody() -> bytes:
    """Return a photo of 12 megapixels without a face, which is looked at longest."""
    return as_jpeg(Image.radial_gradient("L").convert("RGB").resize((4000, 3000)))


CASES: dict[str, tuple[Photo, ...]] = {
    "12 megapixels, two compared": (plain, lambda: plain(1)),
    "12 megapixels, one face": (plain,),
    "12 megapixels, nobody": (nobody,),
    "4,096 faces of 32 pixels": (lambda: collage(32),),
    "1,024 faces of 64 pixels": (lambda: collage(64),),
    "144 faces of 160 pixels": (lambda: collage(160),),
    "1,024 faces lying on their side": (lambda: collage_on_its_side(64),),
    "noise of 4 megapixels": (noise,),
    "panorama of 50 megapixels": (panorama,),
}
"""What is measured: of one photo its faces are found, two are compared."""


def memory_mb(field: str) -> float:
    """Return a figure of this process's memory in MB: "VmRSS" now, "VmHWM" at most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("This script reads Linux's figures of a process.")


def forget_peak() -> None:
    """Make "VmHWM" count from now on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def measure(name: str) -> dict[str, float | None]:
    """Return what a case costs this process, which has done nothing else yet but to start as a server does."""
    from flaskapp.errors import PhotoError
    from flaskapp.verifier import default_verifier
    from flaskapp.web.comparing import Comparer
    from flaskapp.web.memory import give_memory_back

    give_memory_back()
    comparer = Comparer(default_verifier(), under_way=1)
    comparer.warm_up()
    first, *second = (photo() for photo in CASES[name])
    for _ in range(2):  # the second time nothing of the photos' making is left
        comparer.run(lambda: time.sleep(1.1))
    forget_peak()
    at_rest, started, faces = memory_mb("VmRSS"), time.process_time(), None
    try:
        if second:
            comparer.compare(first, second[0])
        else:
            faces = len(comparer.detect(first).faces)
    except PhotoError as error:
        print(f"{name}: {error.code}", file=sys.stderr)
    seconds = time.process_time() - started
    return {"seconds": seconds, "peak_mb": memory_mb("VmHWM") - at_rest, "faces": faces}


def measure_apart(name: str) -> dict[str, Any]:
    """Measure a case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.worst_photos", "--case", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Measure every case, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help="measure this one here, and print JSON")
    case = parser.parse_args().case
    if case:
        print(json.dumps(measure(case)))
        return
    print(f"  {'':<32}{'processor':>12}{'memory':>12}{'faces':>8}")
    for name in CASES:
        figures = measure_apart(name)
        faces = "" if figures["faces"] is None else figures["faces"]
        print(f"  {name:<32}{figures['seconds']:>10.2f} s{figures['peak_mb']:>9.0f} MB{faces:>8}", flush=True)


if __name__ == "__main__":
    main()
