from __future__ import annotations

import os
import threading
import tracemalloc

import pytest

from flaskapp.errors import PhotoTooLargeError, UnreadablePhotoError
from flaskapp.preprocess import MAX_BYTES
from flaskapp.preprocess.files import read_photo


def test_a_file_is_its_bytes(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    assert read_photo(tmp_path / "photo.jpg") == b"photo"


def test_an_empty_file_is_no_bytes(tmp_path):
    (tmp_path / "photo.jpg").touch()
    assert read_photo(tmp_path / "photo.jpg") == b""


def test_the_largest_file_is_read_and_one_byte_more_is_not(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(MAX_BYTES))
    assert len(read_photo(path)) == MAX_BYTES
    path.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(PhotoTooLargeError, match="more than 12 MB"):
        read_photo(path)


def test_a_huge_file_is_read_to_the_limit_only(tmp_path):
    with (tmp_path / "photo.jpg").open("wb") as file:
        file.truncate(10**9)  # a hole: it takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(PhotoTooLargeError):
            read_photo(tmp_path / "photo.jpg")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MAX_BYTES


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there is no such pipe")
def test_a_pipe_without_end_is_read_to_the_limit_only(tmp_path):
    os.mkfifo(tmp_path / "photo.jpg")

    def pour() -> None:
        with (tmp_path / "photo.jpg").open("wb", buffering=0) as pipe:
            try:
                while True:
                    pipe.write(bytes(10**6))
            except BrokenPipeError:
                pass

    pouring = threading.Thread(target=pour)
    pouring.start()
    with pytest.raises(PhotoTooLargeError):
        read_photo(tmp_path / "photo.jpg")
    pouring.join(timeout=60)
    assert not pouring.is_alive()


def test_what_is_no_file_cannot_be_read(tmp_path):
    with pytest.raises(UnreadablePhotoError, match="cannot be read: No such file"):
        read_photo(tmp_path / "photo.jpg")
    with pytest.raises(UnreadablePhotoError, match="cannot be read: "):
        read_photo(tmp_path)
