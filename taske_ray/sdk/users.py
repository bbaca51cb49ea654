"""Other people's accounts, for administrators."""

from collections.abc import AsyncIterator, Iterator

from taske_ray.schemas.auth import User
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Request, each, fetch, fields, get, path


class Users:
    """The accounts of this service, for administrators."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(self, *, q: str | None = None) -> Iterator[User]:
        """All accounts, newest first; `q`: those whose address contains it."""
        return self._line.stream(each(User, get(_path(), q=q)))

    def get(self, user_id: str) -> User:
        """One account."""
        return self._line.run(fetch(User, get(_path(user_id))))

    def update(self, user_id: str, *, role: str | None = None, status: str | None = None) -> User:
        """Another role (`user`, `admin`) or status (`active`, `disabled`); it acts on the user's next request."""
        return self._line.run(fetch(User, change(user_id, role, status)))


class AsyncUsers:
    """The accounts of this service, for administrators, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    def list(self, *, q: str | None = None) -> AsyncIterator[User]:
        """All accounts, newest first; `q`: those whose address contains it."""
        return self._line.stream(each(User, get(_path(), q=q)))

    async def get(self, user_id: str) -> User:
        """One account."""
        return await self._line.run(fetch(User, get(_path(user_id))))

    async def update(self, user_id: str, *, role: str | None = None, status: str | None = None) -> User:
        """Another role (`user`, `admin`) or status (`active`, `disabled`); it acts on the user's next request."""
        return await self._line.run(fetch(User, change(user_id, role, status)))


def change(user_id: str, role: str | None, status: str | None) -> Request:
    """Change what is given."""
    return Request("PATCH", _path(user_id), body=fields(role=role, status=status))


def _path(*segments: str) -> str:
    return path("auth", "users", *segments)
