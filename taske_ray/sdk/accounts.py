"""The caller's account: sign up, log in, what protects it, and who I am."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from taske_ray.errors import SecondFactorRequired
from taske_ray.schemas.auth import (
    LinkedIdentity,
    Me,
    SecondFactorDue,
    Session,
    TokenPair,
    TotpBegun,
    TotpConfirmed,
)
from taske_ray.sdk.delivery import Session as Caller
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Flow, Request, ask, discard, each, fetch, fields, get, json_of, parse, path, post


class Account:
    """Who is calling."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def sign_up(self, email: str, password: str, *, locale: str | None = None) -> None:
        """Ask for an account; what comes next is in the mail."""
        self._line.run(discard(signing_up(email, password, locale)))

    def resend(self, email: str) -> None:
        """Ask for another mail with a token, where the address was never proved."""
        self._line.run(discard(_anonymous("verify", "resend", body={"email": email})))

    def verify(self, token: str) -> None:
        """Prove the address with the token that was mailed."""
        self._line.run(discard(verifying(token)))

    def login(self, email: str, password: str, *, code: str | None = None) -> TokenPair:
        """Log in: this client speaks for the user from now on, and renews its access token by itself.

        Raises SecondFactorRequired for an account that asks for a `code` when none is given; `second_factor` goes on.
        """
        return self._line.run(login(self._line.session, email, password, code))

    def second_factor(self, challenge: str, code: str) -> TokenPair:
        """Finish a login with the challenge of SecondFactorRequired and a code of one of its methods."""
        return self._line.run(opening(self._line.session, answering(challenge, code)))

    def logout(self) -> None:
        """End the session; its tokens are dead at once."""
        self._line.run(logout(self._line.session))

    def me(self) -> Me:
        """The caller's account."""
        return self._line.run(fetch(Me, get(path("auth", "me"))))

    def update(self, **values: Any) -> Me:
        """Change `name`, `locale`, `country` or `timezone`."""
        return self._line.run(fetch(Me, Request("PATCH", path("auth", "me"), body=values)))

    def reauthenticate(self, password: str, *, code: str | None = None) -> None:
        """Prove again who you are: for ten minutes this session may change what protects the account."""
        self._line.run(discard(_own("reauthenticate", fields(password=password, code=code))))

    def change_password(self, password: str) -> TokenPair:
        """Choose another password; every other session ends, this client goes on with a new one."""
        return self._line.run(opening(self._line.session, _own("password", {"password": password})))

    def forgot_password(self, email: str) -> None:
        """Ask for a mail with a token to choose a new password."""
        self._line.run(discard(_anonymous("password", "forgot", body={"email": email})))

    def reset_password(self, token: str, password: str, *, code: str | None = None) -> None:
        """Choose a new password with the token that was mailed, and a code where a second factor is enrolled."""
        self._line.run(discard(_anonymous("password", "reset", body=fields(token=token, password=password, code=code))))

    def change_email(self, email: str) -> None:
        """Ask for a mail to another address with a token to confirm it."""
        self._line.run(discard(_own("email", {"email": email})))

    def confirm_email(self, token: str) -> None:
        """Move the account to the address that the token was mailed to."""
        self._line.run(discard(_anonymous("email", "confirm", body={"token": token})))

    def begin_totp(self) -> TotpBegun:
        """A secret for an authenticator app, in use after `confirm_totp`."""
        return self._line.run(fetch(TotpBegun, _own("totp", {})))

    def confirm_totp(self, code: str) -> list[str]:
        """Logins ask for a code from now on; ten recovery codes. Every other session ends."""
        return self._line.run(confirming(self._line.session, code))

    def remove_totp(self, code: str) -> None:
        """Logins ask for no code any more. Every session ends, this client's, too: log in again."""
        self._line.run(ending(self._line.session, removal(code)))

    def sessions(self) -> Iterator[Session]:
        """The account's live sessions."""
        return self._line.stream(each(Session, get(path("auth", "sessions"))))

    def end_session(self, session_id: str) -> None:
        """End a session: its tokens die at once."""
        self._line.run(discard(Request("DELETE", path("auth", "sessions", session_id))))

    def not_me(self, session_id: str) -> None:
        """Somebody else is in this session: every session ends, this client's, too, and the next login needs a code."""
        self._line.run(ending(self._line.session, objection(session_id)))

    def identities(self) -> Iterator[LinkedIdentity]:
        """The logins at providers that open the account."""
        return self._line.stream(each(LinkedIdentity, get(path("auth", "identities"))))

    def unlink(self, identity_id: str) -> None:
        """Let a provider open the account no more; the only way in stays."""
        self._line.run(discard(Request("DELETE", path("auth", "identities", identity_id))))

    def delete(self) -> None:
        """Delete the account with everything in it."""
        self._line.run(ending(self._line.session, Request("DELETE", path("auth", "me"))))


class AsyncAccount:
    """Who is calling, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    async def sign_up(self, email: str, password: str, *, locale: str | None = None) -> None:
        """Ask for an account; what comes next is in the mail."""
        await self._line.run(discard(signing_up(email, password, locale)))

    async def resend(self, email: str) -> None:
        """Ask for another mail with a token, where the address was never proved."""
        await self._line.run(discard(_anonymous("verify", "resend", body={"email": email})))

    async def verify(self, token: str) -> None:
        """Prove the address with the token that was mailed."""
        await self._line.run(discard(verifying(token)))

    async def login(self, email: str, password: str, *, code: str | None = None) -> TokenPair:
        """Log in: this client speaks for the user from now on, and renews its access token by itself.

        Raises SecondFactorRequired for an account that asks for a `code` when none is given; `second_factor` goes on.
        """
        return await self._line.run(login(self._line.session, email, password, code))

    async def second_factor(self, challenge: str, code: str) -> TokenPair:
        """Finish a login with the challenge of SecondFactorRequired and a code of one of its methods."""
        return await self._line.run(opening(self._line.session, answering(challenge, code)))

    async def logout(self) -> None:
        """End the session; its tokens are dead at once."""
        await self._line.run(logout(self._line.session))

    async def me(self) -> Me:
        """The caller's account."""
        return await self._line.run(fetch(Me, get(path("auth", "me"))))

    async def update(self, **values: Any) -> Me:
        """Change `name`, `locale`, `country` or `timezone`."""
        return await self._line.run(fetch(Me, Request("PATCH", path("auth", "me"), body=values)))

    async def reauthenticate(self, password: str, *, code: str | None = None) -> None:
        """Prove again who you are: for ten minutes this session may change what protects the account."""
        await self._line.run(discard(_own("reauthenticate", fields(password=password, code=code))))

    async def change_password(self, password: str) -> TokenPair:
        """Choose another password; every other session ends, this client goes on with a new one."""
        return await self._line.run(opening(self._line.session, _own("password", {"password": password})))

    async def forgot_password(self, email: str) -> None:
        """Ask for a mail with a token to choose a new password."""
        await self._line.run(discard(_anonymous("password", "forgot", body={"email": email})))

    async def reset_password(self, token: str, password: str, *, code: str | None = None) -> None:
        """Choose a new password with the token that was mailed, and a code where a second factor is enrolled."""
        body = fields(token=token, password=password, code=code)
        await self._line.run(discard(_anonymous("password", "reset", body=body)))

    async def change_email(self, email: str) -> None:
        """Ask for a mail to another address with a token to confirm it."""
        await self._line.run(discard(_own("email", {"email": email})))

    async def confirm_email(self, token: str) -> None:
        """Move the account to the address that the token was mailed to."""
        await self._line.run(discard(_anonymous("email", "confirm", body={"token": token})))

    async def begin_totp(self) -> TotpBegun:
        """A secret for an authenticator app, in use after `confirm_totp`."""
        return await self._line.run(fetch(TotpBegun, _own("totp", {})))

    async def confirm_totp(self, code: str) -> list[str]:
        """Logins ask for a code from now on; ten recovery codes. Every other session ends."""
        return await self._line.run(confirming(self._line.session, code))

    async def remove_totp(self, code: str) -> None:
        """Logins ask for no code any more. Every session ends, this client's, too: log in again."""
        await self._line.run(ending(self._line.session, removal(code)))

    def sessions(self) -> AsyncIterator[Session]:
        """The account's live sessions."""
        return self._line.stream(each(Session, get(path("auth", "sessions"))))

    async def end_session(self, session_id: str) -> None:
        """End a session: its tokens die at once."""
        await self._line.run(discard(Request("DELETE", path("auth", "sessions", session_id))))

    async def not_me(self, session_id: str) -> None:
        """Somebody else is in this session: every session ends, this client's, too, and the next login needs a code."""
        await self._line.run(ending(self._line.session, objection(session_id)))

    def identities(self) -> AsyncIterator[LinkedIdentity]:
        """The logins at providers that open the account."""
        return self._line.stream(each(LinkedIdentity, get(path("auth", "identities"))))

    async def unlink(self, identity_id: str) -> None:
        """Let a provider open the account no more; the only way in stays."""
        await self._line.run(discard(Request("DELETE", path("auth", "identities", identity_id))))

    async def delete(self) -> None:
        """Delete the account with everything in it."""
        await self._line.run(ending(self._line.session, Request("DELETE", path("auth", "me"))))


def signing_up(email: str, password: str, locale: str | None) -> Request:
    """Ask for an account."""
    return _anonymous("signup", body={"email": email, "password": password, **fields(locale=locale)})


def verifying(token: str) -> Request:
    """Prove an address."""
    return _anonymous("verify", body={"token": token})


def login(session: Caller, email: str, password: str, code: str | None) -> Flow[TokenPair]:
    """Log in, with a code where one is due, and keep the tokens in the session."""
    reply = yield from ask(_anonymous("login", body={"email": email, "password": password}))
    if "second_factor" not in (json_of(reply) or {}):
        pair = parse(TokenPair, reply)
        session.keep(pair)
        return pair
    due = parse(SecondFactorDue, reply).second_factor
    if code is None:
        raise SecondFactorRequired(challenge=due.challenge, methods=due.methods)
    return (yield from opening(session, answering(due.challenge, code)))


def answering(challenge: str, code: str) -> Request:
    """Finish a login."""
    return _anonymous("login", "second-factor", body={"challenge": challenge, "code": code})


def opening(session: Caller, request: Request) -> Flow[TokenPair]:
    """Send what answers with the tokens of a new session, and go on with that."""
    pair = yield from fetch(TokenPair, request)
    session.keep(pair)
    return pair


def confirming(session: Caller, code: str) -> Flow[list[str]]:
    """Put one-time codes to use, and go on with the new session."""
    confirmed = yield from fetch(TotpConfirmed, _own("totp", "confirm", {"code": code}))
    session.keep(confirmed)
    return confirmed.recovery_codes


def removal(code: str) -> Request:
    """Stop using one-time codes."""
    return Request("DELETE", path("auth", "totp"), body={"code": code})


def objection(session_id: str) -> Request:
    """Report a session."""
    return Request("POST", path("auth", "sessions", session_id, "not-me"), body={})


def ending(session: Caller, request: Request) -> Flow[None]:
    """Send what ends the session, and forget its tokens."""
    yield from ask(request)
    session.forget()


def logout(session: Caller) -> Flow[None]:
    """Log out and forget the tokens."""
    return ending(session, post(path("auth", "logout"), {}))


def _own(*call: Any) -> Request:
    """A POST of who is logged in: the parts of the path, then the body. Not repeatable: codes are good once."""
    *parts, body = call
    return Request("POST", path("auth", *parts), body=body)


def _anonymous(*call: str, body: dict[str, Any]) -> Request:
    return Request("POST", path("auth", *call), body=body, authorized=False)
