"""What a delivery to a webhook is worth: genuine or not, a handshake, filtered, or one or more events (format, 7).

The order of reception is fixed: unverified handshakes, signature over the raw bytes, verified handshakes, filter,
split. Whatever cannot be evaluated before the signature is known to be good counts as not genuine. The caller has
bounded the size; it stores the events and answers after the commit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from taske_ray.core.depth import depth_header, read_depth
from taske_ray.core.redaction import Redactor, mask_headers
from taske_ray.core.signature import is_genuine, reads_body
from taske_ray.core.size import is_larger, mib
from taske_ray.core.storable import storable
from taske_ray.errors import TemplateError

longest_key_bytes = 255
most_events, _most_mib = 1_000, 16
"""What one delivery may hold: all of it is recorded in one transaction."""
_default_key_headers = ("webhook-id", "idempotency-key")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came in; header names in lower case, `body` the raw bytes, `received_at` RFC 3339.

    `repeated` names headers that came more than once: they count as missing for the signature.
    """

    method: str
    path: str
    body: bytes
    received_at: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()

    @property
    def depth(self) -> int:
        """How many runs of ours stand behind it; 0 where nobody says."""
        return read_depth(self.headers.get(depth_header))


@dataclass(frozen=True, slots=True)
class Reception:
    """How a trigger receives: its capability's `webhook` block, compiled, with what its parameters say.

    `verify` empty: unsigned, everything is genuine. `scope` holds `params`, `conn`, `hook`, `app` for templates.
    `redactor` knows the secrets that senders prove themselves with: nothing of a delivery is kept with one in it.
    """

    verify: Sequence[Mapping[str, Any]] = ()
    handshake: Sequence[Mapping[str, Any]] = ()
    filter: Any = None
    split: Any = None
    dedupe_key: Any = None
    output: Any = None
    respond: Mapping[str, Any] | None = None
    dedupe_header: str | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=Redactor)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told. `body` is a JSON value; text is sent as text."""

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Event:
    """One occurrence in a delivery. `key` None: it is new every time."""

    key: str | None
    output: Any


@dataclass(frozen=True, slots=True)
class Accepted:
    """Genuine, and about something. `answer` None: the contract's own 202 with the run's id."""

    events: tuple[Event, ...]
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Handshake:
    """A challenge or a ping: answered, no event."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Filtered:
    """Genuine, but not what the trigger is about: taken, no event."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not taken. `reason` is that of the skip row; `code` and `message` are for its sample and for the answer."""

    reason: Literal["invalid_signature", "invalid"]
    code: str
    message: str


class _UnreadableError(Exception):
    """A delivery that cannot be digested; carries a code and a message."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


def reception(
    block: Mapping[str, Any],
    *,
    verify: Sequence[Mapping[str, Any]] | None = None,
    dedupe_header: str | None = None,
    scope: Mapping[str, Any] | None = None,
    secrets: Sequence[Any] = (),
) -> Reception:
    """The Reception of a compiled `webhook` block; `verify` and `dedupe_header` come from the trigger's parameters."""
    return Reception(
        verify=block.get("verify") or () if verify is None else verify,
        handshake=block.get("handshake") or (),
        filter=block.get("filter"),
        split=block.get("split"),
        dedupe_key=block.get("dedupe_key"),
        output=block.get("output"),
        respond=block.get("respond"),
        dedupe_header=None if dedupe_header is None else dedupe_header.lower(),
        scope=dict(scope or {}),
        redactor=Redactor(secrets),
    )


def receive(delivery: Delivery, rules: Reception, now: datetime) -> Accepted | Handshake | Filtered | Rejected:
    """What this delivery is worth. Any number of repeats gives the same keys; nothing is remembered here."""
    try:
        return _receive(delivery, rules, now)
    except TemplateError as error:
        return Rejected("invalid", error.code, error.message)
    except _UnreadableError as error:
        return Rejected("invalid", error.code, error.message)


def receive_by_any(
    delivery: Delivery, rules: Sequence[Reception], now: datetime
) -> Accepted | Handshake | Filtered | Rejected:
    """What a delivery is worth where several signatures are good: while one registration takes another's place."""
    found: Accepted | Handshake | Filtered | Rejected | None = None
    for each in rules:
        found = receive(delivery, each, now)
        if not (isinstance(found, Rejected) and found.reason == "invalid_signature"):
            break
    assert found is not None
    return found


def routed_by(delivery: Delivery, by: Any) -> str | None:
    """Which tenant of an app a genuine delivery is for, as text; None where it names none (format, section 7)."""
    try:
        found = by.evaluate(_with_body({"req": _request(delivery)}, delivery))
    except (TemplateError, _UnreadableError):
        return None
    return None if found is None else _text(found)


def parse_body(raw: bytes) -> Any:
    """The JSON value that the bytes are, else their text (UTF-8); None for no bytes. ValueError: nested too deep."""
    if not raw:
        return None
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError:
        value = raw.decode("utf-8", "replace")
    return storable(value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _receive(delivery: Delivery, rules: Reception, now: datetime) -> Accepted | Handshake | Filtered | Rejected:
    scope = {**rules.scope, "req": _request(delivery), "now": delivery.received_at}
    early = [shake for shake in rules.handshake if not shake["verified"]]
    if early or reads_body(rules.verify):  # else nobody can make us parse what is not signed
        scope = _with_body(scope, delivery)
    for shake in early:
        if _holds_quietly(shake["when"], scope):
            return Handshake(_answer(shake["respond"], scope))
    if not is_genuine(rules.verify, delivery.body, _without_repeated(scope, delivery), now):
        return Rejected("invalid_signature", "invalid_signature", "The signature is missing or wrong.")
    scope = _with_body(scope, delivery)
    for shake in rules.handshake:
        if shake["verified"] and shake["when"].evaluate(scope):
            return Handshake(_answer(shake["respond"], scope))
    scope = {**scope, "req": _kept(scope["req"], rules.redactor)}
    if rules.filter is not None and not rules.filter.evaluate(scope):
        return Filtered()
    events = _events(delivery, rules, scope)
    if not events:
        return Filtered()
    return Accepted(events, None if rules.respond is None else _answer(rules.respond, scope))


def _request(delivery: Delivery) -> dict[str, Any]:
    headers, query = storable(dict(delivery.headers)), storable(dict(delivery.query))
    return {"method": delivery.method, "path": delivery.path, "query": query, "headers": headers, "body": None}


def _kept(request: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The request as tasks see it and as it is stored: without the sender's credentials, by place and by value."""
    kept: dict[str, Any] = redactor.data({**request, "headers": mask_headers(request["headers"])})
    return kept


def _without_repeated(scope: Mapping[str, Any], delivery: Delivery) -> Mapping[str, Any]:
    if not delivery.repeated:
        return scope
    headers = {name: value for name, value in scope["req"]["headers"].items() if name not in delivery.repeated}
    return {**scope, "req": {**scope["req"], "headers": headers}}


def _with_body(scope: Mapping[str, Any], delivery: Delivery) -> dict[str, Any]:
    try:
        return {**scope, "req": {**scope["req"], "body": parse_body(delivery.body)}}
    except ValueError as error:
        raise _UnreadableError("too_deep", f"The body is {error}.") from None


def _events(delivery: Delivery, rules: Reception, scope: Mapping[str, Any]) -> tuple[Event, ...]:
    if rules.split is None:
        return (_event(delivery, rules, scope, ""),)
    items = rules.split.evaluate(scope)
    items = [] if items is None else items if isinstance(items, list) else [items]
    if len(items) > most_events:
        raise _UnreadableError("too_many_events", f"The delivery holds more than {most_events} events.")
    events = tuple(_event(delivery, rules, {**scope, "item": item}, f":{index}") for index, item in enumerate(items))
    if is_larger([event.output for event in events], _most_mib * mib):
        raise _UnreadableError("events_too_large", f"The delivery's events are larger than {_most_mib} MiB together.")
    return events


def _event(delivery: Delivery, rules: Reception, scope: Mapping[str, Any], suffix: str) -> Event:
    request = scope["req"]
    if rules.output is None:
        output = {name: request[name] for name in ("body", "headers", "query", "method")}
        output["received_at"] = delivery.received_at
    else:
        output = rules.output.evaluate(scope)
    return Event(_key(rules, scope, suffix), output)


def _key(rules: Reception, scope: Mapping[str, Any], suffix: str) -> str | None:
    """The delivery's id: the trigger's own word, else the headers that senders use for it (durability, 9.2)."""
    headers = scope["req"]["headers"]
    if rules.dedupe_key is not None:
        found = rules.dedupe_key.evaluate(scope)
        text = None if found is None else _text(found)
        suffix = ""
    elif rules.dedupe_header is not None:
        text = headers.get(rules.dedupe_header)
    else:
        text = next((headers[name] for name in _default_key_headers if headers.get(name)), None)
    if not text:
        return None
    if len(text.encode()) > longest_key_bytes:
        raise _UnreadableError("dedupe_key_too_long", f"The delivery id is longer than {longest_key_bytes} bytes.")
    return text + suffix


def _answer(respond: Mapping[str, Any], scope: Mapping[str, Any]) -> Answer:
    headers = respond["headers"].evaluate(scope) if respond.get("headers") is not None else {}
    body = respond["body"].evaluate(scope) if respond.get("body") is not None else None
    texts = {name: _text(value) for name, value in (headers or {}).items() if value is not None}
    safe = {name: value for name, value in texts.items() if not any(mark in value for mark in "\r\n\0")}
    return Answer(respond["status"], safe, body)


def _holds_quietly(condition: Any, scope: Mapping[str, Any]) -> bool:
    """A condition over what a stranger sent: one that cannot be evaluated does not hold."""
    try:
        return bool(condition.evaluate(scope))
    except TemplateError:
        return False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
