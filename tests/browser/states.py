"""Every state in which the page can be seen, how to get there, and in which windows it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from page_driver import Driver, in_memory
from playwright.sync_api import expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WINDOWS: dict[str, dict[str, Any]] = {"phone": PHONE, "desktop": {"viewport": {"width": 1280, "height": 900}}}
SCHEMES = ("light", "dark")

Files = Mapping[str, Any]
"""hopper, collins: portraits; fair, poor: worse ones; group: two people; landscape: nobody; turned: two people in a
file that browsers turn otherwise than the server; heic: a portrait that Chromium cannot show."""


def at_consent(window: Driver, files: Files) -> None:
    window.open()


def at_refusal(window: Driver, files: Files) -> None:
    window.open().find("details.notice summary").click()
    window.page.get_by_role("button", name="Agree and continue").click()


def at_photos(window: Driver, files: Files) -> None:
    window.agree()


def at_missing(window: Driver, files: Files) -> None:
    window.agree().compare()


def at_more(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).add(*(files[name] for name in ("fair", "group", "landscape")))
    window.choose("probe", files["hopper"])


def at_more_result(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).add(
        *(files[name] for name in ("fair", "heic", "poor", "hopper"))
    )
    window.choose("probe", files["collins"])
    window.page.evaluate(DOUBT_TWO)
    window.compare()
    expect(window.find("#result")).to_be_visible()
    window.page.get_by_text("Details", exact=True).click()


def at_faces(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["group"]).choose("probe", files["hopper"])


def at_pictures(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["turned"]).choose("probe", files["heic"])
    window.page.get_by_role("button", name="Face 2 of 2").click()


def at_pictures_to_choose_from(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["turned"]).choose("probe", files["heic"]).compare()
    window.expect_error("reference", "several_faces", "2 faces")


def at_result_of_pictures(window: Driver, files: Files) -> None:
    at_pictures(window, files)
    window.compare()
    expect(window.find("#result")).to_be_visible()


def at_qualities(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["fair"]).choose("probe", files["poor"])


def at_good_photos(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).choose("probe", files["collins"])


def at_inconclusive(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["poor"]).choose("probe", files["collins"])
    window.page.evaluate(TELL_NOTHING)
    window.compare()
    expect(window.find("#verdict-word")).to_have_text("Inconclusive")
    window.page.get_by_text("Details", exact=True).click()


def at_errors(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["landscape"]).choose("probe", files["hopper"])


def at_progress(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).choose("probe", files["collins"])
    window.page.route("**/api/v1/verify", lambda _: None)
    window.compare()
    expect(window.find("#progress")).to_be_visible()


def at_failure(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).choose("probe", files["collins"])
    window.page.route("**/api/v1/verify", lambda route: route.abort())
    window.compare().expect_error("compare", "unreachable")


def at_result(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).choose("probe", files["collins"]).compare()
    expect(window.find("#result")).to_be_visible()
    window.page.get_by_text("Details", exact=True).click()


def at_out_of_scope(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).choose("probe", files["collins"])
    window.page.evaluate(KNOW_NOBODY)
    window.compare()
    expect(window.find("#verdict-word")).to_have_text("Out of scope")


def at_camera(window: Driver, files: Files) -> None:
    window.agree().page.get_by_role("button", name="Webcam for the reference photo").click()
    expect(window.page.get_by_role("button", name="Take photo")).to_be_enabled()


def at_still(window: Driver, files: Files) -> None:
    at_camera(window, files)
    window.page.get_by_role("button", name="Take photo").click()


def at_camera_error(window: Driver, files: Files) -> None:
    window.break_camera("NotAllowedError").agree()
    window.page.get_by_role("button", name="Webcam for the reference photo").click()
    window.expect_error("camera", "camera_denied")


def at_live_start(window: Driver, files: Files) -> None:
    window.agree().choose("reference", files["hopper"]).set_mode("Live webcam")


def at_live(window: Driver, files: Files) -> None:
    at_live_start(window, files)
    window.page.get_by_role("button", name="Start live comparison").click()
    expect(window.find("#live-word")).to_have_text("Match")


def at_you(window: Driver, files: Files) -> None:
    window.agree()
    expect(window.find("#you-slot")).to_be_visible()


def at_you_result(window: Driver, files: Files) -> None:
    window.agree().choose("probe", files["hopper"]).compare()
    expect(window.find("#you-face")).to_be_visible()
    window.page.get_by_text("Details", exact=True).click()


def at_you_live(window: Driver, files: Files) -> None:
    window.agree().set_mode("Live webcam").page.get_by_role("button", name="Start live comparison").click()
    expect(window.find("#live-word")).to_have_text("Match")


def at_own_agree(window: Driver, files: Files) -> None:
    window.open("/own-face")
    expect(window.page.get_by_role("heading", name="Agree first")).to_be_visible()


def at_own(window: Driver, files: Files) -> None:
    window.agree().open("/own-face")
    window.find("#own-files").set_input_files([files["hopper"], files["collins"], files["hopper"]])
    expect(window.find("#album li")).to_have_count(3)


def at_own_refusal(window: Driver, files: Files) -> None:
    window.agree().open("/own-face").find("#own-files").set_input_files(files["landscape"])
    expect(window.find("#left-out-list li")).to_have_count(1)
    window.page.get_by_role("button", name="Train", exact=True).click()
    expect(window.find("#train-error")).to_be_visible()


def at_own_capture(window: Driver, files: Files) -> None:
    window.agree().open("/own-face")
    window.page.get_by_role("button", name="Take photos with the webcam").click()
    expect(window.find("#album li").first).to_be_visible()
    window.page.route("**/api/v1/own-face/photo", lambda _: None)


def at_own_training(window: Driver, files: Files) -> None:
    window.agree().page.route("**/api/v1/own-face", lambda route: route.fulfill(json=own_state("running")))
    window.open("/own-face")
    expect(window.find("#train-progress")).to_be_visible()


def at_own_outcome(window: Driver, files: Files) -> None:
    window.agree().page.route("**/api/v1/own-face", lambda route: route.fulfill(json=own_state("done")))
    window.open("/own-face")
    expect(window.find("#outcome")).to_be_visible()


def at_own_forget(window: Driver, files: Files) -> None:
    window.agree().open("/own-face").page.get_by_role("button", name="Forget me").click()


def own_state(state: str, doubted: Sequence[int] = (3, 7)) -> dict[str, Any]:
    """Return how a training goes, or what came of it, as the server would say it."""
    figure = {"personal": 1.0, "shipped": 0.9831, "alone": 0.9231}
    figures = dict.fromkeys(("accuracy", "precision", "recall", "f1"), figure)
    scope = {"stranger_pairs": 20000, "strangers_out": 19950, "owner_pairs": 3, "owner_out": 0}
    result = {
        "words": [
            "It knew you in 14 of 15 photos it had not seen. Of 10,000 faces of strangers it took 6 for you.",
            "It could not say of 1 of your photos and 31 of the strangers'. Of 100 new photos of you it may fail to "
            "know up to 32; of 10,000 new strangers it may take 2 to 14 for you (95 % intervals).",
            "Training found nothing surer than the shipped weights, so they decide, together with 15 photos of you.",
        ],
        "figures": figures,
        "scope": scope,
    }
    done = state == "done"
    return {
        "model": "my_model",
        "exists": done,
        "in_use": done,
        "comparing_with": "my_model@0123456789ab" if done else "shipped@0123456789ab",
        "fewest_photos": 8,
        "obstacle": None,
        "training": {
            "state": state,
            "share": 0.4,
            "words": "Training.",
            "doubted": list(doubted),
            "problem": None,
            "result": result if done else None,
        },
    }


def at_privacy(window: Driver, files: Files) -> None:
    window.open("/privacy")


def at_docs(window: Driver, files: Files) -> None:
    window.open("/api/docs")


def at_plain_photos(window: Driver, files: Files) -> None:
    window.open()
    window.find("#consent-box").check()
    window.find("#age-box").check()
    window.page.get_by_role("button", name="Agree and continue").click()
    expect(window.find("#photos")).to_be_visible()


def at_plain_faces(window: Driver, files: Files) -> None:
    at_plain_photos(window, files)
    window.send(files["group"], files["hopper"])
    expect(window.page.get_by_role("radio")).to_have_count(3)


def at_plain_more(window: Driver, files: Files) -> None:
    at_plain_photos(window, files)
    window.find("#more-file").set_input_files(in_memory([files["hopper"], files["poor"]]))
    window.send(files["hopper"], files["hopper"])
    expect(window.find("#more-faces li")).to_have_count(2)


def at_plain_error(window: Driver, files: Files) -> None:
    at_plain_photos(window, files)
    window.send(files["hopper"], files["landscape"])
    window.expect_error("probe", "no_face")


def at_plain_result(window: Driver, files: Files) -> None:
    at_plain_photos(window, files)
    window.send(files["hopper"], files["poor"])
    expect(window.find("#result")).to_be_visible()


ANSWER_OTHERWISE = """() => {
  const real = window.fetch;
  window.fetch = async (path, options) => {
    const response = await real(path, options);
    if (!path.endsWith("/verify")) return response;
    return Response.json({ ...(await response.json()), CHANGES });
  };
}"""
SAID = "Compared with 5 photos of one person. Photos 2 and 4 do not look like the others: they may show two people."
DOUBT_TWO = ANSWER_OTHERWISE.replace("CHANGES", f'references: {{ count: 5, odd: [2, 4], sentence: "{SAID}" }}')
KNOW_NOBODY = ANSWER_OTHERWISE.replace("CHANGES", 'decision: "out_of_scope", similarity_score: null')
TELL_NOTHING = ANSWER_OTHERWISE.replace("CHANGES", 'decision: "inconclusive", similarity_score: 0.5')

State = Callable[[Driver, Files], None]

PLAIN_STATES: list[State] = [at_plain_photos, at_plain_faces, at_plain_more, at_plain_error, at_plain_result]
"""Those of a browser without JavaScript."""

OWNED_STATES: list[State] = [at_you, at_you_result, at_you_live]
"""Those of a server that compares with a personal model."""

STATES: list[State] = [
    at_consent,
    at_refusal,
    at_photos,
    at_missing,
    at_more,
    at_more_result,
    at_faces,
    at_pictures,
    at_pictures_to_choose_from,
    at_result_of_pictures,
    at_good_photos,
    at_qualities,
    at_inconclusive,
    at_errors,
    at_progress,
    at_failure,
    at_result,
    at_out_of_scope,
    at_camera,
    at_still,
    at_camera_error,
    at_live_start,
    at_live,
    at_own_agree,
    at_own,
    at_own_refusal,
    at_own_capture,
    at_own_training,
    at_own_outcome,
    at_own_forget,
    at_privacy,
    at_docs,
]


def name_of(state: State) -> str:
    """Return a state's name: ``at_result`` is at "result"."""
    return state.__name__.removeprefix("at_").replace("_", "-")


def stop_motion(window: Driver) -> None:
    """Let the live picture stand still, so that what is looked at does not change meanwhile."""
    if window.find("#live-toggle").is_visible():
        window.page.route("**/api/v1/live", lambda _: None)
