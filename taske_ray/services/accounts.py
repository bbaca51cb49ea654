"""Accounts: sign up, confirm the address, read and change oneself, leave."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from taske_ray.db import audit, users
from taske_ray.db.database import Database
from taske_ray.db.tables import User
from taske_ray.errors import Conflict, Forbidden, Invalid, Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.passwords import check_password
from taske_ray.security.tokens import digest, new_token
from taske_ray.services.addresses import canonical_address
from taske_ray.services.letters import write_letter

_token_lives = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the operator decided about accounts."""

    signup_open: bool = True
    verification_required: bool = False
    url: str = "http://127.0.0.1:8000"


class Accounts:
    """What a person can do with an account."""

    def __init__(self, database: Database, *, hashing: PasswordHashing, rules: AccountRules) -> None:
        self._database = database
        self._hashing = hashing
        self._rules = rules

    async def sign_up(self, email: str, password: str, locale: str | None = None) -> None:
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
            added = await users.add_user(tx, user)
            if added:
                await audit.add_audit(tx, entry_id=new_id(), action="account.sign_up", user_id=user.id)
        await self._write_to(user if added else await self._existing(address), new=added)

    async def create_user(self, email: str, password: str, *, admin: bool = False) -> str:
        """An active account, made by the operator; its id. Raises Invalid, Conflict."""
        address = canonical_address(email)
        check_password(password, address=address)
        hashed = await self._hashing.hash(password)
        role = "admin" if admin else "user"
        user = User(id=new_id(), email=address, password_hash=hashed, role=role, status="active")
        async with self._database.transaction() as tx:
            if not await users.add_user(tx, user):
                raise Conflict(f"There is an account for {address} already", code="address_taken")
            await audit.add_audit(
                tx, entry_id=new_id(), action="account.create", user_id=user.id, detail={"role": role}
            )
        return format_id("user", user.id)

    async def verify(self, token: str) -> None:
        """Confirm an address with the token that was mailed to it. Raises Invalid."""
        async with self._database.transaction() as tx:
            user_id = await users.use_one_time_token(tx, digest=digest(token), purpose="verify")
            user = await users.get_user(tx, owner=user_id) if user_id else None
            if user is not None:
                if user.status == "pending":
                    await users.change_user(tx, owner=user.id, status="active")
                await audit.add_audit(tx, entry_id=new_id(), action="account.verify", user_id=user.id)
        if user is None:
            raise Invalid.at("/token", "bad_token", "The token is unknown, used or expired")

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

    async def delete(self, *, owner: UUID) -> None:
        """Remove the account with its tasks, connections, keys and history."""
        async with self._database.transaction() as tx:
            await users.delete_user(tx, owner=owner)
            await audit.add_audit(tx, entry_id=new_id(), action="account.delete", user_id=owner)

    async def _existing(self, address: str) -> User | None:
        async with self._database.transaction() as tx:
            return await users.find_user(tx, address)

    async def _write_to(self, user: User | None, *, new: bool) -> None:
        if user is None:
            return
        purpose, token = ("verify", new_token()) if new or user.status == "pending" else ("known", "")
        if token:
            async with self._database.transaction() as tx:
                await users.add_one_time_token(
                    tx, owner=user.id, digest=digest(token), purpose="verify", lives=_token_lives
                )
        await write_letter(
            self._database,
            owner=user.id,
            to=user.email,
            purpose=purpose,
            locale=user.locale,
            url=self._rules.url,
            token=token,
        )


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
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
