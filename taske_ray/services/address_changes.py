"""Another e-mail address: confirmed at the new one, reported to the old one (security, 6.6)."""

from taske_ray.db import one_time_tokens, users
from taske_ray.db.database import Database
from taske_ray.errors import Conflict, Unauthenticated
from taske_ray.security.tokens import digest
from taske_ray.services.accounts import bad_token
from taske_ray.services.addresses import canonical_address
from taske_ray.services.letters import write_letter, write_token_letter
from taske_ray.services.objections import undo_address
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.trail import record


class AddressChanges:
    """Moves an account to another address; `objections.py` moves it back."""

    def __init__(self, database: Database, *, url: str) -> None:
        self._database = database
        self._url = url

    async def request(self, principal: Principal, email: str, origin: Origin) -> None:
        """Mail a token to the new address; when it belongs to an account already, that one is told instead."""
        address = canonical_address(email)
        async with self._database.transaction() as tx:
            user = await users.lock_user(tx, owner=principal.user_id)
            if user is None:
                raise Unauthenticated
            await record(tx, "address.request", by=principal, origin=origin)
            other = await users.find_user(tx, address)
            if other is not None:
                await write_letter(tx, other, "known", url=self._url)
                return
            await one_time_tokens.drop_one_time_tokens(tx, owner=user.id, purpose="new_address")
            await write_token_letter(
                tx, user, "new_address", purpose="new_address", url=self._url, to=address, address=address
            )

    async def confirm(self, token: str, origin: Origin) -> None:
        """The account has the new address from now on. Raises Invalid, Conflict."""
        async with self._database.transaction() as tx:
            used = await one_time_tokens.use_one_time_token(tx, digest=digest(token), purposes=["new_address"])
            user = await users.lock_user(tx, owner=used.user_id) if used else None
            if user is None or used is None or used.address is None or user.status == "disabled":
                raise bad_token()
            old = user.email
            if not await users.move_user(tx, owner=user.id, email=used.address):
                raise Conflict("There is an account with this address by now", code="address_taken")
            await one_time_tokens.drop_one_time_tokens(tx, owner=user.id, purpose="reset")  # mailed to the old one
            await record(tx, "address.change", by=user.id, origin=origin)
            await write_token_letter(
                tx, user, "address_changed", purpose=undo_address, url=self._url, to=old, address=old
            )
