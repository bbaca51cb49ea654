"""An owner who reads the account's mail, or is logged in, says "this was not me" (security, 5.1).

The compromise flow starts, and what the mail was about is undone: the address comes back, foreign one-time codes and
providers go.
"""

from datetime import datetime, timedelta
from uuid import UUID

from taske_ray.core.ids import parse_id
from taske_ray.db import identities, one_time_tokens, second_factors, sessions, users
from taske_ray.db.database import Database, Transaction
from taske_ray.errors import NotFound
from taske_ray.security.tokens import digest
from taske_ray.services.accounts import bad_token
from taske_ray.services.compromise import declare_compromised
from taske_ray.services.letters import token_lives
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.trail import record

not_me, undo_address, undo_totp, undo_identity = "not_me", "undo_address", "undo_totp", "undo_identity"
_just_before = timedelta(seconds=5)  # the mail about codes is written in the transaction that enrols them
_void = ("reset", "new_address", not_me, undo_address, undo_totp, undo_identity)


class Objections:
    """What an owner says about acts that were not theirs."""

    def __init__(self, database: Database, *, url: str) -> None:
        self._database = database
        self._url = url

    async def by_mail(self, token: str, origin: Origin) -> None:
        """The token of a mail about the account comes back. Raises Invalid."""
        async with self._database.transaction() as tx:
            used = await one_time_tokens.use_one_time_token(
                tx, digest=digest(token), purposes=[not_me, undo_address, undo_totp, undo_identity]
            )
            user = await users.lock_user(tx, owner=used.user_id) if used else None
            if user is None or used is None:
                raise bad_token()
            if used.purpose != not_me:
                await _undo_since(tx, user.id, used.expires_at - token_lives - _just_before, origin)
            if used.purpose == undo_address and used.address and used.address != user.email:
                moved = await users.move_user(tx, owner=user.id, email=used.address)
                await record(tx, "address.restore", by=user.id, origin=origin, result="ok" if moved else "refused")
            for purpose in _void:
                await one_time_tokens.drop_one_time_tokens(tx, owner=user.id, purpose=purpose)
            await declare_compromised(tx, owner=user.id, session_id=None, origin=origin, reason=not_me, url=self._url)

    async def by_session(self, session_id: str, principal: Principal, origin: Origin) -> None:
        """Somebody else is in this session of the caller's account. Raises NotFound."""
        found, owner = parse_id("session", session_id), principal.user_id
        async with self._database.transaction(owner=owner) as tx:
            await users.lock_user(tx, owner=owner)
            session = await sessions.get_session(tx, owner=owner, session_id=found)
            if session is None:
                raise NotFound
            if await identities.drop_identities(tx, owner=owner, provider=session.method):
                await record(tx, "identity.unlink", by=principal, origin=origin, detail={"reason": not_me})
            await declare_compromised(tx, owner=owner, session_id=found, origin=origin, reason=not_me, url=self._url)


async def _undo_since(tx: Transaction, owner: UUID, since: datetime, origin: Origin) -> None:
    """Codes enrolled and providers linked since a mail are as foreign as what it was about."""
    detail = {"reason": not_me}
    if await second_factors.drop_factors(tx, owner=owner, since=since):
        await record(tx, "second_factor.remove", by=owner, origin=origin, detail=detail)
    if await identities.drop_identities(tx, owner=owner, since=since):
        await record(tx, "identity.unlink", by=owner, origin=origin, detail=detail)
