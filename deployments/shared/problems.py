"""Errors as answers: the only place that knows both our error classes and HTTP statuses (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from taske_ray import errors
from taske_ray.errors import FieldError, Invalid, TaskeError

statuses: dict[type[TaskeError], int] = {
    errors.Invalid: 422,
    errors.TemplateError: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.VersionConflict: 409,
    errors.PreconditionFailed: 412,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooLarge: 413,
    errors.RequestTimeout: 408,
    errors.UnsupportedMediaType: 415,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
    errors.StartRefused: 500,
    errors.TaskeError: 500,
}
"""Class to status; a class that is not here has its nearest ancestor's."""

_codes = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "literal_error": "bad_enum",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "string_pattern_mismatch": "bad_format",
    "value_error": "bad_value",
}
_refusals = {404: ("not_found", "There is no such thing."), 405: ("method_not_allowed", "Not with this method.")}


def status_of(error: TaskeError) -> int:
    """The HTTP status that says the same as this error."""
    return next(statuses[kind] for kind in type(error).__mro__ if kind in statuses)


def problem(
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    instance: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """One problem as a response; `more`: members that only this kind of problem has."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        "code": code,
        **(more or {}),
    }
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type="application/problem+json")


def problem_of(error: TaskeError, *, instance: str, request_id: str) -> Response:
    """The answer to a refusal. A 500 says nothing of its cause."""
    status, headers = status_of(error), {}
    if status == 500:  # noqa: PLR2004 - our own fault
        return unexpected(instance=instance, request_id=request_id)
    if isinstance(error, errors.TooManyRequests | errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(
        status=status,
        code=error.code,
        title=(type(error).__doc__ or "").strip().splitlines()[0],
        detail=error.message,
        instance=instance,
        request_id=request_id,
        headers=headers,
        more=_broken_rules(error),
    )


def _broken_rules(error: TaskeError) -> dict[str, Any]:
    fields = error.errors if isinstance(error, Invalid) else ()
    found = [{"pointer": field.pointer, "code": field.code, "message": field.message} for field in fields]
    return {"errors": found} if found else {}


def unexpected(*, instance: str, request_id: str) -> Response:
    """Something broke that should not: a generic text, and the id under which the log has the rest."""
    return problem(
        status=500,
        code="internal",
        title="Something went wrong here.",
        detail="The service could not answer; its log has the reason under this request id.",
        instance=instance,
        request_id=request_id,
    )


def refusal(
    status: int, request: Request, headers: Mapping[str, str] | None = None, *, instance: str | None = None
) -> Response:
    """What the router says no to: no such path, no such method."""
    code, title = _refusals.get(status, ("refused", "The request was refused."))
    return problem(
        status=status,
        code=code,
        title=title,
        detail=title,
        instance=instance or request.scope["path"],
        request_id=request_id_of(request),
        headers=headers,
    )


def invalid_input(error: RequestValidationError) -> Invalid:
    """The framework's list of broken rules, as ours."""
    return Invalid(errors=[_field(one) for one in error.errors()])


def request_id_of(request: Request) -> str:
    """The id that the front gave this request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def pointer(path: Sequence[Any]) -> str:
    """An RFC 6901 pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _field(error: Mapping[str, Any]) -> FieldError:
    where, *path = error["loc"]
    kind = str(error["type"])
    code = _codes.get(kind) or ("wrong_type" if kind.endswith(("_type", "_parsing")) else "bad_value")
    message = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(pointer(path) if where == "body" else "?" + ".".join(map(str, path)), code, message)
