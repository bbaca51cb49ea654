"""Checking second factors: one-time codes of an app, recovery codes, codes by mail (security, 6.1, 6.2 and 6.4).

Every try is counted before it is looked at and taken back when it was right. `prove` says what a code is worth,
`spend` uses it up in the transaction of what it allows: one of many at once gets there.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from taske_ray.clock import Clock
from taske_ray.core.throttle import wait_s
from taske_ray.db import second_factors, users
from taske_ray.db.database import Database, Transaction
from taske_ray.errors import Invalid, TooManyRequests
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.one_time_codes import label_of, mailed_code_digest, matching_step, read_code
from taske_ray.security.sealed import Place
from taske_ray.security.tokens import is_same
from taske_ray.services.letters import write_letter
from taske_ray.services.origin import Origin
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import record

free_failures = 20
counted_for = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MailedCode:
    """A code that was mailed for one login: the login's challenge, and what is stored of the code."""

    challenge: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """A right code that is not spent yet."""

    owner: UUID
    failure_id: int
    kind: Literal["totp", "recovery_code", "mail"]
    step: int = 0
    label: str = ""
    hashed: str = ""


class Codes:
    """What codes are worth, and how often a user may be wrong."""

    def __init__(self, database: Database, *, hashing: PasswordHashing, sealer: Sealer, clock: Clock, url: str) -> None:
        self._database = database
        self._hashing = hashing
        self._sealer = sealer
        self._clock = clock
        self._url = url

    async def prove(self, owner: UUID, code: str, origin: Origin, *, mailed: MailedCode | None = None) -> Proof | None:
        """What a code is worth; None for a wrong one, which stays counted. Raises TooManyRequests.

        `mailed`: only the code that was mailed will do.
        """
        failure_id = await self._count(owner)
        read = read_code(code)
        if mailed is not None:
            right = is_same(mailed_code_digest(mailed.challenge, read), mailed.digest)
            proof = Proof(owner, failure_id, "mail") if right else None
        elif label := label_of(read):
            proof = await self._recovery(owner, label, read, failure_id)
        else:
            step = await self._step(owner, read, confirmed=True)
            proof = Proof(owner, failure_id, "totp", step=step) if step is not None else None
        if proof is None:
            await self._refused(owner, origin)
        return proof

    async def spend(self, tx: Transaction, proof: Proof, origin: Origin) -> bool:
        """Use a proof up; False when somebody else was faster, which stays counted."""
        if proof.kind == "totp":
            spent = await second_factors.spend_step(tx, owner=proof.owner, step=proof.step)
        elif proof.kind == "recovery_code":
            spent = await second_factors.spend_recovery_code(
                tx, owner=proof.owner, label=proof.label, hashed=proof.hashed
            )
        else:
            spent = True  # its challenge is what is good once
        if spent:
            await second_factors.drop_code_failure(tx, proof.failure_id)
            await record(tx, "second_factor.use", by=proof.owner, origin=origin, detail={"kind": proof.kind})
        return spent

    async def first_step(self, owner: UUID, code: str, origin: Origin) -> int | None:
        """Which step's code this is, of a secret that waits for its first; None for any other, which stays counted."""
        failure_id = await self._count(owner)
        step = await self._step(owner, read_code(code), confirmed=False)
        if step is None:
            await self._refused(owner, origin)
            return None
        async with self._database.transaction(owner=owner) as tx:
            await second_factors.drop_code_failure(tx, failure_id)
        return step

    async def _step(self, owner: UUID, read: str, *, confirmed: bool) -> int | None:
        async with self._database.transaction(owner=owner) as tx:
            factor = await second_factors.get_totp(tx, owner=owner)
        if factor is None or (factor.confirmed_at is not None) is not confirmed:
            return None
        secret = await self._sealer.open(bytes(factor.sealed), totp_place(owner), owner=owner)
        return matching_step(secret.decode(), read, self._clock.now())

    async def _recovery(self, owner: UUID, label: str, read: str, failure_id: int) -> Proof | None:
        async with self._database.transaction(owner=owner) as tx:
            hashed = await second_factors.recovery_hash(tx, owner=owner, label=label)
        right = await self._hashing.verify(hashed, read)
        return Proof(owner, failure_id, "recovery_code", label=label, hashed=hashed) if right and hashed else None

    async def _count(self, owner: UUID) -> int:
        async with self._database.transaction(owner=owner) as tx:
            await second_factors.lock_codes(tx, owner=owner)
            count, last, now = await second_factors.code_failures(tx, owner=owner, within=counted_for)
            wait = wait_s(count, last, free=free_failures, now=now)
            if wait:
                raise TooManyRequests(retry_after_s=wait)
            return await second_factors.add_code_failure(tx, owner=owner)

    async def _refused(self, owner: UUID, origin: Origin) -> None:
        async with self._database.transaction(owner=owner) as tx:
            await record(tx, "second_factor.use", by=owner, origin=origin, result="refused")
            count, _, _ = await second_factors.code_failures(tx, owner=owner, within=counted_for)
            user = await users.get_user(tx, owner=owner) if count >= free_failures else None
            if user is not None:
                await write_letter(tx, user, "many_codes", url=self._url, count=count)


def totp_place(owner: UUID) -> Place:
    """Where the secret of a user's one-time codes stands."""
    return Place("totp_factors", owner, "sealed")


def wrong_own_code() -> Invalid:
    """The answer to somebody who is logged in and gives a code that is not right."""
    return Invalid.at("/code", "wrong_code", "The code is wrong, too old, or was used before")
