"""Enrolling and removing the second factor of a user (security, 6.1, 6.4 and 4.8)."""

import asyncio

from taske_ray.db import second_factors, users
from taske_ray.db.database import Database
from taske_ray.errors import Conflict
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.one_time_codes import label_of, new_recovery_codes, new_totp_secret, read_code, totp_uri
from taske_ray.services.codes import Codes, totp_place, wrong_own_code
from taske_ray.services.letters import write_token_letter
from taske_ray.services.objections import not_me, undo_totp
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.sealing import Sealer
from taske_ray.services.sessions import Sessions, Tokens
from taske_ray.services.trail import record


class SecondFactors:
    """One-time codes of an app, with recovery codes. What changes them ends every session but a new one."""

    def __init__(
        self,
        database: Database,
        *,
        hashing: PasswordHashing,
        sealer: Sealer,
        codes: Codes,
        sessions: Sessions,
        url: str,
    ) -> None:
        self._database = database
        self._hashing = hashing
        self._sealer = sealer
        self._codes = codes
        self._sessions = sessions
        self._url = url

    async def enrol(self, principal: Principal, origin: Origin) -> dict[str, str]:
        """A new secret, shown this once and in use after `confirm`. Raises Conflict."""
        owner, secret = principal.user_id, new_totp_secret()
        key, sealed = await self._sealer.seal(secret.encode(), owner=owner, purpose="auth", place=totp_place(owner))
        async with self._database.transaction(owner=owner) as tx:
            if not await second_factors.begin_totp(tx, owner=owner, data_key=key, sealed=sealed):
                raise Conflict("One-time codes are in use already; remove them first", code="already_enrolled")
            await record(tx, "second_factor.begin", by=principal, origin=origin)
        return {"secret": secret, "uri": totp_uri(secret, account=principal.email)}

    async def confirm(self, principal: Principal, code: str, origin: Origin) -> tuple[list[str], Tokens]:
        """Put the secret to use: ten recovery codes, and one new session instead of all. Raises Conflict, Invalid."""
        owner = principal.user_id
        await self._require_enrolled(principal, confirmed=False)
        step = await self._codes.first_step(owner, code, origin)
        if step is None:
            raise wrong_own_code()
        codes = new_recovery_codes()
        hashes = await asyncio.gather(*(self._hashing.hash(read_code(one)) for one in codes))
        by_label = {str(label_of(read_code(one))): hashed for one, hashed in zip(codes, hashes, strict=True)}
        async with self._database.transaction(owner=owner) as tx:
            user = await users.lock_user(tx, owner=owner)
            if user is None or not await second_factors.confirm_totp(tx, owner=owner, step=step):
                raise Conflict("One-time codes are in use already", code="already_enrolled")
            await second_factors.replace_recovery_codes(tx, owner=owner, hashes=by_label)
            begun = await self._sessions.restart(tx, principal, origin)
            await record(tx, "second_factor.enrol", by=principal, origin=origin)
            await write_token_letter(tx, user, "totp_on", purpose=undo_totp, url=self._url)
        return codes, await self._sessions.hand_out(begun)

    async def remove(self, principal: Principal, code: str, origin: Origin) -> Tokens:
        """Stop asking for codes; one new session instead of all. Raises Conflict, Invalid."""
        owner = principal.user_id
        await self._require_enrolled(principal, confirmed=True)
        proof = await self._codes.prove(owner, code, origin)
        if proof is None:
            raise wrong_own_code()
        async with self._database.transaction(owner=owner) as tx:
            user = await users.lock_user(tx, owner=owner)
            if user is None or not await self._codes.spend(tx, proof, origin):
                raise wrong_own_code()
            await second_factors.drop_factors(tx, owner=owner)
            begun = await self._sessions.restart(tx, principal, origin)
            await record(tx, "second_factor.remove", by=principal, origin=origin)
            await write_token_letter(tx, user, "totp_off", purpose=not_me, url=self._url)
        return await self._sessions.hand_out(begun)

    async def _require_enrolled(self, principal: Principal, *, confirmed: bool) -> None:
        async with self._database.transaction(owner=principal.user_id) as tx:
            factor = await second_factors.get_totp(tx, owner=principal.user_id)
        if factor is None or (confirmed and factor.confirmed_at is None):
            raise Conflict("There are no one-time codes to begin with", code="not_enrolled")
        if not confirmed and factor.confirmed_at is not None:
            raise Conflict("One-time codes are in use already", code="already_enrolled")
