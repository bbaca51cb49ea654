"""Logging in with a password: throttled, and the same to look at for every account that does not get in (2.7, 2.8)."""

import logging
from datetime import timedelta

from taske_ray.core.throttle import longest_s, wait_s
from taske_ray.db import login_failures, second_factors, sessions, users
from taske_ray.db.database import Database
from taske_ray.db.tables import User
from taske_ray.errors import Invalid, TooManyRequests, Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.passwords import needs_rehash
from taske_ray.security.tokens import keyed_tag
from taske_ray.services.addresses import canonical_address
from taske_ray.services.codes import Codes, wrong_own_code
from taske_ray.services.entrance import Entrance, SecondFactorDue, refused_login
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.sessions import Tokens
from taske_ray.services.trail import record

free_failures = 10
most_from_address = 100
spraying_accounts = 20
most_at_once = 20
_spraying_within = timedelta(hours=1)
_log = logging.getLogger(__name__)


class Logins:
    """Who comes with a password. `tag_key` keys what is kept of wrong passwords to see one tried on many accounts."""

    def __init__(
        self, database: Database, *, hashing: PasswordHashing, entrance: Entrance, codes: Codes, tag_key: bytes
    ) -> None:
        self._database = database
        self._hashing = hashing
        self._entrance = entrance
        self._codes = codes
        self._tag_key = tag_key

    async def log_in(self, email: str, password: str, origin: Origin) -> Tokens | SecondFactorDue:
        """A session or what is still due. Unknown, wrong, unverified and social-only look alike.

        Raises Unauthenticated, TooManyRequests.
        """
        user = await self._checked(_typed(email), password, origin)
        return await self._entrance.after_first_factor(user.id, origin, method="password")

    async def reauthenticate(self, principal: Principal, password: str, code: str | None, origin: Origin) -> None:
        """Prove again who one is, without another session. Raises Invalid, TooManyRequests.

        Whoever asks is known already: a wrong password or code is a wrong field, not a reason to log in again.
        """
        owner = principal.user_id
        try:
            user = await self._checked(principal.email, password, origin)
        except Unauthenticated:
            raise Invalid.at("/password", "wrong_password", "The password is wrong") from None
        async with self._database.transaction(owner=owner) as tx:
            enrolled = await second_factors.is_enrolled(tx, owner=owner)
        proof = None
        if enrolled:
            if not code:
                raise Invalid.at("/code", "missing", "This account needs a code, too")
            proof = await self._codes.prove(owner, code, origin)
            if proof is None:
                raise wrong_own_code()
        async with self._database.transaction(owner=owner) as tx:
            if proof is not None and not await self._codes.spend(tx, proof, origin):
                raise wrong_own_code()
            if principal.session_id is None or user.id != owner:
                raise Unauthenticated
            if not await sessions.renew_authentication(tx, owner=owner, session_id=principal.session_id):
                raise Unauthenticated
            await record(tx, "session.reauthenticate", by=principal, origin=origin)

    async def _checked(self, typed: str, password: str, origin: Origin) -> User:
        """The active account with this address and password. One hash is computed whatever there is to compare."""
        tag = keyed_tag(self._tag_key, password)
        login_id = await self._begin(typed, tag, origin)
        async with self._database.transaction() as tx:
            user = await users.find_user(tx, typed)
        right = await self._hashing.verify(user.password_hash if user else None, password)
        if user is None or not right or user.status != "active":
            await self._refuse(login_id, user, tag, origin)
            raise refused_login()
        stale = user.password_hash is not None and needs_rehash(user.password_hash)
        fresh = await self._hashing.hash(password) if stale else None
        async with self._database.transaction() as tx:
            await login_failures.forgive_logins(tx, email=typed, login_id=login_id)
            if fresh is not None:
                await users.rehash_password(tx, owner=user.id, old=user.password_hash, new=fresh)
        return user

    async def _begin(self, typed: str, tag: bytes, origin: Origin) -> int:
        """Write the login down, unless it has to wait. Raises TooManyRequests."""
        async with self._database.transaction() as tx:
            await login_failures.lock_logins(tx, email=typed)
            found = await login_failures.recent_failures(tx, email=typed, address=origin.address)
            if found.from_address >= most_from_address:
                raise TooManyRequests(retry_after_s=longest_s)
            wait = wait_s(found.of_account, found.last_at, free=free_failures, now=found.now)
            if wait or found.pending >= _most_pending(found.of_account):
                raise TooManyRequests(retry_after_s=wait or 1)
            return await login_failures.begin_login(tx, email=typed, address=origin.address, password_tag=tag)

    async def _refuse(self, login_id: int, user: User | None, tag: bytes, origin: Origin) -> None:
        async with self._database.transaction() as tx:
            await login_failures.lock_password(tx, password_tag=tag)  # the alarm is for the twentieth, which is one
            await login_failures.login_failed(tx, login_id)
            await record(tx, "session.begin", by=user.id if user else None, origin=origin, result="refused")
            tried = await login_failures.accounts_tried_with(tx, password_tag=tag, within=_spraying_within)
            if tried == spraying_accounts:
                _log.warning("one password failed with %d accounts within an hour", tried)
                detail = {"accounts": tried}
                await record(tx, "login.spraying", by=None, origin=origin, result="alarm", detail=detail)


def _most_pending(failures: int) -> int:
    """How many logins of one account are looked at at once: a few of a fleet that starts, one where guessing began."""
    return most_at_once if failures < free_failures else 1


def _typed(email: str) -> str:
    """The address as failures are counted by: canonical where it is one, else as it was typed."""
    try:
        return canonical_address(email)
    except Invalid:
        return email[:254]
