"""Too little memory is told as that, never as a photo's fault."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from weights_files import write_weights_files

from flaskapp import preprocess
from flaskapp.cli.program import main
from flaskapp.errors import NotEnoughMemoryError, PhotoError, UnreadablePhotoError
from flaskapp.pairs import scoring
from flaskapp.pairs.lists import PhotoPair
from flaskapp.personal.album import read_album
from flaskapp.preprocess import decode_photo, decoding
from flaskapp.shortage import is_shortage, tell_shortage
from flaskapp.verifier import Verifier
from flaskapp.weights.runtime import Runtime


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def out_of_memory(*_: object, **__: object) -> None:
    raise MemoryError


@pytest.fixture
def no_room(monkeypatch) -> None:
    """Let every decoder run out of memory."""
    monkeypatch.setattr(decoding, "decode_jpeg", out_of_memory)


def test_it_is_no_fault_of_a_photo():
    assert not issubclass(NotEnoughMemoryError, PhotoError)


def test_a_decoder_without_memory_says_so(no_room, hopper):
    with pytest.raises(NotEnoughMemoryError, match="not enough memory") as caught:
        decode_photo(hopper)
    assert (caught.value.code, caught.value.http_status, caught.value.exit_code) == ("not_enough_memory", 503, 2)
    assert "smaller" in caught.value.hint


@pytest.mark.parametrize("place", ["reference", "probe"])
def test_the_photo_is_named(monkeypatch, tmp_path, hopper, collins, place):
    verifier = Verifier(Runtime(write_weights_files(tmp_path)))
    photos = {"reference": hopper, "probe": collins}
    decode = decoding.decode_jpeg
    monkeypatch.setattr(
        decoding, "decode_jpeg", lambda data, *rest: out_of_memory() if data == photos[place] else decode(data, *rest)
    )
    with pytest.raises(NotEnoughMemoryError) as caught:
        verifier.verify(**photos)
    assert caught.value.photo == place


@pytest.mark.parametrize("step", ["align_face", "default_detector"])
def test_every_step_after_decoding_says_so_too(monkeypatch, hopper, step):
    monkeypatch.setattr(preprocess, step, out_of_memory)
    with pytest.raises(NotEnoughMemoryError):
        preprocess.crop_photo(hopper)


def test_a_decoder_that_calls_it_damage_is_not_believed_while_there_is_no_room(monkeypatch, hopper):
    def fail(*_: object) -> None:
        raise ValueError("Insufficient memory (case 4)")

    monkeypatch.setattr(decoding, "decode_jpeg", fail)
    with pytest.raises(UnreadablePhotoError):
        decode_photo(hopper)
    monkeypatch.setattr(decoding, "BYTES_A_PIXEL", 2**35)
    with pytest.raises(NotEnoughMemoryError):
        decode_photo(hopper)


def test_evaluation_stops_and_counts_no_failure_to_acquire(no_room, tmp_path, hopper):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(hopper)
    (tmp_path / "pairs.csv").write_text("reference,probe,same\na.jpg,b.jpg,1\n")
    runtime = Runtime(write_weights_files(tmp_path))
    with pytest.raises(NotEnoughMemoryError):
        scoring.score_pairs([PhotoPair("a.jpg", "b.jpg", same=True)], tmp_path, runtime)
    arguments = ["evaluate", "--pairs", str(tmp_path / "pairs.csv"), "--root", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "not enough memory" in result.stderr
    assert "acquire" not in result.output


def test_an_album_leaves_no_photo_out_for_it(no_room, tmp_path, hopper):
    (tmp_path / "me.jpg").write_bytes(hopper)
    with pytest.raises(NotEnoughMemoryError):
        read_album(tmp_path)


def test_the_command_line_says_so(no_room, tmp_path, hopper):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(hopper)
    result = CliRunner().invoke(main, ["compare", str(photo), str(photo), "--json"])
    assert result.exit_code == 2
    assert "not enough memory" in result.stderr
    assert "damaged" not in result.output
    assert json.loads(result.stdout)["error"]["code"] == "not_enough_memory"


def test_what_opencv_and_onnx_runtime_say_is_understood():
    with pytest.raises(cv2.error) as other:
        cv2.resize(np.empty((0, 0), np.uint8), (1, 1))
    assert not is_shortage(other.value)
    full = cv2.error("Insufficient memory")
    full.code = -4
    runtime_error = type("Fail", (RuntimeError,), {"__module__": "onnxruntime.capi.onnxruntime_pybind11_state"})
    assert is_shortage(full)
    assert is_shortage(runtime_error("Failed to allocate memory for requested buffer of size 1"))
    assert not is_shortage(runtime_error("Got invalid dimensions for input"))
    assert not is_shortage(ValueError("bad_alloc"))


def test_other_errors_go_on_as_they_are():
    with pytest.raises(KeyError), tell_shortage():
        raise KeyError(0)


DECODE_IN_LITTLE = """
import resource, sys
from pathlib import Path
from flaskapp.errors import FacialRecognitionError
from flaskapp.preprocess import decode_photo
small, large = (Path(path).read_bytes() for path in sys.argv[1:])
decode_photo(small)
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for room in (4, 12, 24, 40):
    resource.setrlimit(resource.RLIMIT_AS, (in_use + room * 2**20, resource.RLIM_INFINITY))
    try:
        decode_photo(large).at_full_scale()
    except FacialRecognitionError as error:
        print(error.code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])  # with so little, HEIC's decoder ends the process
def test_a_good_photo_is_never_called_damaged_however_little_there_is(tmp_path, kind):
    paths = tmp_path / "small", tmp_path / "large"
    for path, size_wh in zip(paths, [(64, 64), (4000, 3000)], strict=True):
        path.write_bytes(encoded(Image.linear_gradient("L").convert("RGB").resize(size_wh), kind))
    done = subprocess.run(
        [sys.executable, "-c", DECODE_IN_LITTLE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"not_enough_memory"}
