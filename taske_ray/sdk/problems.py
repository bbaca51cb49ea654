"""Problems back into exceptions: the same classes of `taske_ray/errors.py` that the server mapped to statuses."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from taske_ray import errors

_by_status: dict[int, type[errors.TaskeError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    408: errors.RequestTimeout,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.Invalid,
    429: errors.TooManyRequests,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> errors.TaskeError:
    """The exception that an answer stands for. Its `request_id`, if there is one, is added as a note."""
    problem = _problem(content)
    kind = _kind(status, str(problem.get("code", "")))
    message = str(problem.get("detail") or problem.get("title") or f"The service answered {status}.")
    code = str(problem["code"]) if problem.get("code") else None
    error = _build(kind, message, code, problem, headers)
    if problem.get("request_id"):
        error.add_note(f"request {problem['request_id']}")
    return error


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds in `Retry-After`; None if it is absent or a date (the service sends seconds)."""
    value = headers.get("retry-after", "")
    return int(value) if value.isdecimal() else None


def _build(
    kind: type[errors.TaskeError], message: str, code: str | None, problem: dict[str, Any], headers: Mapping[str, str]
) -> errors.TaskeError:
    if issubclass(kind, errors.Invalid):
        return errors.Invalid(message, code=code, errors=list(_broken_rules(problem)))
    if issubclass(kind, errors.TooManyRequests | errors.Unavailable):
        return kind(message, code=code, retry_after_s=retry_after(headers) or 1)
    return kind(message, code=code)


def _kind(status: int, code: str) -> type[errors.TaskeError]:
    """The class with this code under the status' class, else the status' class."""
    base = _by_status.get(status, errors.TaskeError)
    return next((kind for kind in _tree(base) if kind.code == code), base)


def _tree(kind: type[errors.TaskeError]) -> Iterator[type[errors.TaskeError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def _broken_rules(problem: dict[str, Any]) -> Iterator[errors.FieldError]:
    rows = problem.get("errors")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            yield errors.FieldError(*(str(row.get(name, "")) for name in ("pointer", "code", "message")))


def _problem(content: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
