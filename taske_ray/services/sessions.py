"""Sessions: begun after a login, renewed by rotation, listed and ended (security, 4)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.ids import format_id, parse_id
from taske_ray.db import challenges, sessions, users
from taske_ray.db.database import Database, Transaction
from taske_ray.db.sessions import Presented
from taske_ray.db.tables import Session
from taske_ray.errors import Invalid, NotFound, Unauthenticated
from taske_ray.security.sealed import Place
from taske_ray.security.tokens import digest, lifetime, mint_access_token, new_token
from taske_ray.services.compromise import declare_compromised
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.sealing import Sealer
from taske_ray.services.signing import SigningKeys
from taske_ray.services.trail import record

refresh_lives = timedelta(days=30)
session_lives = timedelta(days=90)
grace = timedelta(seconds=10)
_longest_agent = 300


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens, as it is handed out once. `password_due`: the user was asked for a new password."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    refresh_lives_s: int
    password_due: bool = False
    expires_in: int = int(lifetime.total_seconds())


@dataclass(frozen=True, slots=True)
class Begun:
    """A session as it is in the database, before its tokens are made."""

    owner: UUID
    session_id: UUID
    refresh_token: str = field(repr=False)
    refresh_lives_s: int
    password_due: bool = False


class Sessions:
    """Begins, renews and ends sessions. Who may have one is for `entrance.py` to decide."""

    def __init__(self, database: Database, *, signing: SigningKeys, sealer: Sealer, issuer: str, clock: Clock) -> None:
        self._database = database
        self._signing = signing
        self._sealer = sealer
        self._issuer = issuer
        self._clock = clock

    async def begin(
        self,
        tx: Transaction,
        *,
        owner: UUID,
        origin: Origin,
        method: str,
        password_due: bool = False,
        authenticated_at: datetime | None = None,
    ) -> Begun:
        """A session under a fresh id, in the transaction of what allows it, which holds the lock on its user.

        `authenticated_at`: when the user proved who they are, if not just now.
        """
        since = {} if authenticated_at is None else {"authenticated_at": authenticated_at}
        session_id, refresh = new_id(), new_token()
        await sessions.add_session(
            tx,
            owner=owner,
            session_id=session_id,
            lives=session_lives,
            user_agent=(origin.user_agent or "")[:_longest_agent] or None,
            address=origin.address,
            method=method,
            **since,
        )
        lives_s = await sessions.add_refresh_token(
            tx, owner=owner, session_id=session_id, digest=digest(refresh), lives=refresh_lives
        )
        await record(tx, "session.begin", by=owner, origin=origin, session_id=session_id, detail={"method": method})
        return Begun(owner, session_id, refresh, lives_s, password_due)

    async def restart(self, tx: Transaction, principal: Principal, origin: Origin) -> Begun:
        """One new session instead of all, the caller's included. Raises Unauthenticated when that has just ended."""
        owner, session_id = principal.user_id, principal.session_id
        old = await sessions.get_session(tx, owner=owner, session_id=session_id) if session_id else None
        if old is None:
            raise Unauthenticated
        await self.end_all(tx, owner=owner)
        return await self.begin(
            tx, owner=owner, origin=origin, method=old.method, authenticated_at=old.authenticated_at
        )

    async def end_all(self, tx: Transaction, *, owner: UUID) -> None:
        """End every session and every login that waits for its second factor; refuse all tokens issued until now."""
        await sessions.end_all_sessions(tx, owner=owner)
        await challenges.void_challenges(tx, owner=owner)

    async def hand_out(self, begun: Begun) -> Tokens:
        """The tokens of a session that was just begun."""
        access = await self._access(begun.owner, begun.session_id)
        return Tokens(access, begun.refresh_token, begun.refresh_lives_s, begun.password_due)

    async def refresh(self, token: str, origin: Origin) -> Tokens:
        """The next pair; the old refresh token is spent. Raises Unauthenticated."""
        successor, hashed = new_token(), digest(token)
        _, sealed = await self._sealer.seal(successor.encode(), owner=None, purpose="auth", place=_place(hashed))
        async with self._database.transaction() as tx:
            found = await sessions.spend_refresh_token(
                tx, digest=hashed, successor=digest(successor), sealed=sealed, grace=grace
            )
            lives_s = await self._renewed(tx, found, successor, origin) if found else None
            user = await users.get_user(tx, owner=found.user_id) if found else None
        if found is None or lives_s is None or user is None:
            raise Unauthenticated
        if not found.fresh:
            assert found.successor_sealed is not None
            successor = (await self._sealer.open(bytes(found.successor_sealed), _place(hashed), owner=None)).decode()
        access = await self._access(found.user_id, found.session_id)
        return Tokens(access, successor, lives_s, user.password_due)

    async def log_out(self, principal: Principal, origin: Origin) -> None:
        """End the caller's session; access and refresh tokens die at once."""
        if principal.session_id is None:
            raise Invalid("An API key has no session; delete it instead")
        await self._end(principal.session_id, principal, origin)

    async def list(self, principal: Principal, *, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """A page of the caller's live sessions, newest first."""
        async with self._database.transaction(owner=principal.user_id) as tx:
            rows = await sessions.list_sessions(tx, owner=principal.user_id, after=after, limit=limit)
        return [_view(row, current=row.id == principal.session_id) for row in rows]

    async def end(self, session_id: str, principal: Principal, origin: Origin) -> None:
        """End one of the caller's sessions with its tokens. Raises NotFound."""
        if not await self._end(parse_id("session", session_id), principal, origin):
            raise NotFound

    async def _end(self, session_id: UUID, principal: Principal, origin: Origin) -> bool:
        async with self._database.transaction(owner=principal.user_id) as tx:
            ended = await sessions.end_session(tx, owner=principal.user_id, session_id=session_id)
            if ended:
                await record(tx, "session.end", by=principal, origin=origin, object_=format_id("session", session_id))
        return ended

    async def _renewed(self, tx: Transaction, found: Presented, successor: str, origin: Origin) -> int | None:
        """How long the next refresh token lives; None when there is none, because nobody or a thief asked."""
        owner, session_id = found.user_id, found.session_id
        if found.fresh:
            if not await sessions.use_session(tx, session_id=session_id):
                return None
            return await sessions.add_refresh_token(
                tx, owner=owner, session_id=session_id, digest=digest(successor), lives=refresh_lives
            )
        # a family that has ended already is no alarm: whoever keeps an old token could raise it for ever
        if not await sessions.get_session(tx, owner=owner, session_id=session_id):
            return None
        if found.in_grace and found.successor_sealed:
            return found.successor_lives_s
        await declare_compromised(
            tx, owner=owner, session_id=session_id, origin=origin, reason="refresh_reuse", url=self._issuer
        )
        return None

    async def _access(self, user_id: UUID, session_id: UUID) -> str:
        key = await self._signing.current()
        return mint_access_token(
            key, issuer=self._issuer, user_id=user_id, session_id=session_id, now=self._clock.now()
        )


def _view(row: Session, *, current: bool) -> dict[str, Any]:
    return {
        "id": format_id("session", row.id),
        "current": current,
        "device": row.user_agent,
        "address": row.address,
        "method": row.method,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
        "expires_at": row.expires_at,
    }


def _place(token_digest: bytes) -> Place:
    return Place("refresh_tokens", token_digest.hex(), "successor_sealed")
