"""The page's forms and the API, answer by answer, with a verifier that computes nothing."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from described import check
from PIL import Image
from web_helpers import FAIR, GOOD, POOR, WEIGHTS, Browser, FakeVerifier, face_at, picture, side_by_side

from flaskapp import preprocess
from flaskapp.app import create_app
from flaskapp.detection import Detection, Detector
from flaskapp.errors import CutOffFaceError, NoFaceError, SeveralFacesError, UnreadablePhotoError, WeightsError
from flaskapp.verifier import FaceInPhoto, Verifier
from flaskapp.web import comparing
from flaskapp.weights.info import default_weights_path

BOTH = {"reference": b"one", "probe": b"two"}


def several(label: str) -> SeveralFacesError:
    return SeveralFacesError("2 faces were found.", "Choose one.", faces=(face_at(0), face_at(80, 90)), photo=label)


def problem(response) -> tuple[int, str, str | None]:
    assert response.content_type == "application/problem+json", response.get_data(as_text=True)
    assert response.json["status"] == response.status_code
    return response.status_code, response.json["code"], response.json["photo"]


class TestVerify:
    def test_answers_with_the_verification(self, agreed, verifier):
        response = agreed.verify(b"one", b"two", reference_face="2", probe_face=" 1 ")
        assert response.status_code == 200
        assert verifier.calls == [(b"one", b"two", 2, 1)]
        assert response.json == verifier.verify(b"one", b"two").to_json()

    def test_tells_how_good_both_photos_are(self, agreed, verifier):
        verifier.qualities = {b"two": POOR}
        faces = agreed.verify(b"one", b"two").json["faces"]
        assert faces["reference"]["quality"] == {"grade": "good", "certainty": 0.9, "reasons": []}
        assert faces["probe"]["quality"] == {"grade": "poor", "certainty": 0.1, "reasons": ["too_dark", "noisy"]}

    def test_takes_the_token_as_well_as_the_cookie(self, browser):
        token = browser.agree()
        browser.client.delete_cookie("consent-5000")
        assert browser.verify().status_code == 403
        response = browser.send("/api/v1/verify", BOTH, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200

    @pytest.mark.parametrize("field", ["reference", "probe"])
    def test_misses_a_photo(self, agreed, field):
        photos = {name: data for name, data in BOTH.items() if name != field}
        assert problem(agreed.send("/api/v1/verify", photos)) == (400, "missing_photo", field)

    def test_takes_an_empty_file_field_for_a_missing_photo(self, agreed):
        body = "\r\n".join(
            ("--x", 'Content-Disposition: form-data; name="reference"; filename=""', "", "", "--x--", "")
        )
        response = agreed.post("/api/v1/verify", data=body, content_type="multipart/form-data; boundary=x")
        assert problem(response) == (400, "missing_photo", "reference")

    def test_does_not_choose_between_two_probes(self, agreed, verifier):
        part = '--x\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\ndata\r\n'
        body = "".join(part % name for name in ("reference", "probe", "probe"))
        response = agreed.post("/api/v1/verify", data=f"{body}--x--", content_type="multipart/form-data; boundary=x")
        assert problem(response) == (400, "several_photos", "probe")
        assert "Received: 2." in response.json["detail"]
        assert not verifier.calls

    @pytest.mark.parametrize(
        ("body", "kind", "words"),
        [
            (b'{"reference": "a"}', "application/json", "Received: application/json."),
            (b"photo", "image/jpeg", "Received: image/jpeg."),
            (b"a=b", "application/x-www-form-urlencoded", "multipart/form-data. Received"),
            (b"", "", "without Content-Type"),
            (b"--x\r\nbroken", "multipart/form-data; boundary=x", "cannot be read as multipart/form-data"),
            (b"--y\r\n\r\n", "multipart/form-data; boundary=x", "cannot be read as multipart/form-data"),
            (b"--x--", "multipart/form-data", "cannot be read as multipart/form-data"),
        ],
    )
    def test_says_that_the_body_is_no_form_with_files(self, agreed, body, kind, words):
        response = agreed.post("/api/v1/verify", data=body, content_type=kind or None)
        assert problem(response) == (400, "bad_request", None)
        assert words in response.json["detail"]
        assert "curl -F" in response.json["hint"]

    @pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", "1e3", "99999", "²", "0x1"])
    def test_refuses_a_face_that_is_no_number_from_1_on(self, agreed, verifier, text):
        assert problem(agreed.verify(probe_face=text)) == (422, "bad_face_number", "probe")
        assert not verifier.calls

    def test_says_which_photo_cannot_be_used(self, agreed, verifier):
        verifier.raises = UnreadablePhotoError("Damaged.", "Copy it again.", photo="probe")
        response = agreed.verify()
        assert problem(response) == (422, "unreadable_photo", "probe")
        assert (response.json["detail"], response.json["hint"]) == ("Damaged.", "Copy it again.")

    def test_lists_the_faces_to_choose_from(self, agreed, verifier):
        verifier.raises = several("reference")
        response = agreed.verify()
        assert problem(response) == (422, "several_faces", "reference")
        assert [(face["number"], face["box_xyxy"][0]) for face in response.json["faces"]] == [(1, 0), (2, 80)]

    def test_does_not_tell_what_went_wrong_inside(self, agreed, verifier, caplog):
        verifier.raises = RuntimeError("secret-4711")
        response = agreed.verify()
        assert problem(response) == (500, "internal_error", None)
        assert "secret-4711" not in response.get_data(as_text=True) + caplog.text
        assert "RuntimeError in api.verify" in caplog.text


class TestDetect:
    def test_lists_nobody(self, agreed):
        response = agreed.send("/api/v1/detect", {"photo": picture((64, 48))})
        assert response.json["faces"] == []
        assert response.json["photo_size_wh"] == [64, 48]

    def test_lists_a_face_with_its_place(self, agreed, hopper):
        (face,) = agreed.send("/api/v1/detect", {"photo": hopper}).json["faces"]
        assert face["prominent"] is True
        assert face["detection_score"] > 0.9
        assert len(face["landmarks"]) == 5
        assert face["quality"] == FAIR.to_json()

    def test_grades_the_five_largest_of_those_that_may_be_meant(self, agreed, verifier, monkeypatch):
        heights = [70, 20, 60, 90, 61, 62, 63]
        faces = [face_at(60.0 * place, height) for place, height in enumerate(heights)]
        cut_off = replace(face_at(0, 80), landmarks=((0, 40), *face_at(0).landmarks[1:]))
        found = Detection((cut_off, *faces), (500, 120), 10)
        monkeypatch.setattr(preprocess, "find_faces", lambda _: found)
        told = agreed.send("/api/v1/detect", {"photo": picture((500, 120))}).json["faces"]
        assert [face["quality"] is not None for face in told] == [False, True, False, False, True, True, True, True]
        assert [face.height for face in verifier.graded] == [70, 90, 61, 62, 63]

    def test_tells_what_is_wrong_with_a_photo(self, working, untrained, collins_pixels, monkeypatch):
        monkeypatch.setattr(untrained.runtime, "info", replace(untrained.weights, grade_bounds=(2.0, 2.0)))
        dark = io.BytesIO()
        Image.fromarray(collins_pixels // 6).save(dark, "PNG")
        (face,) = working.send("/api/v1/detect", {"photo": dark.getvalue()}).json["faces"]
        assert (face["quality"]["grade"], face["quality"]["reasons"][0]) == ("poor", "too_dark")

    @pytest.mark.needs_shared
    def test_lists_faces_left_to_right(self, agreed, photos):
        faces = agreed.send("/api/v1/detect", {"photo": (photos / "two_people.jpg").read_bytes()}).json["faces"]
        assert len(faces) == 2
        assert faces[0]["box_xyxy"][0] < faces[1]["box_xyxy"][0]

    def test_says_that_the_photo_cannot_be_used(self, agreed):
        assert problem(agreed.send("/api/v1/detect", {"photo": b"GIF89a"})) == (415, "unsupported_format", "photo")


FRAME = {"reference": b"one", "frame": b"two"}


ALONE = {"probe": b"two"}


class TestOwner:
    """While a personal model is in use, a photo without a reference asks for the person it knows."""

    def test_is_compared_with(self, agreed, verifier):
        verifier.known_photos = 15
        answer = agreed.send("/api/v1/verify", ALONE, probe_face=3)
        assert verifier.calls == [((), b"two", (), 3)]
        assert (answer.status_code, answer.json["known_photos"]) == (200, 15)
        check(answer, "/api/v1/verify", "post")

    def test_is_looked_for_in_a_frame(self, agreed, verifier):
        verifier.known_photos = 15
        answer = agreed.send("/api/v1/live", {"frame": b"two"})
        assert (answer.status_code, answer.json["decision"]) == (200, "match")
        assert answer.json["quality"]["reference"] is None
        check(answer, "/api/v1/live", "post")

    def test_may_be_left_out_of_the_plain_form(self, agreed, verifier):
        verifier.known_photos = 15
        page = agreed.send("/compare", ALONE, csrf_token=agreed.form_token())
        text = page.get_data(as_text=True)
        assert page.status_code == 200
        assert "alike enough to your photos to count as you" in text
        assert "15 photos" in text

    @pytest.mark.parametrize("path", ["/api/v1/verify", "/api/v1/live"])
    def test_is_nobody_without_one(self, agreed, verifier, path):
        sent = {"probe": b"two", "frame": b"two"}
        assert problem(agreed.send(path, sent)) == (400, "missing_photo", "reference")
        assert not verifier.calls

    def test_who_is_forgotten_while_it_waits_is_told(self, agreed, verifier, monkeypatch):
        verifier.known_photos = 15
        other = FakeVerifier()
        comparer = agreed.services.comparer
        monkeypatch.setattr(comparer, "_check", lambda: setattr(comparer, "verifier", other))
        assert problem(agreed.send("/api/v1/verify", ALONE)) == (400, "missing_photo", "reference")

    def test_makes_a_frame_that_is_sent_again_count_as_a_comparison(self, open_browser, verifier):
        verifier.known_photos = 15
        browser = open_browser(FR_RATE_LIMIT=2)
        browser.agree()
        statuses = [browser.send("/api/v1/live", {"frame": frame}).status_code for frame in (b"1", b"2", b"2", b"2")]
        assert statuses == [200, 200, 200, 429]


class TestReferences:
    """Several photos of one person in the field "reference"."""

    THREE = (b"one", b"2nd", b"3rd")

    def test_are_compared_together(self, agreed, verifier):
        answer = agreed.verify(self.THREE, reference_face=2, reference_3_face=1, probe_face=4)
        assert verifier.calls == [(self.THREE, b"two", (2, None, 1), 4)]
        assert answer.json["references"]["count"] == 3
        assert len(answer.json["faces"]["references"]) == 3

    def test_pass_over_file_fields_in_which_nothing_was_chosen(self, agreed, verifier):
        part = '--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
        parts = (("reference", "a", "data"), ("reference", "", ""), ("probe", "b", "new"))
        body = "".join(part % one for one in parts) + "--x--"
        agreed.post("/api/v1/verify", data=body, content_type="multipart/form-data; boundary=x")
        assert verifier.calls == [(b"data", b"new", None, None)]

    def test_are_twenty_at_most(self, agreed, verifier):
        faces = {f"reference_{number}_face": 1 for number in range(2, 21)}
        assert agreed.verify([b"one"] * 20, reference_face=1, **faces, probe_face=1).status_code == 200
        assert len(verifier.calls.pop()[0]) == 20
        refused = agreed.verify([b"one"] * 21)
        assert problem(refused) == (400, "several_photos", "reference")
        assert not verifier.calls

    def test_say_which_one_is_wrong(self, agreed, verifier):
        assert problem(agreed.verify(self.THREE, reference_2_face="0")) == (422, "bad_face_number", "reference 2")
        assert problem(agreed.verify(self.THREE, reference_face="0")) == (422, "bad_face_number", "reference 1")
        large = b"x" * (agreed.services.settings.max_photo_bytes + 1)
        assert problem(agreed.verify([b"one", large])) == (413, "too_large", "reference 2")
        verifier.raises = several("reference 3")
        assert problem(agreed.verify(self.THREE)) == (422, "several_faces", "reference 3")

    def test_may_be_as_large_as_any_request(self, agreed):
        most = agreed.services.settings.max_body_bytes
        assert problem(agreed.verify([b"x" * (most // 3)] * 3)) == (413, "too_large", None)

    def test_count_as_a_comparison_each(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=6)
        browser.agree()
        statuses = [browser.verify(self.THREE).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert int(browser.verify(self.THREE).headers["Retry-After"]) > 1

    def test_beyond_the_limit_are_compared_where_nothing_else_was(self, open_browser):
        browser = open_browser(FR_RATE_LIMIT=2)
        browser.agree()
        assert [browser.verify(self.THREE).status_code for _ in range(2)] == [200, 429]

    def test_are_told_on_the_page(self, agreed, verifier):
        verifier.odd, verifier.qualities = (3,), {b"2nd": POOR}
        sent = {"reference": self.THREE, "probe": b"two"}
        text = agreed.send("/compare", sent, csrf_token=agreed.form_token()).get_data(as_text=True)
        assert "Compared with 3 photos of one person. Photo 3 does not look like the others" in text
        assert "<span data-name>Photo 2</span>" in text
        assert "Poor photo: too dark, grainy" in text

    def test_ask_on_the_page_which_face_of_which_is_meant(self, agreed, verifier):
        verifier.raises = error = several("reference 1")
        error.others = {"reference 2": error.faces, "reference 3": error.faces[:1], "probe": error.faces}
        sent = {"reference": self.THREE, "probe": b"two"}
        response = agreed.send("/compare", sent, csrf_token=agreed.form_token(), reference_2_face="2")
        assert response.status_code == 422
        text = response.get_data(as_text=True)
        names = set(re.findall(r'name="(\w+_face)" value="2"', text))
        assert names == {"reference_face", "reference_2_face", "probe_face"}
        assert re.search(r'name="reference_2_face" value="2"[^>]* checked', text)

    def test_in_error_are_named_on_the_page(self, agreed, verifier):
        verifier.raises = UnreadablePhotoError("The photo is damaged-4711.", photo="reference 2")
        sent = {"reference": self.THREE, "probe": b"two"}
        text = agreed.send("/compare", sent, csrf_token=agreed.form_token()).get_data(as_text=True)
        assert "Photo 2: The photo is damaged-4711." in text


class TestLive:
    def test_compares_a_frame(self, agreed, verifier):
        answer = agreed.send("/api/v1/live", FRAME, reference_face="2").json
        assert verifier.calls == [(b"one", b"two", 2, None)]
        assert (answer["decision"], answer["similarity_score"]) == ("match", 0.8)
        assert answer["face"]["box_xyxy"] == [10, 20, 60, 80]
        assert answer["inconclusive_band"] == list(WEIGHTS.inconclusive_band)

    def test_tells_how_good_reference_and_frame_are(self, agreed, verifier):
        verifier.qualities = {b"one": FAIR, b"two": POOR}
        answer = agreed.send("/api/v1/live", FRAME).json
        assert answer["quality"] == {"reference": FAIR.to_json(), "frame": POOR.to_json()}

    @pytest.mark.parametrize("kind", [NoFaceError, CutOffFaceError])
    def test_takes_a_frame_without_a_usable_face_for_no_error(self, agreed, verifier, kind):
        verifier.raises = kind("No face.", photo="probe")
        response = agreed.send("/api/v1/live", FRAME)
        assert response.status_code == 200
        assert [response.json[name] for name in ("decision", "similarity_score", "face", "quality")] == [None] * 4

    def test_takes_the_largest_of_several_people_and_looks_at_each_photo_once(self, working, hopper, collins):
        looks = []

        class Counting(Detector):
            def search(self, photo, *more):
                looks.append(photo.shape)
                return super().search(photo, *more)

        working.services.comparer.verifier = Verifier(working.services.comparer.verifier.runtime, Counting())
        frame = side_by_side(hopper, collins)
        left, right = (face["box_xyxy"] for face in working.send("/api/v1/detect", {"photo": frame}).json["faces"])
        answer = working.send("/api/v1/live", {"reference": hopper, "frame": frame}).json
        assert answer["face"]["box_xyxy"] == max(left, right, key=lambda box: box[3] - box[1])
        assert answer["other_faces"] == 1
        assert len(looks) == 2

    @pytest.mark.parametrize("error", [NoFaceError("No face."), several("reference")])
    def test_refuses_a_reference_that_cannot_be_used(self, agreed, verifier, error):
        verifier.raises = error.for_photo("reference")
        assert problem(agreed.send("/api/v1/live", FRAME)) == (422, error.code, "reference")

    def test_calls_a_damaged_frame_by_its_name(self, agreed, verifier):
        verifier.raises = UnreadablePhotoError("Damaged.", photo="probe")
        assert problem(agreed.send("/api/v1/live", FRAME)) == (422, "unreadable_photo", "frame")


class TestForms:
    def agree(self, browser, **changes):
        token = browser.form_token()
        version = browser.services.consents.notice.version
        fields = {"csrf_token": token, "notice_version": version, "consent": "yes", "age_confirmed": "yes"}
        return browser.post("/consent", data=fields | changes)

    def test_lead_from_consent_to_a_result(self, browser, verifier):
        response = self.agree(browser)
        assert (response.status_code, response.location) == (303, "/")
        result = browser.send("/compare", BOTH, csrf_token=browser.form_token())
        assert result.status_code == 200
        assert verifier.calls == [(b"one", b"two", None, None)]
        assert 'data-decision="match"' in result.get_data(as_text=True)

    @pytest.mark.parametrize("field", ["consent", "age_confirmed"])
    @pytest.mark.parametrize("value", ["", "no", "false", "on"])
    def test_need_both_boxes(self, browser, field, value):
        assert self.agree(browser, **{field: value}).status_code == 403
        assert browser.get("/api/v1/consent").status_code == 403

    def test_withdraw(self, browser, verifier):
        self.agree(browser)
        response = browser.post("/consent/withdraw", data={"csrf_token": browser.form_token()})
        assert response.status_code == 303
        refused = browser.send("/compare", BOTH, csrf_token=browser.form_token())
        assert refused.status_code == 403
        assert not verifier.calls

    def test_show_an_error_beside_its_photo(self, agreed, verifier):
        verifier.raises = UnreadablePhotoError("The photo is damaged-4711.", photo="probe")
        response = agreed.send("/compare", BOTH, csrf_token=agreed.form_token())
        assert response.status_code == 422
        assert response.content_type.startswith("text/html")
        assert "damaged-4711" in response.get_data(as_text=True)

    def test_ask_which_face_is_meant_in_both_photos_without_looking_again(self, agreed, verifier, monkeypatch):
        monkeypatch.setattr(agreed.services.comparer, "detect", lambda *_: pytest.fail("detected again"))
        verifier.raises = error = several("reference")
        error.others = {"probe": error.faces}
        response = agreed.send("/compare", BOTH, csrf_token=agreed.form_token())
        assert response.status_code == 422
        text = response.get_data(as_text=True)
        assert all(f'name="{label}_face" value="2"' in text for label in BOTH)
        error.others = {"probe": error.faces[:1]}
        response = agreed.send("/compare", BOTH, csrf_token=agreed.form_token())
        assert 'name="probe_face"' not in response.get_data(as_text=True)

    def test_tell_people_what_is_not_there(self, browser):
        response = browser.get("/nothing")
        assert (response.status_code, response.content_type) == (404, "text/html; charset=utf-8")


class TestPages:
    @pytest.mark.parametrize("path", ["/", "/privacy"])
    def test_show_the_notice(self, browser, path):
        text = browser.get(path).get_data(as_text=True)
        notice = browser.services.consents.notice
        assert all(heading in text for heading, _ in notice.sections)

    def test_put_no_photo_choice_before_consent(self, browser):
        before = browser.get("/").get_data(as_text=True)
        browser.agree()
        after = browser.get("/").get_data(as_text=True)
        assert before != after

    def test_show_the_weights_and_their_terms(self, browser):
        assert "For tests." in browser.get("/").get_data(as_text=True)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"name": default_weights_path().stem}, "They are for non-commercial research and study only"),
            ({"details": {"personal": {}}}, "the shipped weights are for non-commercial research and study only"),
        ],
    )
    def test_tell_plainly_for_what_the_weights_may_be_used(self, browser, monkeypatch, changes, words):
        monkeypatch.setattr(FakeVerifier, "weights", replace(WEIGHTS, **changes))
        (foot,) = re.findall("<footer.*?</footer>", browser.get("/").get_data(as_text=True), re.DOTALL)
        assert words in foot
        assert "LICENSE-WEIGHTS.md" in foot

    @pytest.mark.parametrize(("band", "middle"), [((0.4, 0.7), True), ((0.5, 0.5), False)])
    def test_name_a_middle_only_where_the_band_has_one(self, browser, monkeypatch, band, middle):
        monkeypatch.setattr(FakeVerifier, "weights", replace(WEIGHTS, inconclusive_band=band))
        text = browser.get("/").get_data(as_text=True)
        assert ("Inconclusive between" in text) == ("inconclusive between" in text) == middle

    def test_say_of_a_personal_model_what_its_owners_photos_were_tested_against(self, browser, monkeypatch):
        monkeypatch.setattr(FakeVerifier, "weights", replace(WEIGHTS, details={"personal": {}}))
        assert "tested against the others that the model knows" in browser.get("/").get_data(as_text=True)

    def test_tell_which_face_was_compared(self, agreed, verifier, monkeypatch):
        faces = tuple(face_at(80.0 * place) for place in range(3))
        found = FaceInPhoto(faces, 2, (300, 100), np.zeros((100, 100, 3), np.uint8), 0, GOOD)
        monkeypatch.setattr(verifier, "read", lambda *_: found)
        text = agreed.send("/compare", BOTH, csrf_token=agreed.form_token()).get_data(as_text=True)
        assert "Face 2 of 3 from the left" in text

    def test_an_answers_address_without_photos_leads_back_to_the_page(self, browser):
        response = browser.get("/compare")
        assert (response.status_code, response.headers["Location"]) == (302, "/")


class TestErrors:
    def test_are_problems_below_the_api(self, browser):
        nothing = browser.get("/api/nothing")
        assert problem(nothing) == (404, "not_found", None)
        assert "/api/docs" in nothing.json["hint"]
        response = browser.get("/api/v1/verify")
        assert problem(response) == (405, "method_not_allowed", None)
        assert "POST" in response.headers["Allow"]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff"])
    def test_answer_a_consent_that_is_no_json_object(self, browser, body):
        response = browser.post("/api/v1/consent", data=body, content_type="application/json")
        assert problem(response) == (400, "bad_request", None)

    def test_answer_a_consent_as_long_as_a_book(self, browser):
        response = browser.post("/api/v1/consent", data=b" " * 10_000, content_type="application/json")
        assert problem(response) == (413, "too_large", None)
        assert "4,096 bytes" in response.json["hint"]

    @pytest.mark.parametrize("version", [1, True, ["a"], {}])
    def test_answer_a_version_of_the_notice_that_is_no_text(self, browser, version):
        response = browser.state(notice_version=version)
        assert problem(response) == (400, "bad_request", None)
        assert "notice_version" in response.json["detail"]

    @pytest.mark.parametrize("version", ["", "1", "0123456789ab"])
    def test_answer_a_version_of_the_notice_that_is_not_in_force(self, browser, version):
        response = browser.state(notice_version=version)
        assert problem(response) == (403, "consent_required", None)


class TestReadiness:
    def test_comes_with_the_first_comparison(self, browser, verifier):
        browser.services.comparer.warm.clear()
        response = browser.get("/healthz")
        assert problem(response) == (503, "warming_up", None)
        assert int(response.headers["Retry-After"]) > 0
        browser.services.comparer.warm_up()
        assert browser.get("/healthz").json == {"status": "ready"}
        assert len(verifier.calls) == 1


class TestBusy:
    def test_turns_away_what_is_too_much_and_recovers(self, open_browser, verifier):
        browser = open_browser(FR_THREADS=5)  # all but four may compare: one
        browser.agree()
        entered, leave = threading.Event(), threading.Event()

        def slow(*arguments):
            entered.set()
            assert leave.wait(10)
            return FakeVerifier().verify(*arguments)

        verifier.verify = slow
        answers = []
        first = threading.Thread(target=lambda: answers.append(browser.verify()))
        first.start()
        assert entered.wait(10)
        token = browser.client.get_cookie("consent-5000").value
        response = Browser(browser.app).send("/api/v1/verify", BOTH, headers={"Authorization": f"Bearer {token}"})
        assert problem(response) == (503, "busy", None)
        assert int(response.headers["Retry-After"]) > 0
        leave.set()
        first.join(10)
        assert [answer.status_code for answer in answers] == [200]
        assert browser.verify().status_code == 200

    def test_gives_the_place_back_after_an_error(self, open_browser, verifier):
        browser = open_browser(FR_THREADS=5)
        browser.agree()
        verifier.raises = NoFaceError("No face.", photo="probe")
        assert [browser.verify().status_code for _ in range(3)] == [422] * 3


@pytest.mark.parametrize(("score", "words"), [(0.69996, "0.69996"), (0.7, "0.700"), (0.12345, "0.123")])
def test_the_page_never_rounds_a_score_over_the_edge_of_the_band(agreed, verifier, score, words):
    verifier.score = score
    response = agreed.send("/compare", BOTH, csrf_token=agreed.form_token())
    assert f">{words}</text>" in response.get_data(as_text=True)


def test_damaged_weights_keep_the_server_from_starting(monkeypatch):
    def refuse():
        raise WeightsError("siamese_model_final.h5 is damaged.")

    monkeypatch.setattr("flaskapp.app.default_verifier", refuse)
    with pytest.raises(WeightsError):
        create_app()


def test_the_photos_of_the_warm_up_are_there():
    assert all((comparing.SAMPLES / name).is_file() for name in comparing.WARM_UP_PHOTOS)
