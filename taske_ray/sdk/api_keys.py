"""The caller's keys for programs."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime

from taske_ray.schemas.auth import ApiKey, CreatedApiKey
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Request, discard, each, fetch, fields, get, path, post


class ApiKeys:
    """The caller's keys for programs."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        task_id: str | None = None,
    ) -> CreatedApiKey:
        """Make a key; `key` is shown this once. `task_id`: the only task that it may touch."""
        return self._line.run(fetch(CreatedApiKey, creation(name, scopes, expires_at, task_id)))

    def list(self) -> Iterator[ApiKey]:
        """All keys, without their secrets."""
        return self._line.stream(each(ApiKey, get(path("auth", "api-keys"))))

    def delete(self, key_id: str) -> None:
        """Revoke a key, at once."""
        self._line.run(discard(Request("DELETE", path("auth", "api-keys", key_id))))


class AsyncApiKeys:
    """The caller's keys for programs, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    async def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        task_id: str | None = None,
    ) -> CreatedApiKey:
        """Make a key; `key` is shown this once. `task_id`: the only task that it may touch."""
        return await self._line.run(fetch(CreatedApiKey, creation(name, scopes, expires_at, task_id)))

    def list(self) -> AsyncIterator[ApiKey]:
        """All keys, without their secrets."""
        return self._line.stream(each(ApiKey, get(path("auth", "api-keys"))))

    async def delete(self, key_id: str) -> None:
        """Revoke a key, at once."""
        await self._line.run(discard(Request("DELETE", path("auth", "api-keys", key_id))))


def creation(name: str, scopes: Sequence[str] | None, expires_at: datetime | None, task_id: str | None) -> Request:
    """Make a key."""
    until = expires_at and expires_at.isoformat()
    body = fields(name=name, scopes=scopes and list(scopes), expires_at=until, task_id=task_id)
    return post(path("auth", "api-keys"), body)
