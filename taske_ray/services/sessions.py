"""Sessions: log in, refresh with rotation, log out (security, 2.7, 2.8 and 4)."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.db import audit, sessions, users
from taske_ray.db.database import Database
from taske_ray.errors import Invalid, TooManyRequests, Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.passwords import needs_rehash
from taske_ray.security.sealed import Place
from taske_ray.security.tokens import digest, lifetime, mint_access_token, new_token
from taske_ray.services.addresses import canonical_address
from taske_ray.services.letters import write_letter
from taske_ray.services.principal import Principal
from taske_ray.services.sealing import Sealer
from taske_ray.services.signing import SigningKeys

_refresh_lives = timedelta(days=30)
_session_lives = timedelta(days=90)
_grace = timedelta(seconds=10)
_free_failures = 10
_most_from_address = 100
_longest_delay_s = 900


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, for the list of sessions and for throttling."""

    address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens, as it is handed out once."""

    access_token: str
    refresh_token: str
    expires_in: int = int(lifetime.total_seconds())


class Sessions:
    """Opens, renews and ends sessions."""

    def __init__(
        self,
        database: Database,
        *,
        hashing: PasswordHashing,
        signing: SigningKeys,
        sealer: Sealer,
        issuer: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._hashing = hashing
        self._signing = signing
        self._sealer = sealer
        self._issuer = issuer
        self._clock = clock

    async def log_in(self, email: str, password: str, origin: Origin) -> Tokens:
        """A new session. Unknown, wrong and unverified look alike. Raises Unauthenticated, TooManyRequests."""
        address = _address_or_none(email)
        async with self._database.transaction() as tx:
            failed = await sessions.login_failures(tx, email=address or email[:254], address=origin.address)
            user = await users.find_user(tx, address) if address else None
        _throttle(*failed, now=self._clock.now())
        right = await self._hashing.verify(user.password_hash if user else None, password)
        if user is None or not right or user.status != "active":
            await self._count_failure(address or email[:254], origin, user.id if user else None)
            raise Unauthenticated("The address or the password is wrong", code="bad_credentials")
        if user.password_hash and needs_rehash(user.password_hash):
            hashed = await self._hashing.hash(password)
            async with self._database.transaction() as tx:
                await users.change_user(tx, owner=user.id, password_hash=hashed)
        return await self._open(user.id, origin)

    async def refresh(self, token: str, origin: Origin) -> Tokens:
        """The next pair; the old refresh token is spent. Raises Unauthenticated."""
        successor = new_token()
        hashed = digest(token)
        _, sealed = await self._sealer.seal(successor.encode(), owner=None, purpose="auth", place=_place(hashed))
        async with self._database.transaction() as tx:
            found = await sessions.spend_refresh_token(
                tx, digest=hashed, successor=digest(successor), sealed=sealed, grace=_grace
            )
            user = await sessions.use_session(tx, session_id=found.session_id) if found else None
            if found and found.fresh and user:
                await sessions.add_refresh_token(
                    tx, owner=user.id, session_id=found.session_id, digest=digest(successor), lives=_refresh_lives
                )
        if found is None:
            raise Unauthenticated
        if not found.fresh:
            if not (found.in_grace and found.successor_sealed):
                await self._revoke_all(found.user_id, origin)
                raise Unauthenticated
            successor = (await self._sealer.open(bytes(found.successor_sealed), _place(hashed))).decode()
        if user is None:
            raise Unauthenticated
        return Tokens(await self._access(user.id, found.session_id), successor)

    async def log_out(self, principal: Principal) -> None:
        """End the caller's session; access and refresh tokens die at once."""
        if principal.session_id is None:
            raise Invalid("An API key has no session; delete it instead")
        async with self._database.transaction() as tx:
            await sessions.end_session(tx, owner=principal.user_id, session_id=principal.session_id)
            await audit.add_audit(
                tx,
                entry_id=new_id(),
                action="session.end",
                user_id=principal.user_id,
                session_id=principal.session_id,
            )

    async def _open(self, user_id: UUID, origin: Origin) -> Tokens:
        session_id, refresh = new_id(), new_token()
        async with self._database.transaction() as tx:
            await sessions.add_session(
                tx,
                owner=user_id,
                session_id=session_id,
                lives=_session_lives,
                user_agent=(origin.user_agent or "")[:300] or None,
                address=origin.address,
            )
            await sessions.add_refresh_token(
                tx, owner=user_id, session_id=session_id, digest=digest(refresh), lives=_refresh_lives
            )
            await audit.add_audit(
                tx,
                entry_id=new_id(),
                action="session.begin",
                user_id=user_id,
                session_id=session_id,
                address=origin.address,
            )
        return Tokens(await self._access(user_id, session_id), refresh)

    async def _access(self, user_id: UUID, session_id: UUID) -> str:
        key = await self._signing.current()
        return mint_access_token(
            key, issuer=self._issuer, user_id=user_id, session_id=session_id, now=self._clock.now()
        )

    async def _count_failure(self, email: str, origin: Origin, user_id: UUID | None) -> None:
        async with self._database.transaction() as tx:
            await sessions.add_login_failure(tx, email=email, address=origin.address)
            await audit.add_audit(
                tx,
                entry_id=new_id(),
                action="session.begin",
                result="refused",
                user_id=user_id,
                address=origin.address,
            )

    async def _revoke_all(self, user_id: UUID, origin: Origin) -> None:
        """A spent refresh token came back: somebody else has it. Everything ends, its owner is told (security, 5.1)."""
        async with self._database.transaction() as tx:
            await sessions.end_all_sessions(tx, owner=user_id)
            await audit.add_audit(
                tx, entry_id=new_id(), action="session.reuse", user_id=user_id, address=origin.address
            )
            user = await users.get_user(tx, owner=user_id)
        if user is not None:
            await write_letter(
                self._database,
                owner=user_id,
                to=user.email,
                purpose="compromised",
                locale=user.locale,
                url=self._issuer,
            )


def _throttle(count: int, last: datetime | None, from_address: int, *, now: datetime) -> None:
    """After ten failures in 15 minutes each further try waits, twice as long each time, 15 minutes at most."""
    if from_address >= _most_from_address:
        raise TooManyRequests("Too many failed logins from this address", retry_after_s=_longest_delay_s)
    if count >= _free_failures and last is not None:
        delay = min(_longest_delay_s, 2 ** min(count - _free_failures, 10))
        left = delay - (now - last.astimezone(UTC)).total_seconds()
        if left > 0:
            raise TooManyRequests("Too many failed logins; try again later", retry_after_s=math.ceil(left))


def _address_or_none(email: str) -> str | None:
    try:
        return canonical_address(email)
    except Invalid:
        return None


def _place(token_digest: bytes) -> Place:
    return Place("refresh_tokens", token_digest.hex(), "successor_sealed")
