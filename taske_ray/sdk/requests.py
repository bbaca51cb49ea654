"""Requests to build and replies to read, as plain values: the part of the SDK that needs no network."""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from taske_ray.errors import TaskeError
from taske_ray.schemas.wire import Page
from taske_ray.sdk.problems import error_of

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the service; `path` begins with a slash. `body` is JSON, or None for no body."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    authorized: bool = True

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or "Idempotency-Key" in self.headers

    def with_query(self, **values: Any) -> "Request":
        """The same request with these query parameters too; None means absent."""
        return replace(self, query={**self.query, **query(**values)})

    def with_header(self, name: str, value: str | None) -> "Request":
        """The same request with this header too; None leaves it as it is."""
        return self if value is None else replace(self, headers={**self.headers, name: value})


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Hand one item to the caller."""

    item: T


Step = Request | Wait | Emit[Any]
Flow = Generator[Step, Reply | None, T]


def path(*segments: str) -> str:
    """A path of these segments, each escaped: an identifier never becomes another address."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def get(path: str, **values: Any) -> Request:
    """A GET; `values` become the query."""
    return Request("GET", path, query=query(**values))


def post(path: str, body: Any = None) -> Request:
    """A POST with a fresh `Idempotency-Key`, so that it can be repeated after a lost answer."""
    return Request("POST", path, body=body, headers={"Idempotency-Key": str(uuid4())})


def query(**values: Any) -> dict[str, str]:
    """Query parameters as text: instants as RFC 3339 UTC, None left out."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def fields(**values: Any) -> dict[str, Any]:
    """A body of the fields that are given: None means left out."""
    return {name: value for name, value in values.items() if value is not None}


def ask(request: Request) -> Flow[Reply]:
    """Send one request and return its reply; raises the error that a problem stands for."""
    reply = yield request
    assert reply is not None
    if reply.status >= 300:  # noqa: PLR2004 - the API never redirects, so neither do we
        raise error_of(reply.status, reply.headers, reply.content)
    return reply


def fetch(model: type[Model], request: Request) -> Flow[Model]:
    """Send one request and read its reply as `model`."""
    return parse(model, (yield from ask(request)))


def discard(request: Request) -> Flow[None]:
    """Send one request whose reply says nothing."""
    yield from ask(request)


def each(model: type[Model], request: Request) -> Flow[None]:
    """Emit every item of a list, asking for one page after another."""
    cursor: str | None = None
    while True:
        reply = yield from ask(request.with_query(cursor=cursor))
        page = parse(Page[model], reply)  # type: ignore[valid-type]
        for item in page.items:
            yield Emit(item)
        cursor = page.next_cursor
        if cursor is None:
            return


def collect(flow: Flow[None]) -> Flow[list[Any]]:
    """Everything that a flow would emit, as one list."""
    items: list[Any] = []
    reply: Reply | None = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration:
            return items
        reply = None
        if isinstance(step, Emit):
            items.append(step.item)
        else:
            reply = yield step


def parse(model: type[Model], reply: Reply) -> Model:
    """A reply's body as `model`; raises TaskeError if something else than Taske answered."""
    try:
        return model.model_validate_json(reply.content)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(map(str, first["loc"]))
        raise TaskeError(f"The answer is not what Taske sends ({where}: {first['msg']}). Is the URL right?") from error


def json_of(reply: Reply) -> Any:
    """A reply's body as JSON."""
    try:
        return json.loads(reply.content)
    except ValueError as error:
        raise TaskeError("The answer is not JSON. Is the URL right?") from error


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)
