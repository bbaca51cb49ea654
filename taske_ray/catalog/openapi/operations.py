"""Capabilities from operations: parameters and body become `params` and `request`, the good answer becomes `output`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taske_ray.catalog.openapi.description import Operation, schema_of
from taske_ray.catalog.openapi.naming import identifier, reference, unique
from taske_ray.catalog.openapi.schemas import translated

_encodings = {
    "application/json": None,
    "application/x-www-form-urlencoded": "form",
    "multipart/form-data": "multipart",
    "text/plain": "text",
}
_reserved_headers = frozenset({"accept", "content-type", "authorization", "host", "content-length", "connection"})


@dataclass(slots=True)
class _Draft:
    """What is gathered while an operation is read. `given` are examples of parameters, None where one is missing."""

    properties: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    complete: bool = True
    request: dict[str, Any] = field(default_factory=dict)


def capability(operation: Operation, module: str, taken: set[str], auth: str | None) -> dict[str, Any]:
    """One action of the draft. `auth` is the scheme that its recorded example connects by."""
    draft = _Draft(request={"method": operation.method, "path": operation.path})
    for parameter in operation.parameters:
        _add_parameter(draft, parameter)
    _add_body(draft, operation)
    name = unique(identifier(operation.name, "call"), taken)
    taken.add(name)
    made: dict[str, Any] = {
        "capability": f"{module}.{name}",
        "kind": "action",
        "name": {"en": operation.summary[:120] or operation.name},
        "params": {
            "type": "object",
            **({"required": draft.required} if draft.required else {}),
            "additionalProperties": False,
            "properties": draft.properties,
        },
        "request": draft.request,
    }
    output, example = _answer(operation)
    if output:
        made["output"] = output
    if operation.method in ("GET", "HEAD"):
        made["idempotency"] = {"class": "safe"}
    recorded = _recorded(draft, example, auth)
    return made | ({"tests": [recorded]} if recorded else {})


def _add_parameter(draft: _Draft, parameter: Mapping[str, Any]) -> None:
    their, place = str(parameter.get("name", "")), parameter["in"]
    if place == "header" and their.lower() in _reserved_headers:
        return
    schema = translated(schema_of(parameter), sent=True)
    if isinstance(parameter.get("description"), str):
        schema.setdefault("description", parameter["description"].strip())
    ours = _add_property(draft, their, schema, required=place == "path" or bool(parameter.get("required")))
    _add_example(draft, ours, parameter, schema)
    if place == "path":  # a place in a path has a name of ours
        draft.request["path"] = draft.request["path"].replace(f"{{{their}}}", f"{{{ours}}}")
        their = ours
    part = {"path": "path_params", "query": "query", "header": "headers"}[place]
    draft.request.setdefault(part, {})[their] = reference(ours)


def _add_body(draft: _Draft, operation: Operation) -> None:
    media = next((name for name in _encodings if name in operation.content), next(iter(operation.content), None))
    if media is None:
        return
    content = operation.content[media]
    schema = translated(content.get("schema"), sent=True)
    encoding = _encodings.get(media, "raw")
    if encoding:
        draft.request["encoding"] = encoding
    example = _example_of(content)
    if schema.get("type") != "object" or not schema.get("properties"):
        ours = _add_property(draft, "body", schema, required=operation.body_required)
        _remember(draft, ours, example, required=operation.body_required)
        draft.request["body"] = reference(ours)
        return
    body: dict[str, Any] = {}
    for their, part in schema["properties"].items():
        required = operation.body_required and their in schema.get("required", ())
        ours = _add_property(draft, their, part, required=required)
        given = example.get(their) if isinstance(example, Mapping) else None
        _remember(draft, ours, given, required=required)
        body[their] = reference(ours)
    draft.request["body"] = body


def _add_property(draft: _Draft, their: str, schema: Mapping[str, Any], *, required: bool) -> str:
    ours = unique(identifier(their, "p"), draft.properties)
    draft.properties[ours] = {"title": their, **schema}
    if required:
        draft.required.append(ours)
    return ours


def _add_example(draft: _Draft, ours: str, parameter: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    example = _example_of(parameter)
    if example is None:
        example = _example_of(parameter.get("schema") or {})
    _remember(draft, ours, example if example is not None else schema.get("default"), required=ours in draft.required)


def _remember(draft: _Draft, ours: str, example: Any, *, required: bool) -> None:
    if example is not None:
        draft.given[ours] = example
    elif required:
        draft.complete = False


def _example_of(place: Any) -> Any:
    if not isinstance(place, Mapping):
        return None
    if "example" in place:
        return place["example"]
    examples = place.get("examples")
    if isinstance(examples, list):
        return examples[0] if examples else None
    first = next(iter(examples.values()), None) if isinstance(examples, Mapping) else None
    return first.get("value") if isinstance(first, Mapping) else None


def _answer(operation: Operation) -> tuple[dict[str, Any], Any]:
    """(schema, example) of the first good answer with JSON in it."""
    for status, answer in sorted(operation.answers.items()):
        if not status.startswith("2"):
            continue
        for media, content in (answer.get("content") or {}).items():
            if "json" in media and isinstance(content, Mapping):
                return translated(content.get("schema"), sent=False), _example_of(content)
    return {}, None


def _recorded(draft: _Draft, example: Any, auth: str | None) -> dict[str, Any] | None:
    """The description's own example as a recorded case, where it has all of one."""
    if not draft.complete or example is None or not _is_json(draft.given):
        return None
    case: dict[str, Any] = {"name": "the description's own example", "params": draft.given}
    exchange = {"expect": {"method": draft.request["method"]}, "respond": {"status": 200, "body": example}}
    return case | ({"auth": auth} if auth else {}) | {"exchanges": [exchange], "output": example}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
