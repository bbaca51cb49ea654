"""Going to a provider and coming back: state, browser, purpose, PKCE and nonce, the same for every such flow (7.2).

    begin ──▶ state, challenge, nonce go into the provider's URL; `browser` into this browser's cookie
    finish ─▶ the state that came back, once, to the browser and the purpose that it was made for

What a state is good for is decided in one statement; whatever is wrong with it is the same refusal.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from taske_ray.core.landing import landing_place
from taske_ray.db import authorizations
from taske_ray.db.database import Database
from taske_ray.errors import Invalid
from taske_ray.security.pkce import challenge_of
from taske_ray.security.sealed import Place, Purpose
from taske_ray.security.tokens import digest, new_token
from taske_ray.services.sealing import Sealer

AuthorizationPurpose = Literal["login", "connect"]

lives = timedelta(minutes=10)
_token = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Begun:
    """What goes out: `browser` is the value of the cookie that comes back with the state."""

    state: str = field(repr=False)
    browser: str = field(repr=False)
    challenge: str
    nonce: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Returned:
    """Who came back from where; `sealed`, which stands at `place`, holds the verifier and the nonce."""

    provider: str
    user_id: UUID | None
    target: str
    detail: dict[str, Any]
    data_key: UUID
    sealed: bytes = field(repr=False)
    place: Place


@dataclass(frozen=True, slots=True)
class Proof:
    """What only the one who began knows."""

    verifier: str = field(repr=False)
    nonce: str = field(repr=False)


class Authorizations:
    """The visits of one kind of flow; `vault` is the purpose that seals their proofs."""

    def __init__(self, database: Database, sealer: Sealer, *, purpose: AuthorizationPurpose, vault: Purpose) -> None:
        self._database = database
        self._sealer = sealer
        self._purpose = purpose
        self._vault = vault

    async def begin(
        self,
        provider: str,
        *,
        browser: str | None = None,
        owner: UUID | None = None,
        target: str | None = None,
        detail: dict[str, Any] | None = None,
        bound: bool = True,
    ) -> Begun:
        """A visit to `provider`, good for ten minutes. Raises Invalid for a target that is no path of ours.

        `bound`: to the browser that begins it. A program that begins one has none: whoever brings the state ends it.
        `browser` is the value of its cookie, if it has one: two tabs may be on their way at once. `owner`: whose
        connection it becomes; None for a login. `detail` is kept as it is and must not be secret.
        """
        landing = landing_place(target)
        state, verifier, nonce = new_token(), new_token(), new_token()
        known = browser if browser and _token.fullmatch(browser) else new_token()
        known = known if bound else state
        hashed = digest(state)
        proof = json.dumps({"verifier": verifier, "nonce": nonce}).encode()
        key, sealed = await self._sealer.seal(proof, owner=owner, purpose=self._vault, place=_place(hashed))
        async with self._database.transaction(owner=owner) as tx:
            await authorizations.add_authorization(
                tx,
                hash=hashed,
                purpose=self._purpose,
                provider=provider,
                browser_hash=digest(known),
                user_id=owner,
                target=landing,
                detail=detail or {},
                data_key=key,
                sealed=sealed,
                lives=lives,
            )
        return Begun(state, known, challenge_of(verifier), nonce)

    async def finish(self, state: str | None, *, browser: str | None, provider: str | None = None) -> Returned:
        """The visit that ends here, and never again. Raises Invalid, always the same one.

        `provider` None: one way back for all providers; what the answer names is then to be compared with it.
        """
        row = None
        if state and browser:
            async with self._database.transaction() as tx:
                row = await authorizations.use_authorization(
                    tx, digest=digest(state), purpose=self._purpose, browser=digest(browser), provider=provider
                )
        if row is None:
            raise Invalid("This sign-in was not begun here, or it took too long; begin again", code="bad_state")
        return Returned(
            row.provider, row.user_id, row.target, row.detail, row.data_key, bytes(row.sealed), _place(bytes(row.hash))
        )

    async def find_unbound(self, state: str | None) -> dict[str, Any] | None:
        """What was kept with a visit that no browser is bound to, without ending it; None where there is none."""
        if not state:
            return None
        async with self._database.transaction() as tx:
            return await authorizations.find_authorization(
                tx, digest=digest(state), purpose=self._purpose, browser=digest(state)
            )

    async def finish_anywhere(self, state: str | None, *, browser: str | None) -> Returned:
        """As `finish`, also for a visit that no browser is bound to. Raises Invalid, always the same one."""
        unbound = await self.find_unbound(state) is not None
        return await self.finish(state, browser=state if unbound else browser)

    async def proof(self, returned: Returned) -> Proof:
        """Verifier and nonce, of flows whose vault purpose is `auth` or `hooks`. Raises VaultError."""
        return Proof(**json.loads(await self._sealer.open(returned.sealed, returned.place, owner=returned.user_id)))


def _place(hashed: bytes) -> Place:
    return Place("authorization_states", hashed.hex(), "sealed")
