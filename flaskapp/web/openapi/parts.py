"""The pieces that descriptions of requests and answers are put together from."""

from __future__ import annotations

from typing import Any

from flaskapp.web.errors import PROBLEMS

__all__ = [
    "COUNT",
    "MILLISECONDS",
    "PHOTO",
    "SHARE",
    "TEXT",
    "Json",
    "answer_of",
    "numbers",
    "object_of",
    "operation_of",
    "optional",
    "or_null",
    "photo_operation",
    "ref",
]

Json = dict[str, Any]

PHOTO: Json = {
    "type": "string",
    # OpenAPI 3.1 asks for the media type; generators of clients go by the format, as in 3.0.
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": "A JPEG, PNG, WebP or HEIC file, as the content says, not the name.",
}


def operation_of(name: str, summary: str, description: str, status: int, answer: Json, *problems: str) -> Json:
    """Return an operation that anybody may call."""
    return {
        "operationId": name,
        "summary": summary,
        "description": description,
        "responses": {str(status): answer, **problem_answers("unknown_host", "internal_error", *problems)},
    }


def photo_operation(name: str, summary: str, description: str, fields: Json, schema: str, *problems: str) -> Json:
    """Return an operation that takes photos, and therefore a consent."""
    body_problems = ("bad_request", "missing_photo", "several_photos", "not_a_file", "too_large", "too_slow")
    shared = ("consent_required", "cross_site", *body_problems, "rate_limited", "busy", "not_enough_memory")
    photo = ("unsupported_format", "animated_photo", "unreadable_photo", "empty_photo", "truncated_photo")
    operation = operation_of(
        name, summary, description, 200, answer_of("The answer.", schema), *shared, *photo, *problems
    )
    required = [field for field, schema in fields.items() if schema is PHOTO]
    form = {"type": "object", "properties": fields, "required": required}
    body = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return operation | {"security": [{"token": []}, {"cookie": []}], "requestBody": body}


def problem_answers(*codes: str) -> Json:
    """Return one answer a status, with the codes that it may carry."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code][0], []).append(code)
    return {str(status): problem_answer(status, found) for status, found in sorted(by_status.items())}


def problem_answer(status: int, codes: list[str]) -> Json:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    answer: Json = {"description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes), "content": content}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return answer


def answer_of(description: str, schema: str) -> Json:
    """Return an answer whose body is one of the schemas."""
    return {"description": description, "content": {"application/json": {"schema": ref(schema)}}}


def ref(schema: str) -> Json:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{schema}"}


def object_of(description: str, **properties: Json) -> Json:
    """Return the schema of an object whose members are all there, and no others."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def optional(schema: Json, *names: str) -> Json:
    """Return the schema of an object with members that may be absent."""
    return schema | {"required": [name for name in schema["required"] if name not in names]}


def numbers(count: int, **more: Any) -> Json:
    """Return the schema of a list of so many numbers."""
    return {"type": "array", "items": {"type": "number"}, "minItems": count, "maxItems": count, **more}


def or_null(schema: Json) -> Json:
    """Return a schema that also allows null."""
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}
SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
MILLISECONDS: Json = {"type": "number", "minimum": 0}
