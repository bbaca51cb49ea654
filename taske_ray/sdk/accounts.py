"""The caller's account: sign up, log in, keys for programs, and who I am."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any

from taske_ray.errors import Unauthenticated
from taske_ray.schemas.auth import ApiKey, CreatedApiKey, Me, TokenPair
from taske_ray.sdk.delivery import Session
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Flow, Request, ask, discard, each, fetch, fields, get, json_of, parse, path, post


class Account:
    """Who is calling."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def sign_up(self, email: str, password: str, *, locale: str | None = None) -> None:
        """Ask for an account; what comes next is in the mail."""
        self._line.run(discard(signing_up(email, password, locale)))

    def verify(self, token: str) -> None:
        """Prove the address with the token that was mailed."""
        self._line.run(discard(verifying(token)))

    def login(self, email: str, password: str) -> TokenPair:
        """Log in: this client speaks for the user from now on, and renews its access token by itself."""
        return self._line.run(login(self._line.session, email, password))

    def logout(self) -> None:
        """End the session; its tokens are dead at once."""
        self._line.run(logout(self._line.session))

    def me(self) -> Me:
        """The caller's account."""
        return self._line.run(fetch(Me, get(path("auth", "me"))))

    def update(self, **values: Any) -> Me:
        """Change `name`, `locale`, `country` or `timezone`."""
        return self._line.run(fetch(Me, Request("PATCH", path("auth", "me"), body=values)))


class AsyncAccount:
    """Who is calling, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    async def sign_up(self, email: str, password: str, *, locale: str | None = None) -> None:
        """Ask for an account; what comes next is in the mail."""
        await self._line.run(discard(signing_up(email, password, locale)))

    async def verify(self, token: str) -> None:
        """Prove the address with the token that was mailed."""
        await self._line.run(discard(verifying(token)))

    async def login(self, email: str, password: str) -> TokenPair:
        """Log in: this client speaks for the user from now on, and renews its access token by itself."""
        return await self._line.run(login(self._line.session, email, password))

    async def logout(self) -> None:
        """End the session; its tokens are dead at once."""
        await self._line.run(logout(self._line.session))

    async def me(self) -> Me:
        """The caller's account."""
        return await self._line.run(fetch(Me, get(path("auth", "me"))))

    async def update(self, **values: Any) -> Me:
        """Change `name`, `locale`, `country` or `timezone`."""
        return await self._line.run(fetch(Me, Request("PATCH", path("auth", "me"), body=values)))


class ApiKeys:
    """The caller's keys for programs."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def create(
        self, name: str, *, scopes: Sequence[str] | None = None, expires_at: datetime | None = None
    ) -> CreatedApiKey:
        """Make a key; `key` is shown this once."""
        return self._line.run(fetch(CreatedApiKey, creation(name, scopes, expires_at)))

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
        self, name: str, *, scopes: Sequence[str] | None = None, expires_at: datetime | None = None
    ) -> CreatedApiKey:
        """Make a key; `key` is shown this once."""
        return await self._line.run(fetch(CreatedApiKey, creation(name, scopes, expires_at)))

    def list(self) -> AsyncIterator[ApiKey]:
        """All keys, without their secrets."""
        return self._line.stream(each(ApiKey, get(path("auth", "api-keys"))))

    async def delete(self, key_id: str) -> None:
        """Revoke a key, at once."""
        await self._line.run(discard(Request("DELETE", path("auth", "api-keys", key_id))))


def signing_up(email: str, password: str, locale: str | None) -> Request:
    """Ask for an account."""
    return _anonymous("signup", {"email": email, "password": password, **fields(locale=locale)})


def verifying(token: str) -> Request:
    """Prove an address."""
    return _anonymous("verify", {"token": token})


def login(session: Session, email: str, password: str) -> Flow[TokenPair]:
    """Log in and keep the tokens in the session."""
    reply = yield from ask(_anonymous("login", {"email": email, "password": password}))
    if "second_factor" in (json_of(reply) or {}):
        raise Unauthenticated("This account asks for a second factor: use an API key.", code="second_factor_required")
    pair = parse(TokenPair, reply)
    session.keep(pair)
    return pair


def logout(session: Session) -> Flow[None]:
    """Log out and forget the tokens."""
    yield from ask(post(path("auth", "logout"), {}))
    session.forget()


def creation(name: str, scopes: Sequence[str] | None, expires_at: datetime | None) -> Request:
    """Make a key."""
    until = expires_at and expires_at.isoformat()
    return post(path("auth", "api-keys"), fields(name=name, scopes=scopes and list(scopes), expires_at=until))


def _anonymous(call: str, body: dict[str, Any]) -> Request:
    return Request("POST", path("auth", call), body=body, authorized=False)
