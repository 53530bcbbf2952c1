"""Step 3: the answer in words, drawn, saved; and forgotten."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api")

from page_driver import PERSONAL, WEIGHTS
from PIL import Image
from playwright.sync_api import expect
from sample_photos import sample_files

from flaskapp.evaluation.decisions import place_on_scale

VERDICTS = {
    "match": (0.9, "Match", "alike enough to count", ("7", "4,700")),
    "non_match": (0.1, "Non-match", "too different", ("9,800", "48")),
    "inconclusive": (0.5, "Inconclusive", "neither alike enough nor different enough", ("193", "252")),
}


INCONCLUSIVE = (
    "The two faces are neither alike enough nor different enough to tell. "
    "The probe photo is fair: a little blurred. A sharper photo may help."
)


@pytest.fixture
def compared(page, hopper_file, collins_file):
    """Return a window that shows the result of two photos."""
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#result")).to_be_visible()
    return page


@pytest.mark.parametrize("decision", VERDICTS)
def test_the_decision_is_said_in_plain_words_with_its_counts(page, verifier, hopper_file, collins_file, decision):
    score, word, sentence, counts = VERDICTS[decision]
    verifier.score = score
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#verdict-word")).to_have_text(word)
    expect(page.find("#verdict-words")).to_contain_text(sentence)
    expect(page.find("#verdict")).to_have_attribute("data-decision", decision)
    expect(page.find("#counts")).to_contain_text(f"pairs of strangers ({counts[0]} of 10,000)")
    expect(page.find("#counts")).to_contain_text(f"pairs of the same person ({counts[1]} of 5,000)")
    expect(page.find("#result")).to_contain_text("A photo of a photo would pass")
    expect(page.find("#status")).to_contain_text(word)
    expect(page.find("#result-heading")).to_be_focused()
    expect(page.find('[data-step-name="result"]')).to_have_attribute("aria-current", "step")


def test_photos_are_told_under_their_faces_and_blamed_for_what_cannot_be_told(page, verifier):
    verifier.score = 0.5
    page.choose("reference", sample_files()["hopper"]).choose("probe", sample_files()["fair"]).compare()
    expect(page.find("#verdict-words")).to_have_text(INCONCLUSIVE)
    expect(page.find("#status")).to_contain_text(INCONCLUSIVE)
    expect(page.find("#reference-quality")).to_have_text("Good photo")
    expect(page.find("#probe-quality")).to_have_text("Fair photo: a little blurred")
    page.choose("probe", sample_files()["collins"]).compare()
    expect(page.find("#verdict-words")).to_contain_text("Other photos may help.")


def test_intervals_and_certainties_stand_in_the_details(visit, verifier, hopper_file, collins_file):
    intervals = {"match": {"impostor": [0.0002, 0.0015], "genuine": [0.93, 0.947]}}
    counts = {"good and good": {**WEIGHTS.error_counts, "intervals": intervals}}
    verifier.weights = replace(WEIGHTS, counts_by_grades=counts)
    page = visit().agree().choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#counts")).to_contain_text("In testing with two good photos, this verdict")
    page.page.get_by_text("Details", exact=True).click()
    expect(page.find("#numbers")).to_contain_text("0.02 to 0.15 % of pairs of strangers; 93.00 to 94.70 % of pairs of")
    expect(page.find("#numbers")).to_contain_text("certainty 0.950")


def test_a_personal_model_says_whose_it_is_and_whom_it_does_not_know(
    visit, verifier, hopper_file, collins_file, tmp_path
):
    verifier.weights, verifier.knows = PERSONAL, False
    page = visit().agree()
    expect(page.find("#model-note")).to_contain_text("the personal model my_model.")
    expect(page.find("#model-note")).to_contain_text("may not generalise")
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#verdict-word")).to_have_text("Out of scope")
    expect(page.find("#verdict-words")).to_contain_text("Neither photo shows the person this model knows")
    expect(page.find("#verdict [data-icon=out_of_scope]")).to_be_visible()
    expect(page.find("#result-score")).to_be_hidden()
    expect(page.find("#numbers")).not_to_contain_text("Score")
    expect(page.find("#counts")).to_contain_text("pairs of two strangers")
    expect(page.find("#counts")).to_contain_text("pairs of its owner")
    answer = json.loads(save(page, "Save as JSON", tmp_path).read_text(encoding="utf-8"))
    assert (answer["decision"], answer["similarity_score"]) == ("out_of_scope", None)
    picture = Image.open(save(page, "Save as PNG", tmp_path)).convert("RGB")
    # Where the scale would be: neither its zones nor a marker, but black words on white.
    assert {(0x0B, 0x6A, 0x5A), (0x9A, 0x27, 0x50)}.isdisjoint(
        colour for _, colour in picture.crop((0, 480, 1200, 980)).getcolors(1 << 20)
    )
    verifier.knows = True
    page.choose("probe", hopper_file).compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    expect(page.find("#result-scale .marker-number")).to_be_visible()


def test_other_weights_than_the_page_was_loaded_with_are_told(page, verifier, hopper_file, collins_file):
    verifier.weights = PERSONAL
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    page.expect_error("compare", "weights_changed")
    expect(page.find("#result")).to_be_hidden()


@pytest.mark.parametrize("score", [0.0, 0.03, 0.5, 0.77, 1.0])
def test_the_scale_shows_score_band_and_threshold_where_they_are(page, verifier, hopper_file, collins_file, score):
    verifier.score = score
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#result")).to_be_visible()

    def place(selector: str, edge: float = 0.5) -> float:
        drawing, box = page.boxes("#result-scale .scale-drawing", f"#result-scale {selector}")
        return (box["x"] + edge * box["width"] - drawing["x"]) / drawing["width"]

    low, high = WEIGHTS.inconclusive_band
    assert place(".marker-head") == pytest.approx(place_on_scale(score), abs=0.01)
    assert place(".zone-non_match", edge=1) == pytest.approx(place_on_scale(low), abs=0.01)
    assert place(".zone-match", edge=0) == pytest.approx(place_on_scale(high), abs=0.01)
    assert place(".threshold-tick") == pytest.approx(place_on_scale(WEIGHTS.threshold), abs=0.01)
    (number,) = page.boxes("#result-scale .marker-number")
    assert number["x"] >= 0
    assert number["x"] + number["width"] <= page.page.viewport_size["width"]
    expect(page.find("#result-scale title")).to_contain_text(f"Score {score:.3f} on a scale from 0 to 1.")


@pytest.mark.parametrize(("score", "words"), [(0.39996, "0.39996"), (0.6, "0.600"), (0.12345, "0.123")])
def test_a_score_is_never_rounded_over_the_edge_of_the_band(page, verifier, hopper_file, collins_file, score, words):
    verifier.score = score
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#result-scale .marker-number")).to_have_text(words)


def test_the_faces_are_drawn_as_the_network_saw_them(compared, verifier, hopper_file):
    canvas = compared.find("#reference-aligned").evaluate("(canvas) => canvas.toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(canvas.split(",")[1]))).convert("RGB")
    drawn = picture.resize((100, 100), Image.Resampling.BOX)
    seen = verifier.read(hopper_file.read_bytes()).aligned
    difference = np.abs(np.asarray(drawn, dtype=float) - seen)
    # Two ways to resample the same pixels; shifted by one pixel it would be above 10.
    assert difference.mean() < 5


def test_the_details_name_weights_and_faces(compared):
    compared.page.get_by_text("Details", exact=True).click()
    expect(compared.find("#numbers")).to_contain_text(WEIGHTS.weights_id)
    expect(compared.find("#numbers")).to_contain_text("in a photo of 512 × 600 pixels")


def test_the_result_can_be_saved_as_json(compared, tmp_path):
    saved = save(compared, "Save as JSON", tmp_path)
    answer = json.loads(saved.read_text(encoding="utf-8"))
    assert saved.name == "comparison.json"
    assert (answer["decision"], answer["similarity_score"]) == ("match", 0.9)
    assert answer["liveness"] == "not_checked"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", answer["compared_at"])


def test_the_result_can_be_saved_as_a_picture_without_asking_the_server(compared, tmp_path):
    asked = len(compared.requests)
    picture = Image.open(save(compared, "Save as PNG", tmp_path)).convert("RGB")
    assert picture.size == (1200, 980)
    assert len(picture.crop((72, 72, 328, 328)).getcolors(1 << 16)) > 1000, "the reference face is not in it"
    assert len(picture.crop((72, 374, 328, 402)).getcolors(1 << 16)) > 10, "how good the photo is is not in it"
    assert [url for url in compared.requests[asked:] if not url.startswith("blob:")] == []


def save(window, name: str, folder: Path) -> Path:
    with window.page.expect_download() as download:
        window.page.get_by_role("button", name=name).click()
    target = folder / download.value.suggested_filename
    download.value.save_as(target)
    return target


def test_another_photo_takes_the_old_result_away(compared, hopper_file):
    compared.choose("probe", hopper_file)
    expect(compared.find("#result")).to_be_hidden()
    expect(compared.find('[data-step-name="photos"]')).to_have_attribute("aria-current", "step")
    compared.compare()
    expect(compared.find("#verdict-word")).to_have_text("Match")


def test_start_over_forgets_everything(compared):
    compared.find("#result [data-start-over]").click()
    expect(compared.find("#result")).to_be_hidden()
    expect(compared.find("#photos-heading")).to_be_focused()
    for label in ("reference", "probe"):
        assert compared.find(f"#{label}-file").evaluate("(input) => input.files.length") == 0
        assert compared.is_blank(f"#{label}-slot [data-picture]")
        assert compared.is_blank(f"#{label}-aligned")
    expect(compared.find("#numbers")).to_be_empty()
    expect(compared.find("#counts")).to_be_empty()


def test_no_address_of_a_photo_outlives_its_use(visit, hopper_file, collins_file, tmp_path):
    window = visit()
    window.run_first("""
      window.addresses = new Set();
      const [make, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
      URL.createObjectURL = (blob) => { const url = make(blob); addresses.add(url); return url; };
      URL.revokeObjectURL = (url) => { addresses.delete(url); revoke(url); };
    """)
    window.agree().choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(window.find("#result")).to_be_visible()
    save(window, "Save as JSON", tmp_path)
    window.page.wait_for_timeout(1500)
    assert window.page.evaluate("addresses.size") == 0


def test_progress_is_shown_and_can_be_cancelled(page, verifier, hopper_file, collins_file):
    verifier.delay_s = 5
    page.choose("reference", hopper_file).choose("probe", collins_file).compare()
    expect(page.find("#progress")).to_be_visible()
    expect(page.find("#compare")).to_have_text("Comparing…")
    page.find("#compare").evaluate("(button) => button.click()")  # a second click starts nothing
    page.page.get_by_role("button", name="Cancel").click()
    expect(page.find("#progress")).to_be_hidden()
    expect(page.find("#status")).to_contain_text("Cancelled.")
    expect(page.find("#compare")).to_be_focused()
    expect(page.find("#result")).to_be_hidden()
    assert len(verifier.calls) == 1


SLOW_DECODING = """
  const decoding = window.createImageBitmap;
  window.createImageBitmap = async (...all) => {
    const picture = await decoding(...all);
    await new Promise((resolve) => setTimeout(resolve, window.decodingTakes ?? 0));
    return picture;
  };
"""


@pytest.mark.parametrize("how", ["Cancel", "Withdraw consent"])
def test_an_answer_that_is_no_longer_wanted_is_not_shown_once_its_photos_are_decoded(
    visit, hopper_file, collins_file, how
):
    window = visit()
    window.run_first(SLOW_DECODING)
    window.agree().choose("reference", hopper_file).choose("probe", collins_file)
    window.page.evaluate("window.decodingTakes = 2000")
    with window.page.expect_response("**/api/v1/verify"):
        window.compare()
    window.page.get_by_role("button", name=how).click()
    window.page.wait_for_timeout(3000)
    expect(window.find("#result")).to_be_hidden()
    assert window.find("#main").get_attribute("data-step") == ("photos" if how == "Cancel" else "consent")
    expect(window.find("#verdict-word")).to_be_hidden()
    assert window.is_blank("#reference-aligned")
