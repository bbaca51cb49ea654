"""`/hooks/{token}`: plain ASGI, because every webhook passes here. Size, token, signature, commit, answer."""

import re
from collections import Counter
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.shared.front import Front
from deployments.shared.headers import protecting_headers
from deployments.shared.intake import Intake, max_bytes
from deployments.shared.problems import problem, problem_of, refusal, request_id_of
from taske_ray.clock import Clock
from taske_ray.core.times import format_time
from taske_ray.core.webhook import Delivery
from taske_ray.errors import Invalid, NotFound, TaskeError
from taske_ray.services.deliveries import Deliveries, FailedRun, Received

_token = re.compile(r"/([A-Za-z0-9_-]{22,100})")
_most_parameters = 1000
# What an answer is and who may do what with it is never the word of whoever sends or describes deliveries.
_ours = frozenset(
    {"content-type", "content-length", "content-encoding", "content-disposition", "transfer-encoding", "connection",
     "content-security-policy", "x-content-type-options", "set-cookie", "location", "refresh", "link", "server"}
)  # fmt: skip
_of_the_door = frozenset({b"x-taske-taken-ms", b"x-request-disconnect-disabled"})  # never said by the sender
_path = "/hooks/…"  # a token is a secret: no answer repeats it


class HooksApp:
    """Accepts deliveries over HTTP."""

    def __init__(self, deliveries: Deliveries, clock: Clock, body_bytes: int) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._intake = Intake(body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except TaskeError as error:
            response = problem_of(error, instance=_path, request_id=request_id_of(request))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        scope = request.scope
        found = _token.fullmatch(_path_of(scope))
        if request.method != "POST":
            return refusal(405, request, {"Allow": "POST"}, instance=_path)
        if found is None:
            raise NotFound
        async with self._intake.body(request) as body:
            received = await self._deliveries.accept(found[1], self._delivery(scope, body))
        return _response(received) if received.failed is None else _failed(received.failed, request)

    def _delivery(self, scope: Scope, body: bytes) -> Delivery:
        pairs = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in _of_the_door
        ]
        counts = Counter(name for name, _ in pairs)
        return Delivery(
            method="POST",
            path="/hooks",
            body=body,
            received_at=format_time(self._clock.now()),
            headers=dict(pairs),
            query=_query(scope["query_string"]),
            repeated=frozenset(name for name, count in counts.items() if count > 1),
        )


def create_app(deliveries: Deliveries, *, clock: Clock, url: str, body_bytes: int = max_bytes) -> ASGIApp:
    """The app, to be served under `/hooks`."""
    headers = protecting_headers(https=url.startswith("https:"), sandboxed=True)
    return Front(HooksApp(deliveries, clock, body_bytes), headers)


def _path_of(scope: Scope) -> str:
    """The path below `/hooks` as it was sent: another spelling of a token is another token (security, 12.1)."""
    path: str = scope["path"]
    sent = scope.get("raw_path")
    if sent is not None and sent.partition(b"?")[0] != path.encode():
        return ""
    return path.removeprefix(scope.get("root_path", ""))


def _query(raw: bytes) -> dict[str, str | list[str]]:
    """Parameters by name; one that comes more than once is a list."""
    if not raw:
        return {}
    found: dict[str, str | list[str]] = {}
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_most_parameters)
    except ValueError:
        raise Invalid(f"More than {_most_parameters} query parameters") from None
    for name, value in pairs:
        before = found.get(name)
        found[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found


def _response(received: Received) -> Response:
    """A module's answer or ours: JSON or plain text, whatever its headers would call it (security, 12.6)."""
    headers = {name: value for name, value in (received.headers or {}).items() if name.lower() not in _ours}
    if isinstance(received.body, str):
        return Response(received.body, received.status, headers, media_type="text/plain")
    body = b"" if received.body is None and headers else orjson.dumps(received.body)
    return Response(body, received.status, headers, media_type="application/json")


def _failed(run: FailedRun, request: Request) -> Response:
    """The run that was to give the answer gives none."""
    message = run.error.get("message") if isinstance(run.error, dict) else None
    return problem(
        status=502,
        code="run_failed",
        title="The run gives no result.",
        detail=str(message or f"The run is {run.status}."),
        instance=_path,
        request_id=request_id_of(request),
        more={"run_id": run.run_id, "run_status": run.status, "error": run.error},
    )


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
