"""What stands before every app: a request id, protecting headers, HEAD, and an answer when all else breaks."""

import logging
import re
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.shared.problems import problem_of, unexpected
from taske_ray import logs
from taske_ray.clock import new_id
from taske_ray.errors import TaskeError

_log = logging.getLogger(__name__)
_request_id = re.compile(rb"[A-Za-z0-9-]{8,64}")


class Front:
    """The outermost layer of an app; plain ASGI, because it stands in the way of every webhook."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; nothing but an answer comes out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _given_id(scope)
        request_id = given or new_id().hex
        answer = _Answer(send, self._headers, None if given else request_id, without_body=scope["method"] == "HEAD")
        if answer.without_body:
            scope = {**scope, "method": "GET"}
        scope.setdefault("state", {})["request_id"] = request_id
        with logs.bound(request_id=request_id):
            try:
                await self._app(scope, receive, answer.send)
            except ClientDisconnect:
                return  # in the middle of its own request: nobody is there to answer
            except TaskeError as error:
                if answer.started:
                    raise
                problem = problem_of(error, instance=scope["path"], request_id=request_id)
                await problem(scope, receive, answer.send)
            except Exception:
                _log.exception("a request failed")
                if answer.started:
                    raise
                await unexpected(instance=scope["path"], request_id=request_id)(scope, receive, answer.send)


class _Answer:
    """One answer on its way out: the headers that every answer has are added, and for HEAD its body stays behind."""

    __slots__ = ("_headers", "_send", "started", "without_body")

    def __init__(
        self, send: Send, headers: list[tuple[bytes, bytes]], request_id: str | None, *, without_body: bool
    ) -> None:
        self._send = send
        self._headers = headers if request_id is None else [*headers, (b"x-request-id", request_id.encode())]
        self.started = False
        self.without_body = without_body

    async def send(self, message: Message) -> None:
        """Pass a message on to the server."""
        if message["type"] == "http.response.start":
            self.started = True
            own = {name for name, _ in message["headers"]} - {b"vary"}  # it adds up
            extra = [pair for pair in self._headers if pair[0] not in own]
            message = {**message, "headers": [*message["headers"], *extra]}
        elif self.without_body:
            message = {**message, "body": b""}
        await self._send(message)


def _given_id(scope: Scope) -> str | None:
    """The id that the server around us has given the request and will put on the answer itself.

    Clients cannot choose it: the front door drops what they send.
    """
    for name, value in reversed(scope["headers"]):  # the door adds it behind the client's own
        if name == b"x-request-id":
            return value.decode("ascii") if _request_id.fullmatch(value) else None
    return None
