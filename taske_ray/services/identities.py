"""Whose account an identity is: known, linked by a proved address, or new (security, 2.6 and 7.4)."""

from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db import api_keys, challenges, identities, one_time_tokens, second_factors, sessions, users
from taske_ray.db.database import Database, Transaction
from taske_ray.db.tables import LinkedIdentity, User
from taske_ray.errors import Forbidden, Invalid
from taske_ray.integrations.sign_in.identity import Identity, SignInRefused
from taske_ray.services.accounts import AccountRules
from taske_ray.services.addresses import canonical_address
from taske_ray.services.letters import write_token_letter
from taske_ray.services.objections import undo_identity
from taske_ray.services.origin import Origin
from taske_ray.services.trail import record


class Identities:
    """Turns what a provider says into an account of ours."""

    def __init__(self, database: Database, *, rules: AccountRules) -> None:
        self._database = database
        self._rules = rules

    async def owner_of(self, identity: Identity, *, provider: str, locale: str, origin: Origin) -> UUID:
        """The account; made or linked at the first time.

        Raises Forbidden for somebody new without a verified address, or where sign-up is closed, and SignInRefused for
        an account that was disabled.
        """
        issuer, subject = identity.issuer, identity.subject
        address = _proved_address(identity)
        async with self._database.transaction() as tx:
            known = await identities.use_identity(tx, issuer=issuer, subject=subject, email=address)
            if known is None:
                await identities.lock_identity(tx, issuer=issuer, subject=subject)
                known = await identities.use_identity(tx, issuer=issuer, subject=subject, email=address)
            if known is None:
                known = await self._linked(tx, identity, address, provider=provider, locale=locale, origin=origin)
            user = await users.get_user(tx, owner=known)
        if user is None or user.status == "disabled":
            raise SignInRefused("disabled")
        return known

    async def _linked(
        self, tx: Transaction, identity: Identity, address: str | None, *, provider: str, locale: str, origin: Origin
    ) -> UUID:
        if address is None:
            raise Forbidden(
                "The provider does not vouch for an e-mail address of yours; confirm one there",
                code="address_unverified",
            )
        user = await self._made(tx, address, provider=provider, locale=locale, origin=origin)
        if user is None:
            user = await self._existing(tx, address, provider=provider, origin=origin)
        row = LinkedIdentity(
            issuer=identity.issuer,
            subject=identity.subject,
            id=new_id(),
            user_id=user.id,
            provider=provider,
            email=address,
        )
        await identities.add_identity(tx, row)
        await record(tx, "identity.link", by=user.id, origin=origin, detail={"provider": provider})
        return user.id

    async def _made(self, tx: Transaction, address: str, *, provider: str, locale: str, origin: Origin) -> User | None:
        """A new account without a password; None when the address has one."""
        if await users.find_user(tx, address) is not None:
            return None
        if not self._rules.signup_open:
            raise Forbidden("Sign-up is closed on this service", code="signup_closed")
        user = User(id=new_id(), email=address, locale=locale, status="active")
        if not await users.add_user(tx, user):
            return None  # somebody was faster
        await users.mark_verified(tx, owner=user.id)
        await record(tx, "account.sign_up", by=user.id, origin=origin, detail={"provider": provider})
        return user

    async def _existing(self, tx: Transaction, address: str, *, provider: str, origin: Origin) -> User:
        """The account with this address, which is the person's: proved by a mail of ours, or from now on."""
        found = await users.find_user(tx, address)
        user = await users.lock_user(tx, owner=found.id) if found else None
        if user is None or user.email != address:
            raise SignInRefused("the account went away")
        if user.status == "disabled":
            raise SignInRefused("disabled")
        if user.verified_at is None:
            await _take_from_strangers(tx, user, origin)
        await write_token_letter(tx, user, "linked", purpose=undo_identity, url=self._rules.url, provider=provider)
        return user


async def _take_from_strangers(tx: Transaction, user: User, origin: Origin) -> None:
    """Whoever made this account never proved its address, and may be waiting in it for its owner (pre-hijacking).

    Its password, sessions, keys, second factor and providers go; from here on it is the owner's.
    """
    await sessions.end_all_sessions(tx, owner=user.id)
    await challenges.void_challenges(tx, owner=user.id)
    await second_factors.drop_factors(tx, owner=user.id)
    await api_keys.revoke_all_keys(tx, owner=user.id)
    await identities.drop_identities(tx, owner=user.id)
    await one_time_tokens.drop_one_time_tokens(tx, owner=user.id)
    await users.change_user(tx, owner=user.id, password_hash=None, password_due=False, compromised_at=None)
    await users.mark_verified(tx, owner=user.id)
    await record(tx, "account.take_over", by=user.id, origin=origin)


def _proved_address(identity: Identity) -> str | None:
    if not identity.email_verified or identity.email is None:
        return None
    try:
        return canonical_address(identity.email)
    except Invalid:
        return None
