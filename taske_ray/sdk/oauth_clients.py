"""The instance's OAuth clients, for administrators: how this service is registered with providers."""

from collections.abc import Sequence

from taske_ray.schemas.connections import OAuthClient, OAuthClients
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Request, discard, fetch, fields, get, path


class Clients:
    """One client for each way to connect that needs one; users without a client of their own connect as it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(self) -> Sequence[OAuthClient]:
        """All of them; a secret shows its last characters at most."""
        return self._line.run(fetch(OAuthClients, get(_path()))).items

    def get(self, module: str, auth: str) -> OAuthClient:
        """The client of a way to connect, with the address that the provider has to know."""
        return self._line.run(fetch(OAuthClient, get(_path(module, auth))))

    def put(self, module: str, auth: str, client_id: str, client_secret: str | None = None) -> OAuthClient:
        """Store it in place of any other."""
        return self._line.run(fetch(OAuthClient, storing(module, auth, client_id, client_secret)))

    def delete(self, module: str, auth: str) -> None:
        """Forget it; what lives on it works until its tokens end."""
        self._line.run(discard(Request("DELETE", _path(module, auth))))


class AsyncClients:
    """The same, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    async def list(self) -> Sequence[OAuthClient]:
        """All of them; a secret shows its last characters at most."""
        return (await self._line.run(fetch(OAuthClients, get(_path())))).items

    async def get(self, module: str, auth: str) -> OAuthClient:
        """The client of a way to connect, with the address that the provider has to know."""
        return await self._line.run(fetch(OAuthClient, get(_path(module, auth))))

    async def put(self, module: str, auth: str, client_id: str, client_secret: str | None = None) -> OAuthClient:
        """Store it in place of any other."""
        return await self._line.run(fetch(OAuthClient, storing(module, auth, client_id, client_secret)))

    async def delete(self, module: str, auth: str) -> None:
        """Forget it; what lives on it works until its tokens end."""
        await self._line.run(discard(Request("DELETE", _path(module, auth))))


def storing(module: str, auth: str, client_id: str, client_secret: str | None) -> Request:
    """Store a client."""
    return Request("PUT", _path(module, auth), body=fields(client_id=client_id, client_secret=client_secret))


def _path(*segments: str) -> str:
    return path("api", "v1", "admin", "oauth-clients", *segments)
