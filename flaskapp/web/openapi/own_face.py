"""What the API answers around one's own face."""

from __future__ import annotations

from flaskapp.web.openapi.parts import (
    COUNT,
    PHOTO,
    SHARE,
    TEXT,
    Json,
    answer_of,
    object_of,
    operation_of,
    or_null,
    photo_operation,
    ref,
)

__all__ = ["PATHS", "SCHEMAS"]

SECURITY: Json = {"security": [{"token": []}, {"cookie": []}]}
ALWAYS = ("consent_required", "own_face_closed")
LOCAL = "Only for whoever sits at the computer that runs the server, unless `FR_OWN_FACE` says otherwise."


def _state() -> Json:
    description = (
        f"Whether there is a personal model, whether it is in use, and how the caller's training goes. {LOCAL}"
    )
    answer = answer_of("What there is.", "OwnFace")
    return operation_of("ownFace", "Ask about the personal model", description, 200, answer, *ALWAYS) | SECURITY


def _photo() -> Json:
    looks = TEXT | {"description": "A JSON list of what `look` was in earlier answers: the server remembers none."}
    description = (
        "Judges a photo or a camera's frame beside those that there are already, and hands out the face that was cut "
        f"out of it, which is all that a training needs. {LOCAL}"
    )
    fields = {"photo": PHOTO, "looks": looks}
    problems = ("own_face_closed", "no_face", "face_cut_off", "several_faces")
    return photo_operation("lookAtOwnPhoto", "Look at a photo of oneself", description, fields, "OwnPhoto", *problems)


def _train() -> Json:
    faces: Json = {"type": "array", "items": PHOTO, "description": "`face_png` of each photo, as a file: 8 at least."}
    keep: Json = {"const": "yes", "description": "That the model may be kept on the server's disk until forgotten."}
    form = {"type": "object", "properties": {"face": faces, "keep_model": keep}, "required": ["face", "keep_model"]}
    description = (
        "Trains in a process of its own, one at a time; the model that compared before goes on until the new one has "
        f"taken its place. Withdrawing the consent ends it. {LOCAL}"
    )
    problems = (
        *ALWAYS,
        *("keep_model_required", "bad_request", "cross_site", "too_large", "too_slow", "rate_limited", "busy"),
        "not_enough_memory",
        *("too_few_photos", "training_under_way"),
        *("missing_extra", "unsupported_format", "animated_photo", "unreadable_photo", "empty_photo"),
        *("truncated_photo",),
    )
    answer = answer_of("It has begun.", "OwnTraining")
    operation = operation_of("trainOwnFace", "Train on one's own face", description, 202, answer, *problems)
    body = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return operation | SECURITY | {"requestBody": body}


def _cancel() -> Json:
    answer: Json = {"description": "None of the caller's is under way."}
    description = "What it had written is removed. To cancel what does not run is no error."
    return operation_of("cancelOwnTraining", "Cancel the training", description, 204, answer, *ALWAYS) | SECURITY


def _use() -> Json:
    answer = answer_of("What there is now.", "OwnFace")
    problems = (*ALWAYS, "bad_request", "cross_site", "too_large", "no_model", "weights_unusable")
    description = "For everybody who compares on this server."
    operation = operation_of(
        "useOwnModel", "Compare with the personal model, or without", description, 200, answer, *problems
    )
    content = {"application/json": {"schema": object_of("What to use.", own={"type": "boolean"})}}
    return operation | SECURITY | {"requestBody": {"required": True, "content": content}}


def _forget() -> Json:
    answer = answer_of("It is forgotten.", "Forgotten")
    description = "Removes model, templates, report, checkpoints and logs, and compares with the shipped weights again."
    problems = (*ALWAYS, "cross_site", "not_removed", "weights_unusable")
    return operation_of("forgetOwnFace", "Forget me", description, 200, answer, *problems) | SECURITY


PATHS: Json = {
    "/api/v1/own-face": {"get": _state(), "delete": _forget()},
    "/api/v1/own-face/photo": {"post": _photo()},
    "/api/v1/own-face/training": {"post": _train(), "delete": _cancel()},
    "/api/v1/own-face/use": {"put": _use()},
}

REASON: dict[str, Json] = {"code": TEXT, "detail": TEXT, "hint": TEXT}
NUMBER: Json = {"type": "number"}
FIGURE = object_of(
    "On the same pairs, which training never saw; null if they cannot tell.",
    personal=or_null(SHARE),
    interval=TEXT | {"description": "Its 95 % interval in words, a bound where no error was seen; empty if unknown."},
    shipped=or_null(SHARE) | {"description": "Of the weights that it started from."},
)
SCHEMAS: dict[str, Json] = {
    "OwnPhoto": object_of(
        "A photo of oneself, judged.",
        kept={
            "type": "boolean",
            "description": "Whether a guided capture keeps it: it counts, and there is room for its kind.",
        },
        counts={
            "type": "boolean",
            "description": "Whether it is one more photo to train on: not blurred, dark, glaring, or like one before.",
        },
        words=TEXT | {"description": "Why not, or what to do next."},
        look=object_of(
            "How the face stands in it.", turn=NUMBER, closeness=NUMBER, brightness=NUMBER, sharpness=NUMBER
        ),
        missing={"type": "array", "items": TEXT, "description": "What is still missing."},
        finished={"type": "boolean", "description": "Whether a capture can end."},
        face_png=TEXT | {"contentEncoding": "base64", "description": "The face, 100 × 100 pixels."},
    ),
    "OwnTraining": object_of(
        "A training.",
        state={"enum": ["running", "done", "failed", "cancelled"]},
        share=SHARE | {"description": "How much of the training is gone at most."},
        words=TEXT,
        doubted={
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "description": "Which of the faces, in the order sent, look like somebody else than most of them.",
        },
        problem=or_null(object_of("Why it failed.", **REASON)),
        result=or_null(
            object_of(
                "What came of it.",
                figures=object_of("By name.", **dict.fromkeys(("accuracy", "precision", "recall", "f1"), FIGURE)),
                genuine_pairs=COUNT,
                impostor_pairs=COUNT,
                gain=TEXT | {"description": "Whether it helped, by how much, with an interval."},
                scope=object_of(
                    "How often `out_of_scope` was the answer.",
                    **dict.fromkeys(("stranger_pairs", "strangers_out", "owner_pairs", "owner_out"), COUNT),
                ),
            )
        ),
    ),
    "OwnFace": object_of(
        "The personal model of this server.",
        model=TEXT | {"description": "Name of its folder."},
        exists={"type": "boolean"},
        in_use={"type": "boolean", "description": "Whether this server compares with it."},
        comparing_with=TEXT | {"description": "Name and hash of the weights in use."},
        fewest_photos=COUNT | {"description": "That a training takes."},
        obstacle=or_null(object_of("What keeps this server from training.", **REASON)),
        training=or_null(ref("OwnTraining")),
    ),
    "Forgotten": object_of("What was removed; empty if there was nothing.", removed={"type": "array", "items": TEXT}),
}
