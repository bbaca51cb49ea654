"""`docs/reference/http-api.md`, made from the OpenAPI document: `python -m deployments.console.reference > FILE`."""

import sys
from collections.abc import Iterator
from typing import Any

from deployments.console.app import document

_head = """# HTTP API

<!-- Made by `python -m deployments.console.reference`; a test compares. -->

JSON in and out. Errors are `application/problem+json` (RFC 9457) with stable `type`s, see [errors](errors.md). Send
`Authorization: Bearer <access token or API key>` where a permission is named. A running service shows all this with
its schemas at `/docs` and `/openapi.json`.
"""
_verbs = ("get", "post", "put", "patch", "delete")


def markdown(api: dict[str, Any]) -> str:
    """The reference of an OpenAPI document: a section per path, what each verb takes, answers and needs."""
    return "\n".join([_head, *(line for path in sorted(api["paths"]) for line in _path(path, api["paths"][path]))])


def _path(path: str, verbs: dict[str, Any]) -> Iterator[str]:
    for verb in _verbs:
        if verb in verbs:
            yield f"## `{verb.upper()} {path}`\n"
            yield from _operation(verbs[verb])


def _operation(operation: dict[str, Any]) -> Iterator[str]:
    yield operation.get("description") or operation.get("summary", "")
    bound = ", also for API keys that are bound to one task" if "x-one-task" in operation else ""
    due = ", also while a new password is due" if "x-password-due" in operation else ""
    yield f"\nPermission: `{operation.get('x-permission', 'public')}`{bound}{due}."
    for parameter in operation.get("parameters", ()):
        needed = "" if parameter.get("required") else ", optional"
        told = f": {parameter['description']}" if parameter.get("description") else ""
        yield f"- `{parameter['name']}` ({parameter['in']}{needed}){told}"
    content = operation.get("requestBody", {}).get("content", {})
    for media, body in content.items():
        yield f"- body: `{media}`{_named(body.get('schema', {}))}"
    answers = ", ".join(f"{status}{_answered(answer)}" for status, answer in operation["responses"].items())
    yield f"\nAnswers: {answers}.\n"


def _answered(answer: dict[str, Any]) -> str:
    schema: dict[str, Any] = next((body.get("schema", {}) for body in answer.get("content", {}).values()), {})
    return _named(schema)


def _named(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f" `{name}`" if name and name != "Problem" else ""


if __name__ == "__main__":
    sys.stdout.write(markdown(document("http://127.0.0.1:8000")))
