"""One answer for one `Idempotency-Key`: kept a day, sealed because answers may hold what is shown once."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db import idempotency as rows
from taske_ray.db.database import Database
from taske_ray.errors import Conflict, Invalid
from taske_ray.security.sealed import Place, Purpose, VaultError
from taske_ray.services.sealing import Sealer

_nobody = UUID(int=0)
_longest_key = 255
_patience_s = 10.0
_look_every_s = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer: status, the headers that belong to it, and its JSON text."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


class Idempotency:
    """Answers equal requests once. What failed is not kept, so that it may be tried again."""

    def __init__(self, database: Database, sealer: Sealer, *, purpose: Purpose) -> None:
        self._database = database
        self._sealer = sealer
        self._purpose = purpose

    async def once(
        self, key: str, *, owner: UUID | None, request: bytes, work: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """The answer, and whether it was given before. Raises Invalid for the same key with another request.

        `request` is what makes two requests equal: method, path and body. `owner` None: nobody we know.
        """
        if not 0 < len(key) <= _longest_key or not key.isprintable():
            raise Invalid(
                f"An Idempotency-Key has 1 to {_longest_key} printable characters", code="bad_idempotency_key"
            )
        whose, digest = owner or _nobody, hashlib.sha256(request).digest()
        found = await self._begin(whose, key, digest)
        if found is not None:
            return await self._open(found, whose, key), True
        try:
            answer = await work()
        except BaseException:
            await asyncio.shield(rows.abandon(self._database, owner=whose, key=key))
            raise
        if answer.status >= 300:  # noqa: PLR2004 - not a success
            await rows.abandon(self._database, owner=whose, key=key)
        else:
            await self._keep(answer, whose, key)
        return answer, False

    async def _begin(self, owner: UUID, key: str, digest: bytes) -> dict[str, Any] | None:
        """None when the request is ours to answer, else the row of the one that was; waits while that is going on."""
        waited = 0.0
        while True:
            found = await rows.begin(self._database, owner=owner, key=key, request_hash=digest, claim=new_id())
            if found is None:
                return None
            if bytes(found["request_hash"]) != digest:
                raise Invalid("This Idempotency-Key was used for another request", code="idempotency_key_reused")
            if found["status"] is not None:
                return found
            if waited >= _patience_s:
                raise Conflict("A request with this Idempotency-Key is being answered", code="idempotency_in_progress")
            await asyncio.sleep(_look_every_s)
            waited += _look_every_s

    async def _keep(self, answer: Answer, owner: UUID, key: str) -> None:
        plain = json.dumps(asdict(answer)).encode()
        _, sealed = await self._sealer.seal(plain, owner=None, purpose=self._purpose, place=_place(owner, key))
        body = json.dumps({"sealed": base64.b64encode(sealed).decode()})
        await rows.finish(self._database, owner=owner, key=key, status=answer.status, body=body)

    async def _open(self, row: dict[str, Any], owner: UUID, key: str) -> Answer:
        try:
            sealed = base64.b64decode(row["body"]["sealed"])
            return Answer(**json.loads(await self._sealer.open(sealed, _place(owner, key), owner=None)))
        except (VaultError, KeyError, TypeError) as error:
            raise Conflict("The answer to this Idempotency-Key can no longer be read") from error


def _place(owner: UUID, key: str) -> Place:
    return Place("idempotency_keys", f"{owner}:{hashlib.sha256(key.encode()).hexdigest()}", "body")
