"""Changing a password: by who is logged in, or by who reads the account's mail (security, 6.5 and 6.6)."""

from datetime import timedelta

from taske_ray.db import login_failures, one_time_tokens, second_factors, users
from taske_ray.db.database import Database, Transaction
from taske_ray.db.tables import User
from taske_ray.errors import Forbidden, Invalid, Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.passwords import check_password
from taske_ray.security.tokens import digest
from taske_ray.services.accounts import bad_token
from taske_ray.services.addresses import canonical_address
from taske_ray.services.codes import Codes, Proof
from taske_ray.services.entrance import wrong_code
from taske_ray.services.letters import mail_token_to, write_token_letter
from taske_ray.services.objections import not_me
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.sessions import Sessions, Tokens
from taske_ray.services.trail import record

reset_lives = timedelta(minutes=30)


class Passwords:
    """Changes and resets; both end every session."""

    def __init__(
        self, database: Database, *, hashing: PasswordHashing, codes: Codes, sessions: Sessions, url: str
    ) -> None:
        self._database = database
        self._hashing = hashing
        self._codes = codes
        self._sessions = sessions
        self._url = url

    async def change(self, principal: Principal, password: str, origin: Origin) -> Tokens:
        """Another password for who is logged in, and one new session instead of all. Raises Invalid."""
        check_password(password, address=principal.email)
        async with self._database.transaction(owner=principal.user_id) as tx:
            known = await users.get_user(tx, owner=principal.user_id)
        await self._refuse_the_old(known, password)
        hashed = await self._hashing.hash(password)
        async with self._database.transaction(owner=principal.user_id) as tx:
            user = await users.lock_user(tx, owner=principal.user_id)
            if user is None:
                raise Unauthenticated
            begun = await self._sessions.restart(tx, principal, origin)
            await self._set(tx, user, hashed)
            await record(tx, "password.change", by=principal, origin=origin)
        return await self._sessions.hand_out(begun)

    async def forget(self, email: str, origin: Origin) -> None:
        """Mail a token to choose a new password; for an unknown address nothing happens, and takes as long."""
        address = canonical_address(email)
        async with self._database.transaction() as tx:
            await mail_token_to(
                tx, address, "reset", url=self._url, lives=reset_lives, action="password.forget", origin=origin
            )

    async def reset(self, token: str, password: str, code: str | None, origin: Origin) -> None:
        """Another password for who got the mail, and a code where a second factor is enrolled. Logs nobody in.

        Raises Invalid, Forbidden for a code that is missing, Unauthenticated for a wrong one, TooManyRequests.
        """
        hashed_token = digest(token)
        async with self._database.transaction() as tx:
            found = await one_time_tokens.find_one_time_token(tx, digest=hashed_token, purpose="reset")
            user = await users.get_user(tx, owner=found.user_id) if found else None
            enrolled = await second_factors.is_enrolled(tx, owner=user.id) if user else False
        if user is None:
            raise bad_token()
        check_password(password, address=user.email)
        await self._refuse_the_old(user, password)
        proof = await self._proof(user, code, origin) if enrolled else None
        hashed = await self._hashing.hash(password)
        async with self._database.transaction() as tx:
            await self._finish_reset(tx, hashed_token, hashed, proof, origin)

    async def _refuse_the_old(self, user: User | None, password: str) -> None:
        """Whoever was in the account may know its password: the next one is another. Raises Invalid."""
        if user is None or not (user.password_due or user.compromised_at) or user.password_hash is None:
            return
        if await self._hashing.verify(user.password_hash, password):
            raise Invalid.at("/password", "not_new", "The account was in danger: choose another password than before")

    async def _proof(self, user: User, code: str | None, origin: Origin) -> Proof:
        if not code:
            raise Forbidden("This account needs a code, too: send `code`", code="second_factor_required")
        proof = await self._codes.prove(user.id, code, origin)
        if proof is None:
            raise wrong_code()
        return proof

    async def _finish_reset(
        self, tx: Transaction, token: bytes, hashed: str, proof: Proof | None, origin: Origin
    ) -> None:
        used = await one_time_tokens.use_one_time_token(tx, digest=token, purposes=["reset"])
        user = await users.lock_user(tx, owner=used.user_id) if used else None
        if user is None or used is None or used.address != user.email or user.status == "disabled":
            raise bad_token()
        if proof is not None and not await self._codes.spend(tx, proof, origin):
            raise wrong_code()
        await self._sessions.end_all(tx, owner=user.id)
        await self._set(tx, user, hashed)
        await users.mark_verified(tx, owner=user.id)  # who reads its mail has the address
        await login_failures.forgive_logins(tx, email=user.email)
        await record(tx, "password.reset", by=user.id, origin=origin)

    async def _set(self, tx: Transaction, user: User, hashed: str) -> None:
        """Keep the hash, void what older mails could do, and tell the owner how to object."""
        await users.set_password(tx, owner=user.id, hashed=hashed)
        await one_time_tokens.drop_one_time_tokens(tx, owner=user.id, purpose="reset")
        await write_token_letter(tx, user, "password_changed", purpose=not_me, url=self._url)
