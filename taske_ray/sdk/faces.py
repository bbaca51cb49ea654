"""Carrying out what was decided: the synchronous and the asynchronous loop around the same generators."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from taske_ray.sdk.delivery import Lost, Patience, Session, deliver
from taske_ray.sdk.requests import Emit, Flow, Reply, Request, Wait

T = TypeVar("T")
_never_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


class Line:
    """A synchronous connection to the service. Safe to use from several threads."""

    def __init__(self, client: httpx.Client, session: Session, patience: Patience) -> None:
        self.session = session
        self._client = client
        self._patience = patience

    def run(self, flow: Flow[T]) -> T:
        """Carry a flow out and return its result."""
        try:
            step = next(flow)
            while True:
                step = flow.send(self._carry_out(step))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def stream(self, flow: Flow[None]) -> Iterator[Any]:
        """Carry a flow out and yield what it emits, as it does."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Emit):
                    yield step.item
                step = flow.send(self._carry_out(step))
        except StopIteration:
            return

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _carry_out(self, step: Request | Wait | Emit[Any]) -> Reply | None:
        if isinstance(step, Wait):
            time.sleep(step.seconds)
        return self._deliver(step) if isinstance(step, Request) else None

    def _deliver(self, request: Request) -> Reply:
        delivery = deliver(request, self.session, self._patience)
        try:
            step = next(delivery)
            while True:
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    step = delivery.send(None)
                else:
                    step = delivery.send(self._send(step))
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply

    def _send(self, request: Request) -> Reply | Lost:
        try:
            response = self._client.request(request.method, request.path, **_options(request))
        except httpx.TransportError as error:
            return _lost(error, self._client.base_url)
        return Reply(response.status_code, dict(response.headers), response.content)


class AsyncLine:
    """An asynchronous connection to the service."""

    def __init__(self, client: httpx.AsyncClient, session: Session, patience: Patience) -> None:
        self.session = session
        self._client = client
        self._patience = patience

    async def run(self, flow: Flow[T]) -> T:
        """Carry a flow out and return its result."""
        try:
            step = next(flow)
            while True:
                step = flow.send(await self._carry_out(step))
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def stream(self, flow: Flow[None]) -> AsyncIterator[Any]:
        """Carry a flow out and yield what it emits, as it does."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Emit):
                    yield step.item
                step = flow.send(await self._carry_out(step))
        except StopIteration:
            return

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _carry_out(self, step: Request | Wait | Emit[Any]) -> Reply | None:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        return await self._deliver(step) if isinstance(step, Request) else None

    async def _deliver(self, request: Request) -> Reply:
        delivery = deliver(request, self.session, self._patience)
        try:
            step = next(delivery)
            while True:
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    step = delivery.send(None)
                else:
                    step = delivery.send(await self._send(step))
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply

    async def _send(self, request: Request) -> Reply | Lost:
        try:
            response = await self._client.request(request.method, request.path, **_options(request))
        except httpx.TransportError as error:
            return _lost(error, self._client.base_url)
        return Reply(response.status_code, dict(response.headers), response.content)


def client_options(url: str, timeout_s: float) -> dict[str, Any]:
    """What both kinds of httpx client are made with. A service on this machine is never reached through a proxy."""
    return {"base_url": url, "timeout": timeout_s, "trust_env": not _is_local(url), "follow_redirects": False}


def _options(request: Request) -> dict[str, Any]:
    options: dict[str, Any] = {"params": dict(request.query), "headers": dict(request.headers)}
    return options if request.body is None else {**options, "json": request.body}


def _lost(error: httpx.TransportError, url: httpx.URL) -> Lost:
    reason = str(error) or type(error).__name__
    return Lost(f"No answer from {url}: {reason}", sent=not isinstance(error, _never_sent))


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
