"""An account that somebody else may be in: everything ends, it is marked, and its owner is told (security, 5)."""

from uuid import UUID

from taske_ray.db import api_keys, challenges, sessions, users
from taske_ray.db.database import Transaction
from taske_ray.services.letters import write_letter
from taske_ray.services.origin import Origin
from taske_ray.services.trail import record


async def declare_compromised(
    tx: Transaction, *, owner: UUID, session_id: UUID | None, origin: Origin, reason: str, url: str
) -> None:
    """In this transaction: end all sessions, revoke the keys that `session_id` made, mark the account, write a mail."""
    user = await users.lock_user(tx, owner=owner)
    if user is None:
        return
    await sessions.end_all_sessions(tx, owner=owner)
    await challenges.void_challenges(tx, owner=owner)
    revoked = await api_keys.revoke_keys_of_session(tx, owner=owner, session_id=session_id) if session_id else 0
    await users.mark_compromised(tx, owner=owner)
    detail = {"reason": reason, "keys_revoked": revoked}
    await record(tx, "account.compromised", by=owner, origin=origin, session_id=session_id, detail=detail)
    await write_letter(tx, user, "compromised", url=url)
