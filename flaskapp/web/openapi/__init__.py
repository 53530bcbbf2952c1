"""The API described in OpenAPI 3.1, by hand: a handful of routes, held to the real answers by tests."""

from __future__ import annotations

import functools

from flaskapp import __version__
from flaskapp.verifier import OUT_OF_SCOPE, STAGES
from flaskapp.web.errors import PROBLEMS
from flaskapp.web.openapi import own_face
from flaskapp.web.openapi.parts import (
    COUNT,
    MILLISECONDS,
    PHOTO,
    SHARE,
    TEXT,
    Json,
    answer_of,
    numbers,
    object_of,
    operation_of,
    optional,
    or_null,
    photo_operation,
    ref,
)

__all__ = ["describe", "problem_list"]

CHOICE_PROBLEMS = ("no_face", "face_cut_off", "several_faces", "bad_face_index")

INTRODUCTION = """Compare two photos of faces. Photos are looked at in memory and forgotten with the answer.

First fetch the privacy notice, let the person read it, and send their consent; then pass the token that
comes back as `Authorization: Bearer …`, or let the browser pass the cookie `consent`.

    VERSION=$(curl -s localhost:5000/api/v1/notice | sed 's/.*"version": *"\\([^"]*\\)".*/\\1/')
    TOKEN=$(curl -s localhost:5000/api/v1/consent -H "Content-Type: application/json" \\
      -d '{"notice_version": "'$VERSION'", "consent": true, "age_confirmed": true}' \\
      | sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')
    curl -s localhost:5000/api/v1/verify -H "Authorization: Bearer $TOKEN" \\
      -F reference=@passport.jpg -F probe=@selfie.jpg

Every error is `application/problem+json` (RFC 9457) with a stable `code`."""


def problem_list() -> list[Json]:
    """Return every code that an error may carry, with its status and title."""
    return [{"code": code, "status": status, "title": title} for code, (status, title) in PROBLEMS.items()]


@functools.cache
def describe() -> Json:
    """Return the OpenAPI description; do not change what it holds."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Facial recognition", "version": __version__, "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "paths": {
            "/api/v1/notice": {"get": _notice()},
            "/api/v1/consent": {"get": _consent(), "post": _give_consent(), "delete": _withdraw_consent()},
            "/api/v1/verify": {"post": _verify()},
            "/api/v1/detect": {"post": _detect()},
            "/api/v1/live": {"post": _live()},
            **own_face.PATHS,
            "/healthz": {"get": _healthz()},
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The token of a consent."},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-consent",
                    "description": "The same, in browsers; without TLS it is called `consent-` and the port.",
                },
            },
            "schemas": SCHEMAS | own_face.SCHEMAS,
        },
    }


def _notice() -> Json:
    return operation_of(
        "notice", "The privacy notice", "Its version belongs into the consent.", 200, answer_of("The notice.", "Notice")
    )


def _give_consent() -> Json:
    answer = answer_of("Agreed; it is set as a cookie as well.", "GivenConsent")
    operation = operation_of(
        "giveConsent",
        "Agree to the privacy notice",
        "Both statements must be `true`. The consent ends by itself at `expires_at`.",
        201,
        answer,
        *("bad_request", "consent_required", "age_required", "cross_site", "too_large", "rate_limited"),
    )
    content = {"application/json": {"schema": ref("Statements")}}
    return operation | {"requestBody": {"required": True, "content": content}}


def _consent() -> Json:
    answer = answer_of("It stands.", "Consent")
    operation = operation_of(
        "consent", "Ask whether a consent stands", "And until when.", 200, answer, "consent_required"
    )
    return operation | {"security": [{"token": []}, {"cookie": []}]}


def _withdraw_consent() -> Json:
    description = "Ends it at once. To withdraw what does not stand is no error."
    answer = {"description": "No consent stands."}
    operation = operation_of("withdrawConsent", "Withdraw a consent", description, 204, answer, "cross_site")
    return operation | {"security": [{"token": []}, {"cookie": []}, {}]}


def _verify() -> Json:
    fields = {"reference": PHOTO, "probe": PHOTO, "reference_face": FACE_INDEX, "probe_face": FACE_INDEX}
    description = "Says whether two photos seem to show the same person. If a photo shows several faces, choose one."
    return photo_operation("verify", "Compare two photos", description, fields, "Verification", *CHOICE_PROBLEMS)


def _detect() -> Json:
    description = "Left to right, in pixels of the upright photo. A photo without a face gives an empty list."
    fields = {"photo": PHOTO, "pictures": PICTURES}
    return photo_operation("detect", "Find the faces of a photo", description, fields, "FoundFaces")


def _live() -> Json:
    fields = {"reference": PHOTO, "frame": PHOTO, "reference_face": FACE_INDEX}
    description = (
        "For a camera: nothing is kept from frame to frame, so the reference comes along each time; a small picture "
        "cut around its face will do. The largest face of the frame counts; no face is no error."
    )
    return photo_operation("live", "Compare a camera's frame", description, fields, "LiveAnswer", *CHOICE_PROBLEMS)


def _healthz() -> Json:
    answer = answer_of("The server is ready.", "Health")
    return operation_of(
        "healthz", "Ask whether the server is ready", "For whatever starts it.", 200, answer, "warming_up"
    )


FACE_INDEX: Json = {
    "type": "integer",
    "minimum": 0,
    "description": "Which face is meant: from 0, left to right. The page counts from 1: its face 2 is 1 here.",
}


PICTURES: Json = {
    "enum": ["yes"],
    "description": "Asks for a picture of each face, for whoever cannot show the photo as it is read here.",
}


DECISION: Json = {
    "enum": ["match", "inconclusive", "non_match", OUT_OF_SCOPE],
    "description": "`out_of_scope` only of a personal model: neither photo shows the person it knows.",
}
MOMENT: Json = {"type": "string", "format": "date-time"}
SIZE: Json = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1},
    "minItems": 2,
    "maxItems": 2,
    "description": "Width and height of the upright photo in pixels.",
}
TURNED: Json = {
    "enum": [0, 90, 180, 270],
    "description": "Degrees by which a photo without a word on how it was held was turned to the right to be looked "
    "at; boxes and landmarks are in the photo as it came.",
}
BAND = numbers(2, description="Below the first a non-match, from the second on a match, between them inconclusive.")
FACE: dict[str, Json] = {
    "box_xyxy": numbers(4, description="Left, top, right, bottom, in pixels of the upright photo."),
    "landmarks": {
        "type": "array",
        "items": numbers(2),
        "minItems": 5,
        "maxItems": 5,
        "description": "x, y of left eye, right eye, nose, left and right mouth corner, as the viewer sees them.",
    },
    "detection_score": SHARE | {"description": "How sure the detector is that this is a face, whosever it is."},
}
ANSWER: dict[str, Json] = {
    "threshold": SHARE | {"description": "Forces a two-way answer; the decision does not use it."},
    "inconclusive_band": BAND,
    "model": TEXT | {"description": "Name and hash of the weights."},
    "liveness": {"const": "not_checked", "description": "A photo of a photo would pass."},
}
STAGES_MS = object_of(
    "Milliseconds by stage; both photos are read at the same time.", **dict.fromkeys(STAGES, MILLISECONDS)
)

SCHEMAS: dict[str, Json] = {
    "Notice": object_of(
        "The privacy notice.",
        version=TEXT,
        title=TEXT,
        text=TEXT | {"description": "The whole notice as plain text."},
        sections={
            "type": "array",
            "items": object_of("A section.", heading=TEXT, paragraphs={"type": "array", "items": TEXT}),
        },
    ),
    "Statements": {
        "type": "object",
        "description": "What a person states.",
        "properties": {"notice_version": TEXT, "consent": {"const": True}, "age_confirmed": {"const": True}},
        "required": ["notice_version", "consent", "age_confirmed"],
    },
    "Consent": object_of("A consent that stands.", expires_at=MOMENT, notice_version=TEXT),
    "GivenConsent": object_of("A new consent.", token=TEXT, expires_at=MOMENT, notice_version=TEXT),
    "Face": object_of("A face.", **FACE),
    "ListedFace": object_of(
        "A face of a photo.",
        **FACE,
        prominent={
            "type": "boolean",
            "description": "Whether it is at least a third as high as the largest; lower ones force no choice.",
        },
    ),
    "ComparedFace": object_of(
        "The face that was compared.",
        **FACE,
        face_index=COUNT | {"description": "Its place in the photo, from 0, left to right; the page counts from 1."},
        other_faces=COUNT | {"description": "How many more faces the photo shows."},
        photo_size_wh=SIZE,
        turned=TURNED,
    ),
    "ErrorCounts": object_of(
        "How often these weights gave this decision to people that they had never seen; a personal model may have "
        "been trained on one photo of each pair of its owner.",
        impostor_pairs=COUNT | {"description": "Pairs of two people."},
        impostor_with_verdict=COUNT,
        genuine_pairs=COUNT | {"description": "Pairs of one person."},
        genuine_with_verdict=COUNT,
    ),
    "Verification": object_of(
        "The answer for two photos.",
        decision=DECISION,
        similarity_score=or_null(SHARE) | {"description": "Higher means more alike; null if `out_of_scope`."},
        **ANSWER,
        error_counts=ref("ErrorCounts"),
        faces=object_of("The faces compared.", reference=ref("ComparedFace"), probe=ref("ComparedFace")),
        timing_ms=STAGES_MS,
    ),
    "FacePicture": object_of(
        "A face and what stands around it, cut out of the upright photo.",
        jpeg=TEXT | {"contentEncoding": "base64", "contentMediaType": "image/jpeg"},
        box_xyxy=numbers(4, description="Which part of the photo it shows, in pixels of the upright photo."),
    ),
    "FoundFaces": optional(
        object_of(
            "All faces of a photo.",
            faces={"type": "array", "items": ref("ListedFace")},
            more_faces={
                "type": "boolean",
                "description": "Whether the photo may show more: in a crowd not everybody is looked at.",
            },
            turned=TURNED,
            notes={
                "type": "array",
                "items": TEXT,
                "description": "What else there is to know, in sentences for people.",
            },
            photo_size_wh=SIZE,
            timing_ms=object_of("Milliseconds.", total=MILLISECONDS),
            pictures={
                "type": "array",
                "items": ref("FacePicture"),
                "description": "If they were asked for: one of each face, in the same order.",
            },
        ),
        "pictures",
    ),
    "LiveAnswer": object_of(
        "The answer for one frame; decision, score and face are null if it shows nobody.",
        decision=or_null(DECISION),
        similarity_score=or_null(SHARE) | {"description": "Null also if `out_of_scope`."},
        **ANSWER,
        face=or_null(ref("Face")),
        other_faces=COUNT,
        photo_size_wh=or_null(SIZE),
        timing_ms={
            "type": "object",
            "description": "Milliseconds by stage; without a face only the total.",
            "properties": dict.fromkeys(STAGES, MILLISECONDS),
            "required": ["total"],
            "additionalProperties": False,
        },
    ),
    "Health": object_of("Readiness.", status={"const": "ready"}),
    "Problem": {
        "type": "object",
        "description": "An error (RFC 9457).",
        "properties": {
            "type": TEXT | {"format": "uri-reference"},
            "title": TEXT,
            "status": {"type": "integer"},
            "code": {"enum": list(PROBLEMS)},
            "photo": {"type": ["string", "null"], "description": "Which photo it is about, if it is about one."},
            "detail": TEXT | {"description": "What was wrong."},
            "hint": TEXT | {"description": "What to try; may be empty."},
            "faces": {
                "type": "array",
                "items": ref("ListedFace"),
                "description": "With `several_faces`: all of them, left to right, to choose from.",
            },
        },
        "required": ["type", "title", "status", "code", "photo", "detail", "hint"],
        "additionalProperties": False,
    },
}
