"""Logging in with a provider: there and back, and then as with any first factor (security, 7.2 to 7.6)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from taske_ray.db.database import Database
from taske_ray.errors import Forbidden, NotFound, TaskeError
from taske_ray.integrations.sign_in.identity import IdentityProvider, Return, SignInRefused, Visit
from taske_ray.security.id_tokens import BadIdToken
from taske_ray.services.authorizations import Authorizations, Returned
from taske_ray.services.entrance import Entrance, SecondFactorDue
from taske_ray.services.identities import Identities
from taske_ray.services.origin import Origin
from taske_ray.services.sessions import Tokens
from taske_ray.services.trail import record

_longest_code = 4096
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser is sent, and what it must bring back in its cookie."""

    address: str = field(repr=False)
    browser: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What the provider sent the browser back with. None: not there, or not exactly once."""

    state: str | None = field(repr=False)
    code: str | None = field(repr=False)
    answered_by: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a visit ended, and the path of ours where the browser lands; `asked`: somebody chose that path."""

    outcome: Tokens | SecondFactorDue | TaskeError
    target: str
    asked: bool


class SocialLogins:
    """The providers of this instance, by name. `url` is the origin that they send browsers back to."""

    def __init__(
        self,
        database: Database,
        *,
        providers: Mapping[str, IdentityProvider],
        authorizations: Authorizations,
        identities: Identities,
        entrance: Entrance,
        url: str,
    ) -> None:
        self._database = database
        self._providers = providers
        self._authorizations = authorizations
        self._identities = identities
        self._entrance = entrance
        self._url = url

    async def begin(self, name: str, *, browser: str | None, target: str | None) -> Departure:
        """Where to go for a login with this provider. Raises NotFound, Invalid, ProviderAway."""
        provider = self._provider(name)
        begun = await self._authorizations.begin(
            name, browser=browser, target=target, detail={"asked": target is not None}
        )
        visit = Visit(self._redirect_uri(name), begun.state, begun.challenge, begun.nonce)
        return Departure(await provider.address(visit), begun.browser)

    async def finish(
        self, name: str, answer: ProviderAnswer, *, browser: str | None, locale: str, origin: Origin
    ) -> Arrival:
        """Who came back, and what they get. Raises NotFound, and Invalid for a visit that was not begun here.

        The state is spent whatever the rest of the answer says.
        """
        provider = self._provider(name)
        returned = await self._authorizations.finish(answer.state, browser=browser, provider=name)
        outcome: Tokens | SecondFactorDue | TaskeError
        try:
            owner = await self._identified(name, provider, answer, returned, locale, origin)
            outcome = await self._entrance.after_first_factor(owner, origin, method=name)
        except (SignInRefused, BadIdToken) as refused:
            _log.warning("a login with %s was refused: %s", name, refused.reason)
            await self._write_down(name, refused.reason, origin)
            outcome = refused
        except Forbidden as refused:
            await self._write_down(name, refused.code, origin)
            outcome = refused
        except TaskeError as failed:
            outcome = failed
        return Arrival(outcome, returned.target, asked=returned.detail.get("asked") is True)

    async def _identified(
        self,
        name: str,
        provider: IdentityProvider,
        answer: ProviderAnswer,
        returned: Returned,
        locale: str,
        origin: Origin,
    ) -> UUID:
        if answer.error is not None:
            raise SignInRefused("the provider said no")
        code = answer.code or ""
        if not 0 < len(code) <= _longest_code or not code.isascii() or not code.isprintable():
            raise SignInRefused("no code")
        proof = await self._authorizations.proof(returned)
        back = Return(self._redirect_uri(name), code, answer.answered_by, proof.verifier, proof.nonce)
        identity = await provider.identify(back)
        return await self._identities.owner_of(identity, provider=name, locale=locale, origin=origin)

    async def _write_down(self, name: str, reason: str, origin: Origin) -> None:
        detail = {"method": name, "reason": reason}
        async with self._database.transaction() as tx:
            await record(tx, "session.begin", by=None, origin=origin, result="refused", detail=detail)

    def _provider(self, name: str) -> IdentityProvider:
        found = self._providers.get(name)
        if found is None:
            raise NotFound
        return found

    def _redirect_uri(self, name: str) -> str:
        """Exactly what is registered at the provider; another one for each, so that answers cannot be mixed up."""
        return f"{self._url}/auth/login/{name}/callback"
