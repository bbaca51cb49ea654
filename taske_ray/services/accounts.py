"""Accounts: sign up, confirm the address, read and change oneself, leave."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from taske_ray.db import challenges, one_time_tokens, sessions, users
from taske_ray.db.database import Database, Transaction
from taske_ray.db.tables import User
from taske_ray.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.passwords import check_password
from taske_ray.security.tokens import digest
from taske_ray.services.addresses import canonical_address
from taske_ray.services.letters import mail_token_to, token_lives, write_letter
from taske_ray.services.origin import Origin, nowhere
from taske_ray.services.ports import Farewells
from taske_ray.services.principal import Principal
from taske_ray.services.trail import record

_forgotten_at_once = 2_000


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the operator decided about accounts."""

    signup_open: bool = True
    verification_required: bool = False
    url: str = "http://127.0.0.1:8000"


class Accounts:
    """What a person can do with an account."""

    def __init__(
        self, database: Database, *, hashing: PasswordHashing, rules: AccountRules, farewells: Farewells | None = None
    ) -> None:
        self._database = database
        self._hashing = hashing
        self._rules = rules
        self._farewells = farewells

    async def sign_up(self, email: str, password: str, locale: str | None = None, origin: Origin = nowhere) -> None:
        """Make an account, or write to the one that has the address: the caller cannot tell.

        A new account gets a token to verify its address, also where it may log in without. Raises Invalid, Forbidden,
        TooManyRequests.
        """
        if not self._rules.signup_open:
            raise Forbidden("Sign-up is closed on this service", code="signup_closed")
        address = canonical_address(email)
        check_password(password, address=address)
        hashed = await self._hashing.hash(password)
        status = "pending" if self._rules.verification_required else "active"
        user = User(id=new_id(), email=address, password_hash=hashed, locale=locale or "en", status=status)
        async with self._database.transaction() as tx:
            made = await users.add_user(tx, user)
            found = await users.find_user(tx, address)
            waiting = found if found is not None and found.status == "pending" else None
            if waiting is not None and not made:
                # two chose a password for one address: without the token of its own mail neither counts
                await users.change_user(tx, owner=waiting.id, password_hash=None)
            await self._answer_by_mail(tx, address, origin, made=made, hashed=hashed if made or waiting else None)

    async def create_user(self, email: str, password: str, *, admin: bool = False) -> str:
        """An active account, made by the operator, who vouches for the address; its id. Raises Invalid, Conflict."""
        address = canonical_address(email)
        check_password(password, address=address)
        hashed = await self._hashing.hash(password)
        role = "admin" if admin else "user"
        user = User(id=new_id(), email=address, password_hash=hashed, role=role, status="active")
        async with self._database.transaction() as tx:
            if not await users.add_user(tx, user):
                raise Conflict(f"There is an account for {address} already", code="address_taken")
            await users.mark_verified(tx, owner=user.id)
            await record(tx, "account.create", by=user.id, detail={"role": role})
        return format_id("user", user.id)

    async def set_role(self, email: str, *, admin: bool) -> str:
        """The operator's word on what somebody may do; all their sessions end, so that no token outlives it; their id.

        Raises Invalid, NotFound.
        """
        address, role = canonical_address(email), "admin" if admin else "user"
        async with self._database.transaction() as tx:
            found = await users.find_user(tx, address)
            user = await users.lock_user(tx, owner=found.id) if found else None
            if user is None:
                raise NotFound(f"There is no account for {address}")
            if user.role != role:
                await users.change_user(tx, owner=user.id, role=role)
                await sessions.end_all_sessions(tx, owner=user.id)
                await challenges.void_challenges(tx, owner=user.id)
                await record(tx, "account.role", by=user.id, detail={"role": role})
        return format_id("user", user.id)

    async def verify(self, token: str, origin: Origin = nowhere) -> None:
        """Confirm an address with the token that was mailed to it. Raises Invalid."""
        async with self._database.transaction() as tx:
            used = await one_time_tokens.use_one_time_token(tx, digest=digest(token), purposes=["verify"])
            user = await users.lock_user(tx, owner=used.user_id) if used else None
            if user is None or used is None or used.address != user.email or user.status == "disabled":
                raise bad_token()
            if user.status == "pending" and used.password_hash is not None:
                await users.set_password(tx, owner=user.id, hashed=used.password_hash)
            await users.mark_verified(tx, owner=user.id)
            await one_time_tokens.drop_one_time_tokens(tx, owner=user.id, purpose="verify")
            await record(tx, "account.verify", by=user.id, origin=origin)

    async def resend(self, email: str, origin: Origin = nowhere) -> None:
        """Mail another token to an account that has not proved its address; for any other nothing is mailed."""
        address, url = canonical_address(email), self._rules.url
        async with self._database.transaction() as tx:
            await mail_token_to(
                tx,
                address,
                "verify",
                url=url,
                lives=token_lives,
                action="account.resend",
                origin=origin,
                unverified=True,
            )

    async def get(self, *, owner: UUID) -> dict[str, Any]:
        """The account as its owner sees it."""
        async with self._database.transaction() as tx:
            user = await users.get_user(tx, owner=owner)
        return _view(user)

    async def change(self, *, owner: UUID, changes: dict[str, Any]) -> dict[str, Any]:
        """Change name, locale, country or time zone. Raises Invalid."""
        if changes.get("timezone") is not None:
            _check_zone(changes["timezone"])
        async with self._database.transaction() as tx:
            user = await users.change_user(tx, owner=owner, **changes)
        return _view(user)

    async def delete(self, principal: Principal, origin: Origin = nowhere) -> None:
        """Remove the account with its tasks, connections, keys and history.

        Before its keys are destroyed, providers are told to forget its tokens: once, and for some seconds only.
        """
        owner = principal.user_id
        revoked = await self._farewells.revoke_all(owner) if self._farewells is not None else 0
        async with self._database.transaction(owner=owner) as tx:
            user = await users.lock_user(tx, owner=owner)
            if user is None:
                raise Unauthenticated
            await record(tx, "account.delete", by=principal, origin=origin, detail={"revoked": revoked})
            await write_letter(tx, user, "deleted", url=self._rules.url)
            await users.delete_user(tx, owner=owner)
        while await users.forget_runs(self._database, owner=owner, most=_forgotten_at_once):
            pass  # and what a crash leaves here, housekeeping forgets

    async def _answer_by_mail(
        self, tx: Transaction, address: str, origin: Origin, *, made: bool, hashed: str | None
    ) -> None:
        """A token to prove the address; to whoever has proved it, word of the sign-up.

        With the token comes the password of the sign-up that it was mailed for, whoever signed up before.
        """
        await mail_token_to(
            tx,
            address,
            "verify" if hashed else "known",
            url=self._rules.url,
            lives=token_lives,
            action="account.sign_up" if made else "account.sign_up_again",
            origin=origin,
            password_hash=hashed,
        )


def bad_token() -> Invalid:
    """The answer to a mailed token that is good for nothing (any more)."""
    return Invalid.at("/token", "bad_token", "The token is unknown, used or expired")


def _check_zone(name: str) -> None:
    if name not in available_timezones():
        raise Invalid.at("/timezone", "bad_timezone", f"{name!r} is not an IANA time zone, like Asia/Seoul")
    ZoneInfo(name)


def _view(user: User | None) -> dict[str, Any]:
    if user is None:
        raise Unauthenticated
    return {
        "id": format_id("user", user.id),
        "email": user.email,
        "name": user.name,
        "locale": user.locale,
        "country": user.country,
        "timezone": user.timezone,
        "role": user.role,
        "status": user.status,
        "verified": user.verified_at is not None,
        "password_change_required": user.password_due,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
