"""Runs a recorded case of a capability against its recorded answers, offline (format, section 8)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from taske_ray.core.capability.document.poll import CursorSpec
from taske_ray.core.capability.exchange.context import CallContext, ConnectionValues
from taske_ray.core.capability.exchange.conversation import converse
from taske_ray.core.capability.exchange.recorded_deliveries import delivery_differences
from taske_ray.core.capability.module import Capability
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, Succeeded, Unknown
from taske_ray.core.times import parse_time
from taske_ray.errors import Invalid

_now: Final = "2030-01-01T00:00:00Z"
_results: Final = ("output", "error", "emits", "deliveries")
_fields: Final = frozenset(
    {"name", "params", "auth", "secret", "config", "now", "cursor", "exchanges", "cursor_after", *_results}
)
_nothing: Final = object()


def run_recorded_test(capability: Capability, test: Mapping[str, Any]) -> list[str]:
    """What differs from the recorded case, one line each; `[]` if nothing does."""
    unknown = sorted(name for name in test if name not in _fields and not name.startswith("x-"))
    stated = [name for name in _results if name in test]
    if unknown or len(stated) != 1:
        return [f"unknown field: {name}" for name in unknown] or [f"exactly one of {', '.join(_results)} is needed"]
    if "deliveries" in test:
        return delivery_differences(capability, test, test.get("now", _now))
    exchanges = list(test.get("exchanges", ()))
    try:
        context = _context(capability, test)
    except Invalid as error:
        outcome: Any = Failed(ErrorClass.INVALID, "invalid_params", _told(error), sent=False)
        return [*_unused(exchanges), *_compare(capability, test, outcome)]
    if capability.request is None:
        return ["a capability without requests can only be recorded with wrong parameters"]
    outcome, differences, used = _drive(capability, context, exchanges)
    return [*differences, *_unused(exchanges[used:]), *_compare(capability, test, outcome)]


def _context(capability: Capability, test: Mapping[str, Any]) -> CallContext:
    now = test.get("now", _now)
    spec = capability.poll
    return CallContext(
        params=capability.params.fill(test.get("params", {}), now=now),
        now=now,
        connection=_connection(capability, test),
        cursor=spec.cursor.start(test.get("cursor"), now) if spec is not None else None,
    )


def _connection(capability: Capability, test: Mapping[str, Any]) -> ConnectionValues | None:
    if not any(name in test for name in ("auth", "secret", "config")):
        return None
    auth_id = test.get("auth", capability.auth_ids[0])
    return ConnectionValues(auth_id, test.get("config", {}), test.get("secret", {}))


def _told(error: Invalid) -> str:
    return "; ".join(f"{each.pointer} {each.message}" for each in error.errors) or error.message


def _drive(
    capability: Capability, context: CallContext, exchanges: list[Any]
) -> tuple[Succeeded | Failed | Fetched | Unknown, list[str], int]:
    """The conversation with the recorded answers: outcome, what differed in the requests, exchanges used."""
    talk = converse(capability, context)
    differences: list[str] = []
    used = 0
    try:
        request = next(talk)
        while used < len(exchanges):
            exchange = exchanges[used]
            where = f"exchange {used + 1}"
            differences += [f"{where}: {line}" for line in _request_differences(exchange.get("expect", {}), request)]
            used += 1
            request = talk.send(_response(exchange.get("respond", {}), request))
    except StopIteration as stop:
        return stop.value, differences, used
    talk.close()
    differences.append(f"one request more than recorded: {request.method} {request.url}")
    return Unknown("no answer was recorded"), differences, used


def _unused(exchanges: list[Any]) -> list[str]:
    return [f"{len(exchanges)} recorded exchanges were not used"] if exchanges else []


def _request_differences(expect: Mapping[str, Any], request: HttpRequest) -> Iterator[str]:
    url, _, query = request.url.partition("?")
    actual = {
        "method": request.method,
        "url": request.url if "?" in str(expect.get("url", "")) else url,
        "query": _by_name(parse_qsl(query, keep_blank_values=True)),
        "body": _body(request),
    }
    for name, wanted in expect.items():
        if name == "headers":
            yield from _header_differences(wanted, request.headers)
        elif name not in actual:
            yield f"unknown field in expect: {name}"
        elif actual[name] != wanted:
            yield f"{name} is {_shown(actual[name])}, recorded {_shown(wanted)}"


def _header_differences(wanted: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in wanted.items():
        if headers.get(name.lower()) != value:
            yield f"header {name} is {_shown(headers.get(name.lower()))}, recorded {_shown(value)}"


def _by_name(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Query or form values by name; a list where a name is repeated."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        else:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
    return found


def _body(request: HttpRequest) -> Any:
    if request.body is None:
        return None
    kind, text = request.headers.get("content-type", ""), request.body.decode("utf-8", "replace")
    if kind.startswith("application/x-www-form-urlencoded"):
        return _by_name(parse_qsl(text, keep_blank_values=True))
    if "json" in kind:
        return json.loads(text)
    return text


def _response(respond: Mapping[str, Any], request: HttpRequest) -> HttpResponse:
    headers = {name.lower(): str(value) for name, value in respond.get("headers", {}).items()}
    if "text" in respond:
        body = str(respond["text"]).encode()
        headers.setdefault("content-type", "text/plain; charset=utf-8")
    elif "body" in respond:
        body = json.dumps(respond["body"], ensure_ascii=False).encode()
        headers.setdefault("content-type", "application/json")
    else:
        body = b""
    return HttpResponse(respond.get("status", 200), headers, body, request.url)


def _compare(capability: Capability, test: Mapping[str, Any], outcome: Any) -> Iterator[str]:
    match outcome:
        case Succeeded(output=output) if "output" in test:
            if output != test["output"]:
                yield f"output is {_shown(output)}, recorded {_shown(test['output'])}"
        case Fetched() if "emits" in test and capability.poll is not None:
            yield from _poll_differences(capability.poll.cursor, test, outcome)
        case Failed() if "error" in test:
            yield from _error_differences(test["error"], outcome)
        case Unknown():
            return
        case _:
            stated = next(name for name in _results if name in test)
            yield f"the outcome is {outcome}, recorded: {stated}"


def _error_differences(wanted: Mapping[str, Any], failed: Failed) -> Iterator[str]:
    actual = {"class": str(failed.error_class), "retry_after": failed.retry_after_s, "message": failed.message}
    for name, value in wanted.items():
        if actual.get(name, _nothing) != value:
            yield f"error.{name} is {_shown(actual.get(name))}, recorded {_shown(value)}"


def _poll_differences(cursor: CursorSpec, test: Mapping[str, Any], fetched: Fetched) -> Iterator[str]:
    """Rules 2 and 3 of a check with an empty ledger: equal keys count once, the cursor is the greatest value seen."""
    unique = {(item.key, item.version_key): item for item in reversed(fetched.items)}
    emitted = [item.output for item in fetched.items if unique[item.key, item.version_key] is item]
    if emitted != test["emits"]:
        yield f"emits {_shown(emitted)}, recorded {_shown(test['emits'])}"
    if "cursor_after" in test:
        seen = [test.get("cursor"), *(item.cursor_value for item in fetched.items), *fetched.passed]
        after = _greatest(cursor, [value for value in seen if value is not None], test)
        if after != test["cursor_after"]:
            yield f"the cursor is {_shown(after)} afterwards, recorded {_shown(test['cursor_after'])}"


def _greatest(cursor: CursorSpec, values: list[Any], test: Mapping[str, Any]) -> Any:
    if cursor.type != "timestamp":
        return max((int(value) for value in values), default=None)
    now = test.get("now", _now)
    return max(
        (value if parse_time(value) <= parse_time(now) else now for value in values), key=parse_time, default=None
    )


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
