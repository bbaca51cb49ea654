"""Connections: authorised links to modules, of a user or of the instance. Secrets go in and never come out."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from taske_ray.schemas.connections import Authorization, BegunAuthorization, Connection, ConnectionTest
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Request, discard, each, fetch, fields, get, path, post


class Connections:
    """The caller's connections; with `shared` those of the instance, for administrators."""

    def __init__(self, line: Line, *, shared: bool = False) -> None:
        self._line = line
        self._place = places[shared]

    def create(self, module: str, auth: str, name: str, values: Mapping[str, Any] | None = None) -> Connection:
        """Connect to a module in one of its ways; `values` are the fields that this way asks for."""
        return self._line.run(fetch(Connection, creation(self._place, module, auth, name, values)))

    def authorize(self, module: str | None = None, **wish: Any) -> BegunAuthorization:
        """Begin a connection that has to be allowed in a browser; open its `authorize_url` there.

        `wish`: auth, name, fields, capabilities, scopes, connection (one to be made again).
        """
        return self._line.run(fetch(BegunAuthorization, beginning(self._place, module, wish)))

    def authorization(self, authorization_id: str) -> Authorization:
        """What became of it."""
        return self._line.run(fetch(Authorization, get(path(*places[False], "authorizations", authorization_id))))

    def list(self) -> Iterator[Connection]:
        """All connections."""
        return self._line.stream(each(Connection, get(path(*self._place))))

    def get(self, connection_id: str) -> Connection:
        """A connection, without its secrets."""
        return self._line.run(fetch(Connection, get(path(*self._place, connection_id))))

    def update(
        self, connection_id: str, *, name: str | None = None, values: Mapping[str, Any] | None = None
    ) -> Connection:
        """Rename it, or replace fields; a secret that is not given stays."""
        return self._line.run(fetch(Connection, change(self._place, connection_id, name, values)))

    def delete(self, connection_id: str) -> None:
        """Delete a connection and its secrets."""
        self._line.run(discard(Request("DELETE", path(*self._place, connection_id))))

    def test(self, connection_id: str) -> ConnectionTest:
        """Ask the service behind it whether it works."""
        return self._line.run(fetch(ConnectionTest, post(path(*self._place, connection_id, "test"))))


class AsyncConnections:
    """The caller's connections, or (`shared`) those of the instance, asynchronously."""

    def __init__(self, line: AsyncLine, *, shared: bool = False) -> None:
        self._line = line
        self._place = places[shared]

    async def create(self, module: str, auth: str, name: str, values: Mapping[str, Any] | None = None) -> Connection:
        """Connect to a module in one of its ways; `values` are the fields that this way asks for."""
        return await self._line.run(fetch(Connection, creation(self._place, module, auth, name, values)))

    async def authorize(self, module: str | None = None, **wish: Any) -> BegunAuthorization:
        """Begin a connection that has to be allowed in a browser; open its `authorize_url` there.

        `wish`: auth, name, fields, capabilities, scopes, connection (one to be made again).
        """
        return await self._line.run(fetch(BegunAuthorization, beginning(self._place, module, wish)))

    async def authorization(self, authorization_id: str) -> Authorization:
        """What became of it."""
        return await self._line.run(fetch(Authorization, get(path(*places[False], "authorizations", authorization_id))))

    def list(self) -> AsyncIterator[Connection]:
        """All connections."""
        return self._line.stream(each(Connection, get(path(*self._place))))

    async def get(self, connection_id: str) -> Connection:
        """A connection, without its secrets."""
        return await self._line.run(fetch(Connection, get(path(*self._place, connection_id))))

    async def update(
        self, connection_id: str, *, name: str | None = None, values: Mapping[str, Any] | None = None
    ) -> Connection:
        """Rename it, or replace fields; a secret that is not given stays."""
        return await self._line.run(fetch(Connection, change(self._place, connection_id, name, values)))

    async def delete(self, connection_id: str) -> None:
        """Delete a connection and its secrets."""
        await self._line.run(discard(Request("DELETE", path(*self._place, connection_id))))

    async def test(self, connection_id: str) -> ConnectionTest:
        """Ask the service behind it whether it works."""
        return await self._line.run(fetch(ConnectionTest, post(path(*self._place, connection_id, "test"))))


Place = tuple[str, ...]
places: dict[bool, Place] = {False: ("api", "v1", "connections"), True: ("api", "v1", "admin", "connections")}
"""Where they are: the caller's own, and (True) the instance's."""


def creation(place: Place, module: str, auth: str, name: str, values: Mapping[str, Any] | None) -> Request:
    """Connect."""
    return post(path(*place), {"module": module, "auth": auth, "name": name, "fields": dict(values or {})})


def beginning(place: Place, module: str | None, wish: Mapping[str, Any]) -> Request:
    """Ask for a consent."""
    return post(path(*place, "authorize"), fields(module=module, **wish))


def change(place: Place, connection_id: str, name: str | None, values: Mapping[str, Any] | None) -> Request:
    """Change what is given."""
    body = fields(name=name, fields=values and dict(values))
    return Request("PATCH", path(*place, connection_id), body=body)
