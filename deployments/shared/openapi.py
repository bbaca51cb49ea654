"""One accurate OpenAPI document of all apps: permissions, problems and prefixes added where the framework has none."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI

from taske_ray.schemas.problems import Problem
from taske_ray.schemas.tasks import TaskSpec

_statuses = {
    "401": "Nobody we know: send a valid access token or API key.",
    "403": "Known, but not allowed.",
    "404": "No such thing, or not yours.",
    "409": "In another state than the request assumes.",
    "412": "`If-Match` names an older version.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The input breaks rules; each has a pointer.",
    "429": "Slow down; `Retry-After` says how long.",
    "503": "The database is away; `Retry-After` says how long.",
}
_scheme = {"bearer": {"type": "http", "scheme": "bearer", "description": "an access token, or an API key `tsk_…`"}}
_description = (
    "When-Then automation. Errors are `application/problem+json`; `Idempotency-Key` is honoured on every POST of "
    "`/auth` and `/api` for 24 hours; lists are paged with `limit` and `cursor`."
)
_problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def merged(
    apps: Mapping[str, Sequence[APIRouter]], *, paths: Mapping[str, Any], version: str, url: str
) -> dict[str, Any]:
    """The document of the routers by the prefix that they are served under, with more `paths` as they are."""
    app = FastAPI(title="Taske on Ray", version=version)
    for prefix, routers in apps.items():
        for router in routers:
            app.include_router(router, prefix=prefix)
    document = app.openapi()
    described = {path: _operations(operations) for path, operations in document["paths"].items()}
    schemas = _own_schemas() | document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return {
        "openapi": document["openapi"],
        "info": {"title": "Taske on Ray", "version": version, "description": _description},
        "servers": [{"url": url}],
        "paths": dict(sorted({**described, **paths}.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {"Problem": {"description": "Refused, and why.", "content": _problem}},
            "securitySchemes": _scheme,
        },
    }


def _operations(operations: dict[str, Any]) -> dict[str, Any]:
    return {method: _completed(method, operation) for method, operation in operations.items()}


def _completed(method: str, operation: dict[str, Any]) -> dict[str, Any]:
    permission = operation["x-permission"]
    refused = {"422", "429", "503"} | ({"401", "403"} if permission != "public" else set())
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        refused.add("404")
    if "requestBody" in operation:
        refused |= {"413", "415"}
    if method == "post":
        refused.add("409")
    answers = {status: body for status, body in operation["responses"].items() if status[0] in "23"}
    stated = set(operation["responses"]) & _statuses.keys()
    problems = {status: {"description": _statuses[status], "content": _problem} for status in sorted(refused | stated)}
    return operation | {
        "responses": answers | problems,
        "security": [] if permission == "public" else [{"bearer": []}],
    }


def _own_schemas() -> dict[str, Any]:
    """Models that routes name without using: what a task's text looks like, and problems."""
    found: dict[str, Any] = {}
    for model in (Problem, TaskSpec):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found
