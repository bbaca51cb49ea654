"""Writing the audit trail: who did what to which thing (security, 17.1). `acts.py` reads it."""

import asyncio
import logging
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db import audit
from taske_ray.db.audit import Entry
from taske_ray.db.database import Database, Transaction
from taske_ray.errors import Unavailable
from taske_ray.gather import Gatherer
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal

_log = logging.getLogger(__name__)
_window_s = 60.0
_most_counted = 10_000
_tries = 5
_pause_s = 1.0


@dataclass(frozen=True, slots=True)
class _Actor:
    """Whose request this is, and from where."""

    user_id: UUID
    session_id: UUID | None
    key_id: UUID | None
    address: str | None


_actor: ContextVar[_Actor | None] = ContextVar("taske_actor", default=None)


def acting(principal: Principal | None, address: str | None) -> None:
    """From here on, in this request, entries about this user say by which session or key, and from where.

    For the trail alone: what somebody may do is never read from here.
    """
    found = None if principal is None else _Actor(principal.user_id, principal.session_id, principal.key_id, address)
    _actor.set(found)


def entry_of(action: str, by: UUID, object_: str, detail: Any = None) -> Entry:
    """The entry of what `by` is about to do, to be recorded together with it."""
    return Entry(new_id(), action, by, object_, detail=detail, **_of_the_request(by))


async def record(
    tx: Transaction,
    action: str,
    *,
    by: Principal | UUID | None,
    origin: Origin | None = None,
    result: str = "ok",
    **columns: Any,
) -> None:
    """One row. `by` is the caller, or the user whom an act of nobody known is about; `columns` as in `add_audit`."""
    if isinstance(by, Principal):
        columns = {"session_id": by.session_id, "key_id": by.key_id, **columns}
    user_id = by.user_id if isinstance(by, Principal) else by
    if origin is not None:
        columns = {"address": origin.address, **columns}
    columns = _of_the_request(user_id) | columns
    await audit.add_audit(tx, entry_id=new_id(), action=action, result=result, user_id=user_id, **columns)


def _of_the_request(user_id: UUID | None) -> dict[str, Any]:
    actor = _actor.get()
    if actor is None or actor.user_id != user_id:
        return {}
    return {"session_id": actor.session_id, "key_id": actor.key_id, "address": actor.address}


class Trail:
    """Writes down what happens on its own, in batches and without making anybody wait.

    What is not written when the process is killed is lost; what a person does is recorded with the deed itself.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: Gatherer[Entry] = Gatherer(self._write)
        self._counted: dict[tuple[str, UUID | None, str], tuple[int, Entry]] = {}

    def note(self, entry: Entry) -> None:
        """Record it soon."""
        if not self._entries.offer(entry):
            _log.warning("an audit entry was dropped: %s", entry.action)

    def count(self, entry: Entry) -> None:
        """Record the first of its kind soon, and those of the next minute as one, with their number."""
        key = (entry.action, entry.user_id, entry.object or "")
        found = self._counted.get(key)
        if found is not None:
            self._counted[key] = (found[0] + 1, entry)
            return
        self.note(entry)
        if len(self._counted) < _most_counted:
            self._counted[key] = (0, entry)
            asyncio.get_running_loop().call_later(_window_s, self._settle, key)

    async def close(self) -> None:
        """Write what is left."""
        for key in list(self._counted):
            self._settle(key)
        await self._entries.close()

    def _settle(self, key: tuple[str, UUID | None, str]) -> None:
        count, last = self._counted.pop(key, (0, None))
        if count and last is not None:
            detail = last.detail if isinstance(last.detail, dict) else {}
            self.note(replace(last, id=new_id(), detail={**detail, "count": count}))

    async def _write(self, entries: list[Entry]) -> None:
        for left in reversed(range(_tries)):
            try:
                await audit.record_acts(self._database, entries)
            except Unavailable:
                if not left:
                    raise
                await asyncio.sleep(_pause_s)
            else:
                return
