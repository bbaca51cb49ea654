"""What stands before every app: a request id, headers that protect browsers, and an answer when all else breaks."""

import logging
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.shared.problems import problem_of, unexpected
from taske_ray import logs
from taske_ray.clock import new_id
from taske_ray.errors import TaskeError

_log = logging.getLogger(__name__)
_request_id = re.compile(rb"[A-Za-z0-9-]{8,64}")
_policy = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def protecting_headers(*, https: bool, personal: bool) -> list[tuple[bytes, bytes]]:
    """The headers of every answer (security, 13.1); `personal`: no cache may keep it."""
    headers = {
        "content-security-policy": _policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }
    if https:
        headers["strict-transport-security"] = "max-age=31536000"
    if personal:
        headers |= {"cache-control": "no-store", "vary": "Authorization"}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class Front:
    """The outermost layer of an app; plain ASGI, because it stands in the way of every webhook."""

    def __init__(self, app: ASGIApp, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._app = app
        self._headers = list(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; nothing but an answer comes out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _given_id(scope)
        request_id = given or new_id().hex
        own_headers = [] if given else [(b"x-request-id", request_id.encode())]
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = {name for name, _ in message["headers"]}
                extra = [pair for pair in self._headers if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *extra, *own_headers]}
            await send(message)

        with logs.bound(request_id=request_id):
            try:
                await self._app(scope, receive, sending)
            except TaskeError as error:
                if started:
                    raise
                await problem_of(error, instance=scope["path"], request_id=request_id)(scope, receive, sending)
            except Exception:
                _log.exception("a request failed")
                if started:
                    raise
                await unexpected(instance=scope["path"], request_id=request_id)(scope, receive, sending)


def _given_id(scope: Scope) -> str | None:
    """The id that the server around us has given the request and will put on the answer itself.

    Clients cannot choose it: the front door drops what they send.
    """
    found = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return found.decode("ascii") if _request_id.fullmatch(found) else None
