"""A module's one address for all users of this service's app, which administrators set up once for everybody."""

from collections.abc import Mapping
from typing import Any

from taske_ray.schemas.catalog import AppWebhook
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Request, discard, fetch, get, path


class AppWebhooks:
    """The addresses of the service's own apps."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def get(self, module: str) -> AppWebhook:
        """The address to give to the service, and which secrets are set."""
        return self._line.run(fetch(AppWebhook, get(_webhook(module))))

    def put(self, module: str, values: Mapping[str, Any]) -> AppWebhook:
        """Save what deliveries are checked with; the address stays the same."""
        return self._line.run(fetch(AppWebhook, Request("PUT", _webhook(module), body={"fields": dict(values)})))

    def delete(self, module: str) -> None:
        """End the address at once."""
        self._line.run(discard(Request("DELETE", _webhook(module))))


class AsyncAppWebhooks:
    """The same, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    async def get(self, module: str) -> AppWebhook:
        """The address to give to the service, and which secrets are set."""
        return await self._line.run(fetch(AppWebhook, get(_webhook(module))))

    async def put(self, module: str, values: Mapping[str, Any]) -> AppWebhook:
        """Save what deliveries are checked with; the address stays the same."""
        return await self._line.run(fetch(AppWebhook, Request("PUT", _webhook(module), body={"fields": dict(values)})))

    async def delete(self, module: str) -> None:
        """End the address at once."""
        await self._line.run(discard(Request("DELETE", _webhook(module))))


def _webhook(module: str) -> str:
    return path("api", "v1", "admin", "modules", module, "app-webhook")
