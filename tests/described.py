"""Real answers of the API held against its own description."""

from __future__ import annotations

from jsonschema import Draft202012Validator

from flaskapp.web.openapi import describe


def operations() -> dict[tuple[str, str], dict]:
    return {(path, method): found for path, item in describe()["paths"].items() for method, found in item.items()}


def check(response, path: str, method: str) -> None:
    """Hold a real answer against what is said about it."""
    answers = operations()[path, method]["responses"]
    described = answers[str(response.status_code)]
    for name in described.get("headers", {}):
        assert name in response.headers
    if "content" not in described:
        assert not response.data
        return
    schema = described["content"][response.content_type]["schema"]
    document = {**schema, "components": describe()["components"]}
    Draft202012Validator(document, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(response.json)
    if response.status_code >= 400:
        assert f"`{response.json['code']}`" in described["description"]
