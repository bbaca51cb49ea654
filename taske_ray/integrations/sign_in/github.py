"""GitHub's dialect: OAuth with PKCE and state, no ID token; who somebody is comes from its API (security, 7.4).

A number that never changes is the subject; the address is the primary one, if GitHub verified it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from taske_ray.integrations.sign_in.identity import Identity, Return, SignInRefused, Visit
from taske_ray.integrations.sign_in.provider_calls import ProviderCalls
from taske_ray.integrations.transport import Transport
from taske_ray.settings import SocialLogin

scopes = "user:email"

_headers = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}


class GitHubProvider:
    """GitHub itself, or an Enterprise server under its own address."""

    def __init__(self, login: SocialLogin, *, transport: Transport) -> None:
        self._login = login
        self._home = login.issuer.rstrip("/")
        self._api = "https://api.github.com" if self._home == "https://github.com" else f"{self._home}/api/v3"
        self._calls = ProviderCalls(login.name, transport)

    async def address(self, visit: Visit) -> str:
        """Where the browser goes."""
        parameters = {
            "client_id": self._login.client_id,
            "redirect_uri": visit.redirect_uri,
            "scope": scopes,
            "state": visit.state,
            "code_challenge": visit.challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._home}/login/oauth/authorize?{urlencode(parameters)}"

    async def identify(self, returned: Return) -> Identity:
        """Who came back. Raises ProviderAway, SignInRefused."""
        if returned.answered_by not in (None, self._login.issuer):
            raise SignInRefused("iss of the answer")
        token = await self._exchanged(returned)
        user = await self._calls.get(f"{self._api}/user", token=token, headers=_headers)
        number = user.get("id") if isinstance(user, dict) else None
        if type(number) is not int or number <= 0:
            raise SignInRefused("id of the user")
        email = await self._verified_address(token)
        return Identity(self._home, str(number), email, email_verified=email is not None)

    async def _verified_address(self, token: str) -> str | None:
        try:
            return _primary(await self._calls.get(f"{self._api}/user/emails", token=token, headers=_headers))
        except SignInRefused:  # the person does not show it: who is known already gets in all the same
            return None

    async def _exchanged(self, returned: Return) -> str:
        form = {
            "client_id": self._login.client_id,
            "client_secret": self._login.client_secret,
            "code": returned.code,
            "redirect_uri": returned.redirect_uri,
            "code_verifier": returned.verifier,
        }
        answer = await self._calls.post(f"{self._home}/login/oauth/access_token", form)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        # A refused code is a 200 with `error`.
        if not isinstance(token, str) or not token or "error" in answer or not _is_bearer(answer):
            raise SignInRefused("no token")
        return token


def _is_bearer(answer: Mapping[str, Any]) -> bool:
    return str(answer.get("token_type", "")).lower() == "bearer"


def _primary(addresses: object) -> str | None:
    """The one primary address, if it is verified; others can be added by whoever has the account for an hour."""
    listed = addresses if isinstance(addresses, list) else []
    primary = [one for one in listed if isinstance(one, dict) and one.get("primary") is True]
    if len(primary) != 1 or primary[0].get("verified") is not True:
        return None
    email = primary[0].get("email")
    return email if isinstance(email, str) and email else None
