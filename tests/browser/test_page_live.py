"""Live comparison: the camera against a reference photo, one frame at a time."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright.sync_api")

import sample_photos
from playwright.sync_api import expect

from flaskapp.detection import Face
from flaskapp.errors import NoFaceError, SeveralFacesError


@pytest.fixture
def ready(visit, hopper_file):
    """Return a window with a reference photo, in live mode, before the camera was asked for."""
    window = visit().watch_camera().agree().choose("reference", hopper_file)
    window.set_mode("Live webcam")
    return window


@pytest.fixture
def running(ready):
    ready.page.get_by_role("button", name="Start live comparison").click()
    expect(ready.find("#live-word")).to_have_text("Match")
    return ready


def frames_sent(window) -> int:
    return len([url for url in window.requests if url.endswith("/api/v1/live")])


def test_the_camera_is_compared_frame_by_frame(running, verifier):
    expect(running.find("#live-rate")).to_have_text(re.compile(r"^\d+\.\d updates a second$"))
    expect(running.find("#live-words")).to_contain_text("alike enough")
    expect(running.find("#live-scale .marker-number")).to_have_text("0.900")
    expect(running.find("#live-result")).to_contain_text("not a liveness check")
    assert not running.is_blank("#live-overlay"), "no box is drawn over the video"
    assert running.find("#live-overlay").evaluate("(canvas) => [canvas.width, canvas.height]") == [640, 480]
    assert verifier.most_at_once == 1


def test_one_tap_stops_it_and_the_camera(running):
    assert running.live_tracks() == 1
    running.page.get_by_role("button", name="Stop").click()
    running.expect_camera_off()
    expect(running.find("#live-note")).to_have_text("Stopped. The camera is off.")
    expect(running.find("#live-video")).to_be_hidden()
    sent = frames_sent(running)
    running.page.wait_for_timeout(1500)
    assert frames_sent(running) == sent


def test_the_score_is_smoothed_over_frames(running, verifier):
    running.find("#live-scale .marker-number").evaluate("""(number) => {
      window.shown = [];
      new MutationObserver(() => window.shown.push(Number(number.textContent))).observe(number, { childList: true });
    }""")
    verifier.score = 0.0
    expect(running.find("#live-word")).to_have_text("Non-match")
    shown = running.page.evaluate("window.shown")
    assert shown == sorted(shown, reverse=True), "it must sink step by step"
    assert [score for score in shown if 0 < score < 0.9], "it must not jump"


def test_how_good_the_frame_is_does_not_flicker(running, verifier):
    expect(running.find("#live-quality")).to_have_text("Good photo")
    running.page.evaluate("""() => {
      const real = window.fetch;
      [window.asked, window.steady, window.shown] = [0, false, new Set()];
      window.fetch = async (path, options) => {
        const response = await real(path, options);
        if (!path.endsWith("/live")) return response;
        const answer = await response.json();
        window.asked += 1;
        if (window.steady || window.asked % 2) {
          answer.quality.frame = { grade: "poor", certainty: 0.1, reasons: ["too_dark"] };
        }
        return Response.json(answer);
      };
      const line = document.getElementById("live-quality");
      new MutationObserver(() => window.shown.add(line.dataset.grade)).observe(line, { attributes: true });
    }""")
    running.page.wait_for_function("() => window.asked > 7")
    assert running.page.evaluate("[...window.shown]") == []
    running.page.evaluate("window.steady = true")
    expect(running.find("#live-quality")).to_contain_text("Poor photo: too dark")
    expect(running.find("#live-quality")).to_contain_text("More light on the face may help.")
    verifier.score = 0.5
    expect(running.find("#live-word")).to_have_text("Inconclusive")
    expect(running.find("#status")).to_contain_text("to tell. Poor photo: too dark. More light")
    running.page.get_by_role("button", name="Stop").click()
    expect(running.find("#live-quality")).to_be_hidden()


def test_a_frame_without_a_face_is_no_error(running, verifier):
    verifier.raises = NoFaceError("No face was found.").for_photo("probe")
    expect(running.find("#live-word")).to_have_text("Looking for a face…")
    expect(running.find("#live-scale .scale-marker")).to_have_attribute("visibility", "hidden")
    verifier.raises = None
    expect(running.find("#live-word")).to_have_text("Match")


def test_of_strangers_a_personal_model_shows_no_score(running, verifier):
    verifier.knows = False
    expect(running.find("#live-word")).to_have_text("Out of scope")
    expect(running.find("#live-words")).to_contain_text("Neither photo shows the person this model knows")
    expect(running.find("#live-scale .scale-marker")).to_have_attribute("visibility", "hidden")
    verifier.knows, verifier.score = True, 0.1
    # The first score after it counts alone: none of the old one is left in it.
    expect(running.find("#live-word")).to_have_text("Non-match")
    expect(running.find("#live-scale .marker-number")).to_have_text("0.100")


def test_it_needs_a_reference_photo(visit):
    window = visit().watch_camera().agree()
    window.set_mode("Live webcam")
    window.page.get_by_role("button", name="Start live comparison").click()
    window.expect_error("reference", "missing_photo")
    expect(window.find("#reference-file")).to_be_focused()
    window.expect_camera_off()


def test_in_a_group_photo_only_the_chosen_face_goes_along(visit, verifier, group_photo):
    window = visit().watch_camera().agree()
    window.choose("reference", {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo})
    window.page.get_by_role("button", name="Face 1 of 2").click()
    window.set_mode("Live webcam")
    window.page.get_by_role("button", name="Start live comparison").click()
    # The server would refuse a reference that shows two faces.
    expect(window.find("#live-word")).to_have_text("Match")


@pytest.mark.parametrize("face", [1, 2])
def test_of_two_faces_whose_boxes_overlap_the_chosen_one_goes_along(visit, face):
    photo = sample_photos.encoded(sample_photos.cheek_to_cheek(), "JPEG", quality=92)
    window = visit().watch_camera().agree()
    window.choose("reference", {"name": "two.jpg", "mimeType": "image/jpeg", "buffer": photo})
    window.page.get_by_role("button", name=f"Face {face} of 2").click()
    window.set_mode("Live webcam")
    window.page.get_by_role("button", name="Start live comparison").click()
    expect(window.find("#live-word")).to_have_text("Match")


def test_several_faces_in_what_goes_along_leave_the_photo_as_it_was(visit, verifier, group_photo):
    window = visit().watch_camera().agree()
    window.choose("reference", {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo})
    window.page.get_by_role("button", name="Face 2 of 2").click()
    places = "(buttons) => buttons.map(({ style }) => style.cssText)"
    before = window.find("#reference-slot [data-choices] button").evaluate_all(places)
    window.set_mode("Live webcam")
    several = (Face((10, 10, 60, 70), ((20, 30), (40, 30), (30, 45), (22, 55), (38, 55)), 0.99),) * 2
    verifier.raises = SeveralFacesError("2 faces could be meant.", "Choose one.", faces=several).for_photo("reference")
    window.page.get_by_role("button", name="Start live comparison").click()
    window.expect_error("live", "several_faces")
    assert window.find("#reference-slot [data-choices] button").evaluate_all(places) == before
    expect(window.page.get_by_role("button", name="Face 2 of 2")).to_have_attribute("aria-pressed", "true")
    window.expect_camera_off()


def test_a_reference_that_cannot_be_shown_is_explained(visit, heic_portrait):
    window = visit().watch_camera().agree()
    window.page.route("**/api/v1/detect", lambda route: route.abort())  # so that there is no picture by the server
    window.choose("reference", {"name": "a.heic", "mimeType": "image/heic", "buffer": heic_portrait})
    window.set_mode("Live webcam")
    window.page.get_by_role("button", name="Start live comparison").click()
    window.expect_error("live", "reference_unseen")
    window.expect_camera_off()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("NotAllowedError", "camera_denied"),
        ("NotFoundError", "camera_absent"),
        ("NotReadableError", "camera_busy"),
    ],
)
def test_a_camera_that_cannot_be_had_says_why(visit, hopper_file, error, code):
    window = visit().break_camera(error).agree().choose("reference", hopper_file)
    window.set_mode("Live webcam")
    window.page.get_by_role("button", name="Start live comparison").click()
    window.expect_error("live", code)
    expect(window.page.get_by_role("button", name="Start live comparison")).to_be_visible()


def test_the_last_answer_stands_while_the_camera_stands_still(running, verifier):
    running.page.evaluate("""() => new Promise((done) => {
      const { toBlob } = HTMLCanvasElement.prototype;
      HTMLCanvasElement.prototype.toBlob = function (take, ...more) {
        toBlob.call(this, (blob) => {
          window.still ??= blob;
          take(window.still);
          done();
        }, ...more);
      };
    })""")
    running.page.wait_for_timeout(500)
    sent = frames_sent(running)
    verifier.score = 0.1
    running.page.wait_for_timeout(1000)
    assert frames_sent(running) == sent
    expect(running.find("#live-word")).to_have_text("Match")
    assert running.live_tracks() == 1


def test_a_busy_server_is_waited_for(running, server):
    busy = '{"code": "busy", "detail": "Too many comparisons are under way.", "hint": "", "photo": null}'
    answer = {"status": 503, "headers": {"Retry-After": "1"}, "content_type": "application/problem+json", "body": busy}
    running.page.route("**/api/v1/live", lambda route: route.fulfill(**answer))
    expect(running.find("#live-note")).to_have_text("The server is busy. Carrying on in a moment.")
    running.page.unroute("**/api/v1/live")
    expect(running.find("#live-note")).to_have_text("")
    assert running.live_tracks() == 1


def test_a_server_that_is_gone_stops_the_camera(running):
    running.page.route("**/api/v1/live", lambda route: route.abort())
    running.expect_error("live", "unreachable")
    running.expect_camera_off()


def test_consent_that_ends_stops_the_camera(running, end_consents):
    end_consents()
    running.expect_error("consent", "consent_required")
    running.expect_camera_off()


@pytest.mark.parametrize("how", ["Start over", "Withdraw consent"])
def test_forgetting_stops_the_camera_and_takes_the_verdict_away(running, how):
    running.page.get_by_role("button", name=how).click()
    expect(running.find("#live-result")).to_be_hidden()
    running.expect_camera_off()


def test_leaving_live_mode_stops_the_camera(running):
    running.set_mode("A photo")
    expect(running.find("#probe-slot")).to_be_visible()
    running.expect_camera_off()


def test_a_page_that_nobody_looks_at_films_nobody(running):
    running.page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { value: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    expect(running.find("#live-note")).to_contain_text("because the page was hidden")
    running.expect_camera_off()


def test_a_new_reference_stops_the_comparison_with_the_old(running, collins_file):
    running.choose("reference", collins_file)
    expect(running.find("#live-note")).to_contain_text("because the reference photo changed")
    running.expect_camera_off()


def test_the_camera_that_is_unplugged_says_so(running):
    running.page.evaluate("window.tracks[0].dispatchEvent(new Event('ended'))")
    running.expect_error("live", "camera_lost")
    running.expect_camera_off()
