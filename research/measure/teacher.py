"""What a teacher says of photos, as the sets file names it.

``python -m research.measure.teacher PHOTOS OUT.npz --model mobilefacenet`` finds the most central face of
each photo below a folder, or with ``--all`` every face, cuts it as ArcFace's networks expect it, and writes
``paths``, ``landmarks``, ``embedding`` and ``ok``. MODEL.param and MODEL.bin are a network in ncnn's format:
``pip install ncnn``. A file of landmarks beside the photos (as blends have it) saves the
detection. ``--views`` adds each face mirrored and moved a little, a row each: for people to be
excluded, whom the search for overlaps then finds in more guises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from flaskapp.cli.options import OUTPUT_FILE
from flaskapp.cli.progress import progress_bar
from flaskapp.errors import PhotoError
from flaskapp.preprocess import Photo, align_face, decode_photo, find_faces, select_face
from flaskapp.preprocess.files import look_through, read_photo
from research.sets.blends import LANDMARKS_FILE
from research.sets.crops import mapping

SIZE = 112
# J. Deng et al., "ArcFace", 2019: where their faces have eyes, nose and mouth corners.
TEMPLATE = np.array(((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)))
MOVED = 2  # pixels up, and down

Teacher = Callable[[np.ndarray], np.ndarray]
_Answer = tuple[np.ndarray, list[np.ndarray]]


def load_teacher(model: Path) -> Teacher:
    """Return what gives the embedding float32 (128,) of a face uint8 (112, 112, 3) RGB."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_storage = False
    if net.load_param(f"{model}.param") or net.load_model(f"{model}.bin"):
        raise click.BadParameter(f"{model.name}.param and {model.name}.bin are no network that ncnn reads.")

    def embed(face: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        pixels = ncnn.Mat.from_pixels(np.ascontiguousarray(face), ncnn.Mat.PixelType.PIXEL_RGB, SIZE, SIZE)
        extractor.input("data", pixels)
        return np.array(extractor.extract("fc1")[1], np.float32)

    return embed


def views_of(photo: np.ndarray, landmarks: np.ndarray, more: bool) -> list[np.ndarray]:
    """Return a face as the teacher expects it, uint8 (112, 112, 3); with more, also mirrored and moved."""
    face = align_face(photo, landmarks, TEMPLATE, SIZE)
    if not more:
        return [face]
    moved = (align_face(photo, landmarks, TEMPLATE + np.array((0, pixels)), SIZE) for pixels in (MOVED, -MOVED))
    return [face, face[:, ::-1], *moved]


@functools.cache
def teacher_of(model: Path) -> Teacher:
    """Return a model's teacher, loaded once for each process."""
    return load_teacher(model)


def _answers(task: tuple[Path, np.ndarray | None, bool, Path, bool]) -> list[_Answer | None]:
    cv2.setNumThreads(1)  # the processes are the threads
    path, landmarks, all_faces, model, more = task
    try:
        photo = decode_photo(read_photo(path))
        # Landmarks are those of the photo's full scale; it may have been decoded at a smaller one.
        pixels = photo.at_full_scale().pixels
        return [
            (points, [teacher_of(model)(view) for view in views_of(pixels, points, more)])
            for points in ([landmarks] if landmarks is not None else _landmarks(photo, all_faces))
        ]
    except (PhotoError, ValueError):
        return [None]


def _landmarks(photo: Photo, all_faces: bool) -> list[np.ndarray]:
    """Find those of all faces, or of the most central one: there is one at least."""
    found = find_faces(photo)
    central = select_face(found, choice="centre")
    return [np.array(face.landmarks) for face in (found if all_faces else [central])]


def known_landmarks(folder: Path) -> dict[str, np.ndarray]:
    """Return the landmarks that lie beside photos, by path."""
    file = folder / LANDMARKS_FILE
    if not file.exists():
        return {}
    with np.load(file, allow_pickle=False) as record:
        return dict(zip(record["paths"].tolist(), record["landmarks"], strict=True))


def record_of(names: list[str], answers: list[_Answer | None]) -> dict[str, Any]:
    """Return a teacher's file: all photos' first views, then all their second ones, and so on."""
    views = max((len(answer[1]) for answer in answers if answer), default=1)
    nothing = np.full((5, 2), np.nan), [np.full(128, np.nan, np.float32)] * views
    told = [answer or nothing for answer in answers]
    return {
        "paths": np.array(names * views),
        "landmarks": np.tile(np.array([landmarks for landmarks, _ in told], np.float32), (views, 1, 1)),
        "embedding": np.concatenate([[vectors[view] for _, vectors in told] for view in range(views)]),
        "ok": np.tile([answer is not None for answer in answers], views),
    }


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=OUTPUT_FILE)
@click.option(
    "--model", required=True, type=click.Path(path_type=Path), help="MODEL.param and MODEL.bin, without suffix."
)
@click.option("--views", "more", is_flag=True, help="Also each face mirrored, and moved up and down.")
@click.option("--all", "all_faces", is_flag=True, help="Every face of a photo, a row each.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
def main(photos: Path, out: Path, model: Path, more: bool, all_faces: bool, workers: int) -> None:
    """Write what a teacher says of photos."""
    known = known_landmarks(photos)
    names = sorted(known) or look_through(photos).names
    if not names:
        raise click.BadParameter(f"{photos.name} holds no photos.")
    tasks = [(photos / name, known.get(name), all_faces, model, more) for name in names]
    bar = progress_bar("Asking the teacher", "photos")
    with mapping(workers) as mapped:
        told = [answers for _, answers in zip(bar(tasks), mapped(_answers, tasks), strict=True)]
    answers = [answer for of_photo in told for answer in of_photo]
    np.savez(out, **record_of([name for name, of_photo in zip(names, told, strict=True) for _ in of_photo], answers))
    click.echo(f"{len(names):,} photos, of {sum(answer is None for answer in answers):,} of them nothing to say: {out}")


if __name__ == "__main__":
    main()
