"""What follows a first factor: a session, or a challenge for the second factor (security, 5.3, 5.4, 6.2 and 6.3).

    password ─────┐                          ┌─▶ session
                  ├─▶ after_first_factor ────┤
    a provider ───┘                          └─▶ challenge ── code ──▶ after_second_factor ──▶ session

A challenge is no session: it opens nothing but `after_second_factor`.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from taske_ray.db import challenges, second_factors, users
from taske_ray.db.database import Database, Transaction
from taske_ray.db.tables import LoginChallenge, User
from taske_ray.errors import Unauthenticated
from taske_ray.security.one_time_codes import mailed_code_digest, new_mailed_code
from taske_ray.security.tokens import digest, new_token
from taske_ray.services.codes import Codes, MailedCode
from taske_ray.services.letters import write_letter
from taske_ray.services.origin import Origin
from taske_ray.services.sessions import Begun, Sessions, Tokens
from taske_ray.services.trail import record

challenge_lives = timedelta(minutes=5)
mailed_code_lives = timedelta(minutes=10)
most_tries = 5


@dataclass(frozen=True, slots=True)
class SecondFactorDue:
    """The first factor was right; a code of one of these kinds opens the session."""

    challenge: str = field(repr=False)
    methods: tuple[str, ...]


class Entrance:
    """The only way to a session."""

    def __init__(self, database: Database, *, sessions: Sessions, codes: Codes, url: str) -> None:
        self._database = database
        self._sessions = sessions
        self._codes = codes
        self._url = url

    async def after_first_factor(self, user_id: UUID, origin: Origin, *, method: str) -> Tokens | SecondFactorDue:
        """A session, or what its second factor needs. `method`: `password`, or the name of a provider.

        Raises Unauthenticated for an account that is not active (unverified, disabled, gone).
        """
        async with self._database.transaction(owner=user_id) as tx:
            user = await users.lock_user(tx, owner=user_id)
            if user is None or user.status != "active":
                raise refused_login()
            enrolled = await second_factors.is_enrolled(tx, owner=user_id)
            if enrolled or user.compromised_at is not None:
                return await self._challenge(tx, user, method, mailed=not enrolled)
            begun = await self._sessions.begin(
                tx, owner=user_id, origin=origin, method=method, password_due=user.password_due
            )
        return await self._sessions.hand_out(begun)

    async def after_second_factor(self, challenge: str, code: str, origin: Origin) -> Tokens:
        """The session of a login whose code is right. Raises Unauthenticated, TooManyRequests."""
        hashed = digest(challenge)
        async with self._database.transaction() as tx:
            tried = await challenges.try_challenge(tx, digest=hashed, most=most_tries)
        if tried is None:
            raise _dead_challenge()
        mailed = MailedCode(challenge, bytes(tried.code_hash)) if tried.code_hash else None
        proof = await self._codes.prove(tried.user_id, code, origin, mailed=mailed)
        if proof is None:
            raise wrong_code()
        async with self._database.transaction(owner=tried.user_id) as tx:
            user = await users.lock_user(tx, owner=tried.user_id)
            if user is None or user.status != "active" or not await challenges.use_challenge(tx, digest=hashed):
                raise _dead_challenge()
            if not await self._codes.spend(tx, proof, origin):
                raise wrong_code()
            begun = await self._open(tx, user, tried, origin)
        return await self._sessions.hand_out(begun)

    async def _challenge(self, tx: Transaction, user: User, method: str, *, mailed: bool) -> SecondFactorDue:
        challenge, code = new_token(), new_mailed_code()
        await challenges.add_challenge(
            tx,
            owner=user.id,
            digest=digest(challenge),
            method=method,
            code_hash=mailed_code_digest(challenge, code) if mailed else None,
            lives=mailed_code_lives if mailed else challenge_lives,
        )
        if not mailed:
            return SecondFactorDue(challenge, ("totp", "recovery_code"))
        await write_letter(tx, user, "login_code", url=self._url, code=code)
        return SecondFactorDue(challenge, ("mail",))

    async def _open(self, tx: Transaction, user: User, tried: LoginChallenge, origin: Origin) -> Begun:
        """The session; whoever comes through a second factor clears the mark of a compromised account."""
        due = user.password_due
        if user.compromised_at is not None:
            unchanged = user.password_set_at is None or user.password_set_at < user.compromised_at
            due = due or (unchanged and user.password_hash is not None)
            await users.change_user(tx, owner=user.id, compromised_at=None, password_due=due)
            await record(tx, "account.cleared", by=user.id, origin=origin, detail={"password_due": due})
        return await self._sessions.begin(tx, owner=user.id, origin=origin, method=tried.method, password_due=due)


def refused_login() -> Unauthenticated:
    """The answer to every login that does not get in, whatever the reason."""
    return Unauthenticated("The address or the password is wrong", code="bad_credentials")


def _dead_challenge() -> Unauthenticated:
    return Unauthenticated("This login is over; log in again", code="bad_challenge")


def wrong_code() -> Unauthenticated:
    """The answer to a second factor that is not right."""
    return Unauthenticated("The code is wrong, too old, or was used before", code="wrong_code")
