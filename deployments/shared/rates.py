"""How many requests one caller may send: counted before anything is looked up, parsed or hashed (security, 15)."""

import hashlib
import ipaddress
import time
from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.shared.problems import problem_of
from taske_ray.errors import TooManyRequests
from taske_ray.limits import Limits
from taske_ray.services.rates import Rate, RateLimiter, per_hour, per_minute

_unauthenticated = 401
_plenty = Rate(1e9, 1e9)
"""Of a token that nothing limits: it is remembered as valid all the same, and its address does not pay for it."""


class Rates:
    """A layer of an app, counting for its replica alone.

    A token has its own budget once it has been valid here. Until then, and without one, the address pays: made-up
    tokens give nobody more. `exempt` and `sign_ups` name paths of the app.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        *,
        exempt: Collection[str] = (),
        sign_ups: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._of_tokens = RateLimiter(per_minute(limits.token_per_min) or _plenty, monotonic)
        self._of_addresses = RateLimiter(per_minute(limits.address_per_min), monotonic)
        self._of_sign_ups = RateLimiter(per_hour(limits.sign_ups_per_hour), monotonic)
        self._exempt = frozenset(exempt)
        self._sign_ups = frozenset(sign_ups)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that it came too soon."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if not path or path in self._exempt:
            await self._app(scope, receive, send)
            return
        token, address = _token_of(scope), _address_of(scope)
        wait_s = self._of_tokens.wait_s(token) if token in self._of_tokens else self._of_addresses.wait_s(address)
        if not wait_s and path in self._sign_ups:
            wait_s = self._of_sign_ups.wait_s(address)
        if wait_s:
            await _refused(scope, receive, send, wait_s)
        elif token is None:
            await self._app(scope, receive, send)
        else:
            await self._learn(token, scope, receive, send)

    async def _learn(self, token: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see whether its token was valid."""
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, sending)
        if status == _unauthenticated:
            self._of_tokens.forget(token)
        elif scope["state"].get("principal") is not None and token not in self._of_tokens:
            self._of_tokens.wait_s(token)


async def _refused(scope: Scope, receive: Receive, send: Send, wait_s: int) -> None:
    error = TooManyRequests(retry_after_s=wait_s)
    request_id = str(scope.get("state", {}).get("request_id", ""))
    await problem_of(error, instance=scope["path"], request_id=request_id)(scope, receive, send)


def _token_of(scope: Scope) -> bytes | None:
    """A digest of what the request says that authorises it."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return hashlib.sha256(value).digest()
    return None


def _address_of(scope: Scope) -> str:
    """Whom an address stands for: the network of 64 bits is one customer's where addresses have 128."""
    host: str = scope["client"][0] if scope.get("client") else ""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host, 64), strict=False))
    except ValueError:
        return host
