"""One's own face in the page: photos by camera and file, training, comparing, forgetting."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")

import sample_photos
from page_driver import Driver, RunningServer, launch
from PIL import Image
from playwright.sync_api import Browser, expect
from states import own_state

from flaskapp import personal
from flaskapp.app import create_app
from flaskapp.personal.split import FEWEST_PHOTOS

SETTINGS = {"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0, "FR_OWN_MINUTES": 0.05}
TRAINING_MS = 300_000
STRANGER = Path(__file__).resolve().parents[2] / "flaskapp" / "static" / "samples" / "whitson_portrait.jpg"


@pytest.fixture(scope="module")
def started_in(tmp_path_factory) -> Path:
    """Return the folder in which the server is started, and where the model is put."""
    return tmp_path_factory.mktemp("started")


@pytest.fixture(scope="module")
def address(chromium: str, started_in: Path) -> Iterator[str]:
    """Return the address of a server with the shipped weights."""
    before = Path.cwd()
    os.chdir(started_in)
    try:
        app = create_app(SETTINGS)
    finally:
        os.chdir(before)
    with RunningServer(app) as running:
        yield running.address


@pytest.fixture(scope="module")
def poser(chromium: str, chromium_browser: Browser, tmp_path_factory) -> Iterator[Browser]:
    """Return a browser before whose camera somebody moves."""
    film = sample_photos.film_of_poses(tmp_path_factory.mktemp("film"))
    browser = launch(chromium_browser.browser_type, chromium, film)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def window(poser: Browser, address: str) -> Iterator[Driver]:
    window = Driver(poser.new_context(locale="en-GB"), address).watch_camera()
    yield window
    window.context.close()


@pytest.fixture
def own(window: Driver) -> Iterator[Driver]:
    """Return a window at the page for one's own face, after consent."""
    window.renew().agree()
    window.page.get_by_role("link", name="Train it on your own face").click()
    expect(window.find("#model-words")).to_contain_text("There is no personal model")
    yield window
    assert window.foreign_requests == []
    assert window.complaints == []


def count(window: Driver) -> int:
    return window.find("#album li").count()


def take_photos(window: Driver, photos: int) -> None:
    window.page.get_by_role("button", name="Take photos with the webcam").click()
    window.page.wait_for_function("(least) => document.querySelectorAll('#album li').length >= least", arg=photos)
    window.page.get_by_role("button", name="Stop the webcam").click()
    window.expect_camera_off()


def choose_photos(window: Driver, photos: int) -> None:
    """Choose photos as the webcam would take them, which takes no time."""
    window.find("#own-files").set_input_files(sample_photos.photos_of_poses()[:photos])
    expect(window.find("#album li")).to_have_count(photos)


def follow(own: Driver, link: str) -> None:
    """Follow a link and wait for the next page's scripts: a file chosen before them would not be seen."""
    with own.page.expect_navigation():
        own.page.get_by_role("link", name=link).click()


@pytest.mark.needs_tensorflow
def test_capture_train_compare_and_forget(own: Driver, started_in: Path, hopper_file, collins_file):
    """The whole way, with a real training in a process of its own."""
    take_photos(own, FEWEST_PHOTOS + 1)
    assert list(started_in.iterdir()) == [], "photos stay in memory"
    own.page.get_by_label("I agree that a model of my face is made").check()
    own.page.get_by_role("button", name="Train", exact=True).click()
    expect(own.find("#train-progress")).to_be_visible()
    taken = count(own)
    expect(own.find("#outcome")).to_be_visible(timeout=TRAINING_MS)
    for name in ("Accuracy", "Precision", "Recall", "F1"):
        expect(own.find("#figures tr", has_text=name)).to_contain_text("%")
    expect(own.find("#outcome-words p").first).to_contain_text(re.compile(r"It knew you in \d+ of \d+ photos"))
    expect(own.find("#outcome-words p").first).to_contain_text("of strangers it took")
    assert personal.is_personal(started_in / "my_model")
    with own.page.expect_download() as report:
        own.page.get_by_role("link", name="Save the report").click()
    assert report.value.suggested_filename == "my_model-report.html"

    follow(own, "Is it me? Ask the webcam")
    expect(own.find("#you-slot")).to_contain_text(f"{taken} photos")
    own.page.get_by_role("button", name="Start live comparison").click()
    expect(own.find("#live-word")).to_have_text("Match")
    own.page.get_by_role("button", name="Stop").click()

    own.set_mode("A photo").choose("probe", hopper_file).compare()
    expect(own.find("#verdict-word")).to_have_text("Match")
    own.choose("probe", STRANGER).compare()
    expect(own.find("#verdict-word")).to_have_text("Non-match")

    expect(own.find("#model-note")).to_contain_text("the personal model my_model.")
    own.page.get_by_role("radio", name="A reference photo").check()
    own.choose("reference", collins_file).choose("probe", collins_file).compare()
    expect(own.find("#verdict-word")).to_have_text("Out of scope")

    follow(own, "Train it on your own face")
    own.page.get_by_role("button", name="Forget me").click()
    own.page.get_by_role("dialog").get_by_role("button", name="Forget me").click()
    expect(own.find("#removed-list")).to_contain_text("my_model/model.h5")
    expect(own.find("#removed-list")).to_contain_text("my_model/templates.npz")
    assert list(started_in.iterdir()) == []
    follow(own, "Compare two photos")
    expect(own.find("#model-note")).to_have_count(0)
    own.choose("reference", collins_file).choose("probe", collins_file).compare()
    expect(own.find("#verdict-word")).to_have_text("Match")


def test_the_capture_guides_and_what_it_took_can_be_saved(own: Driver, tmp_path):
    take_photos(own, 3)
    expect(own.find("#missing-list")).to_contain_text("turned to one side")
    expect(own.find("#train-note")).to_contain_text(f"{FEWEST_PHOTOS - count(own)} more")
    taken = count(own)
    with own.page.expect_download() as download:
        own.page.get_by_role("button", name="Save photos").click()
    download.value.save_as(tmp_path / "photos.zip")
    with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == taken
        with Image.open(io.BytesIO(archive.read("me-01.jpg"))) as photo:
            assert photo.size == (640, 480)


def test_files_are_taken_listed_and_removed(
    own: Driver, hopper_file, collins_file, landscape, heic_portrait, group_photo
):
    files = [
        {"name": "one.jpg", "mimeType": "image/jpeg", "buffer": Path(hopper_file).read_bytes()},
        {"name": "phone.heic", "mimeType": "image/heic", "buffer": heic_portrait},
        {"name": "sky.png", "mimeType": "image/png", "buffer": landscape},
        {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo},
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"},
        {"name": "other.jpg", "mimeType": "image/jpeg", "buffer": Path(collins_file).read_bytes()},
    ]
    own.find("#own-files").set_input_files(files)
    expect(own.find("#album li")).to_have_count(3)
    expect(own.find("#album li").nth(1)).to_contain_text("Too like a photo that there is already.")
    for name, reason in (("sky.png", "No face"), ("group.jpg", "2 faces"), ("notes.txt", "known format")):
        expect(own.find("#left-out-list li", has_text=name)).to_contain_text(reason)
    expect(own.find("#photo-count")).to_have_text("2 photos to train on, 1 that adds nothing")
    expect(own.find("#train-note")).to_contain_text(f"{FEWEST_PHOTOS - 2} more photos are needed")
    expect(own.find("#status")).to_have_text("2 photos to train on, 1 that adds nothing, 3 not usable.")
    assert not any(own.is_blank(f"#album li:nth-child({number}) canvas") for number in (1, 2, 3))
    missing = own.find("#missing-list").inner_text()
    own.page.get_by_role("button", name="Remove photo 3").click()
    expect(own.find("#album li")).to_have_count(2)
    expect(own.find("#missing-list")).not_to_have_text(missing)
    own.page.get_by_role("button", name="Remove all").click()
    expect(own.find("#album li")).to_have_count(0)
    expect(own.find("#left-out")).to_be_hidden()


def test_too_few_photos_and_no_agreement_train_nothing(own: Driver, hopper_file):
    own.find("#own-files").set_input_files(hopper_file)
    expect(own.find("#album li")).to_have_count(1)
    own.page.get_by_role("button", name="Train", exact=True).click()
    own.expect_error("train", "too_few_photos", f"{FEWEST_PHOTOS - 1} more")
    own.find("#own-files").set_input_files(sample_photos.photos_of_poses()[1:])
    expect(own.find("#photo-count")).to_have_text(f"{FEWEST_PHOTOS + 1} photos to train on")
    own.page.get_by_role("button", name="Train", exact=True).click()
    expect(own.find("#keep-box-error")).to_contain_text("no model is made")
    assert not [url for url in own.requests if url.endswith("/training")]


def test_copies_of_two_photos_are_two_photos_to_train_on(own: Driver, hopper_file, collins_file):
    for number in range(FEWEST_PHOTOS + 1):
        name = f"{number}.jpg"
        data = Path(collins_file if number % 2 else hopper_file).read_bytes()
        own.find("#own-files").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": data})
    expect(own.find("#album li")).to_have_count(FEWEST_PHOTOS + 1)
    expect(own.find("#album .album-note")).to_have_count(FEWEST_PHOTOS - 1)
    expect(own.find("#photo-count")).to_have_text(f"2 photos to train on, {FEWEST_PHOTOS - 1} that add nothing")
    own.page.get_by_role("button", name="Train", exact=True).click()
    own.expect_error("train", "too_few_photos", f"{FEWEST_PHOTOS - 2} more")
    assert not [url for url in own.requests if url.endswith("/training")]


def test_a_copy_counts_once_its_original_is_removed(own: Driver, hopper_file):
    own.find("#own-files").set_input_files([hopper_file])
    own.find("#own-files").set_input_files([hopper_file])
    expect(own.find("#photo-count")).to_have_text("1 photo to train on, 1 that adds nothing")
    own.page.get_by_role("button", name="Remove photo 1").click()
    expect(own.find("#photo-count")).to_have_text("1 photo to train on")
    expect(own.find("#album .album-note")).to_have_count(0)


def test_photos_of_somebody_else_are_named_until_they_are_removed(own: Driver):
    choose_photos(own, FEWEST_PHOTOS)
    running = own_state("running", doubted=[2])
    own.page.route("**/api/v1/own-face", lambda route: route.fulfill(json=running))
    own.page.route("**/own-face/training", lambda route: route.fulfill(json=running["training"], status=202))
    own.page.get_by_label("I agree that a model of my face is made").check()
    own.page.get_by_role("button", name="Train", exact=True).click()
    expect(own.find("#train-doubt-words")).to_contain_text("Photo 2 looks like")
    expect(own.find("#status")).to_contain_text("If it does not show you, remove it")
    own.page.get_by_role("button", name="Remove photo 1").click()
    expect(own.find("#train-doubt-words")).to_contain_text("Photo 1 looks")
    own.page.get_by_role("button", name="Remove photo 1").click()
    expect(own.find("#train-doubt")).to_be_hidden()


def test_a_training_that_is_refused_does_not_pass_for_the_one_before(own: Driver):
    choose_photos(own, FEWEST_PHOTOS)
    before = own_state("done")
    refusal = {"code": "busy", "detail": "Too much is under way.", "hint": "Wait.", "photo": None}
    own.page.route("**/api/v1/own-face", lambda route: route.fulfill(json=before))
    own.page.route("**/own-face/training", lambda route: route.fulfill(json=refusal, status=503))
    own.find("#keep-box").check()
    own.page.get_by_role("button", name="Train", exact=True).click()
    own.expect_error("train", "busy")
    expect(own.find("#outcome")).to_be_visible()
    expect(own.find("#outcome-heading")).not_to_be_focused()
    expect(own.find("#status")).not_to_contain_text("The training is done.")


@pytest.mark.needs_tensorflow
def test_a_training_can_be_cancelled(own: Driver, started_in: Path):
    choose_photos(own, FEWEST_PHOTOS)
    own.find("#keep-box").check()
    own.page.get_by_role("button", name="Train", exact=True).click()
    own.page.get_by_role("button", name="Cancel").click()
    expect(own.find("#train-progress")).to_be_hidden()
    expect(own.find("#train")).to_be_focused()
    expect(own.find("#outcome")).to_be_hidden()
    assert list(started_in.iterdir()) == []


def test_a_server_that_cannot_train_says_so_before_photos_are_taken(own: Driver, monkeypatch):
    monkeypatch.setattr("flaskapp.web.personal_model.NEEDED", ("no_such_library",))
    own.open("/own-face").expect_error("obstacle", "missing_extra", "no_such_library", 'install -e ".[train]"')
    own.expect_error("train", "missing_extra", "no_such_library")


def test_without_consent_it_asks_for_it_first(poser: Browser, address: str):
    window = Driver(poser.new_context(), address).open("/own-face")
    expect(window.page.get_by_role("heading", name="Agree first")).to_be_visible()
    expect(window.find("#own-files")).to_have_count(0)
    window.context.close()


@pytest.mark.parametrize(("error", "code"), [("NotAllowedError", "camera_denied"), ("NotFoundError", "camera_absent")])
def test_a_camera_that_cannot_be_had_says_why(poser: Browser, address: str, error, code):
    window = Driver(poser.new_context(), address).break_camera(error).agree().open("/own-face")
    window.page.get_by_role("button", name="Take photos with the webcam").click()
    window.expect_error("capture", code)
    expect(window.find("#capture")).to_be_hidden()
    window.context.close()
