"""Plays a provider's login from the `oauth` part of a document in `services/`: OAuth 2.0 codes, as strict as there.

    GET authorize ──▶ page ──▶ POST authorize: allowed ──▶ redirect with a code ──▶ POST token ──▶ tokens

A client is registered with exact redirect addresses. A request needs a state and, where the provider has PKCE, a S256
challenge; other parameters than the provider's are refused. A code is good once, for a minute, with the same client,
address and verifier; a second use ends what the first one gave. Where `rotates` says so, a refresh token is, too.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from taske_ray.core.capability.document.schema import Check
from taske_ray.core.template import OMIT, compile_value
from taske_ray.standins.consent_page import consent_page, sent, told

Values = dict[str, Any]
_code_lives_s: Final = 60.0
_form: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Grant:
    """What somebody allowed: everything that comes of one code."""

    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str | None
    offline: bool
    until: float
    used: bool = False
    ended: bool = False
    refresh: str = ""


class _Refusal(Exception):
    """An error by its OAuth name."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


@dataclass(slots=True)
class Login:
    """One provider's login. `redirect_uris` are those that its client is registered with."""

    document: Values
    redirect_uris: set[str] = field(default_factory=set)
    monotonic: Callable[[], float] = time.monotonic
    asked: dict[str, tuple[Grant, str]] = field(default_factory=dict)
    codes: dict[str, Grant] = field(default_factory=dict)
    access: dict[str, tuple[Grant, float]] = field(default_factory=dict)
    refreshes: dict[str, Grant] = field(default_factory=dict)

    @property
    def client(self) -> dict[str, str]:
        """The registered client's `id` and `secret`."""
        found: dict[str, str] = self.document["client"]
        return found

    @property
    def routes(self) -> list[Route]:
        """Its endpoints."""
        found = [
            Route(self.document["authorize"], self._page, methods=["GET"]),
            Route(self.document["authorize"], self._decided, methods=["POST"]),
            Route(self.document["token"], self._token, methods=["POST"]),
        ]
        if "revoke" in self.document:
            found.append(Route(self.document["revoke"], self._revoke, methods=["POST"]))
        return found

    def accepts(self, token: str) -> bool:
        """Whether an access token is good now."""
        grant, until = self.access.get(token, (None, 0.0))
        return grant is not None and not grant.ended and self.monotonic() < until

    def allows(self, token: str, path: str) -> bool:
        """Whether a token's scopes, if it is one of ours, suffice for a path."""
        if token not in self.access:
            return True
        held = self.access[token][0].scopes
        needs = (any_of for prefix, any_of in self.document.get("needs", {}).items() if path.startswith(prefix))
        return all(any(scope in held for scope in any_of) for any_of in needs)

    def expire(self) -> None:
        """All access tokens end now."""
        self.access = {token: (grant, 0.0) for token, (grant, _) in self.access.items()}

    async def _page(self, request: Request) -> Response:
        query = dict(request.query_params)
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != self.client["id"] or redirect_uri not in self.redirect_uris:
            return told("This request is not from a registered client, or leads to an address that is not its own.")
        try:
            grant = self._asked_for(request, query)
        except _Refusal as refusal:
            said = {"error": refusal.error, "error_description": refusal.message, "state": query.get("state")}
            return sent(redirect_uri, said)
        ticket = secrets.token_urlsafe(16)
        self.asked[ticket] = grant, query["state"]
        return consent_page(self.document, grant.scopes, ticket)

    def _asked_for(self, request: Request, query: Mapping[str, str]) -> Grant:
        if len(request.query_params.multi_items()) != len(query):
            raise _Refusal("invalid_request", "a parameter was sent twice")
        whole = {"type": "object", "additionalProperties": False, **self.document["query"]}
        broken = [f"{error.pointer} {error.message}" for error in Check(whole).errors(dict(query))]
        if broken:
            raise _Refusal("invalid_request", "; ".join(broken))
        scopes = [one for one in query.get("scope", "").split(self.document["separator"]) if one]
        unknown = [one for one in scopes if one not in self.document["scopes"]]
        if unknown or (self.document["scopes"] and not scopes):
            raise _Refusal("invalid_scope", f"unknown or missing scopes: {' '.join(unknown)}")
        names = self.document["scopes"]
        return Grant(
            scopes=tuple(dict.fromkeys(names[one].get("granted_as", one) for one in scopes)),
            redirect_uri=query["redirect_uri"],
            challenge=query.get("code_challenge"),
            offline=all(query.get(name) == value for name, value in self.document.get("offline", {}).items()),
            until=self.monotonic() + _code_lives_s,
        )

    async def _decided(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        grant, state = self.asked.pop(form.get("ticket", ""), (None, ""))
        if grant is None:
            return told("This page was used already. Begin again.")
        if form.get("decision") != "allow":
            return sent(grant.redirect_uri, {"error": "access_denied", "state": state})
        code = secrets.token_urlsafe(24)
        self.codes[code] = grant
        return sent(grant.redirect_uri, {"code": code, "state": state})

    async def _token(self, request: Request) -> Response:
        try:
            params = await self._params(request)
            self._authenticate(request, params)
            return self._answered(self._granted(params))
        except _Refusal as refusal:
            return self._refused(refusal)

    def _refused(self, refusal: _Refusal) -> Response:
        refused = self.document["refused"]
        name = refused.get("names", {}).get(refusal.error, refusal.error)
        return JSONResponse(_evaluated(refused["body"], {"error": name, "message": refusal.message}), refused["status"])

    async def _params(self, request: Request) -> dict[str, str]:
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind != self.document.get("body", _form):
            raise _Refusal("invalid_request", f"the content type must be {self.document.get('body', _form)}")
        raw = await request.body()
        try:
            pairs = json.loads(raw).items() if kind == "application/json" else parse_qsl(raw.decode())
            return {str(name): str(value) for name, value in pairs}
        except (ValueError, AttributeError):
            raise _Refusal("invalid_request", "the body cannot be read") from None

    def _authenticate(self, request: Request, params: Mapping[str, str]) -> None:
        """The client's id and secret, in the one place where this provider takes them."""
        given = (params.get("client_id"), params.get("client_secret"))
        if self.document.get("client_auth") == "basic":
            given = _basic(request.headers.get("authorization", ""))
        right = (self.client["id"], self.client["secret"])
        if not all(hmac.compare_digest(str(one), other) for one, other in zip(given, right, strict=True)):
            raise _Refusal("invalid_client", "the client is unknown, or its secret is wrong")

    def _granted(self, params: Mapping[str, str]) -> Grant:
        if params.get("grant_type") == "authorization_code":
            return self._exchanged(params)
        if params.get("grant_type") == "refresh_token" and "refresh" in self.document:
            return self._refreshed(params)
        raise _Refusal("unsupported_grant_type", "this grant is not known here")

    def _exchanged(self, params: Mapping[str, str]) -> Grant:
        grant = self.codes.get(params.get("code", ""))
        if grant is None:
            raise _Refusal("invalid_grant", "the code is unknown")
        if grant.used:
            grant.ended = True
            raise _Refusal("invalid_grant", "the code was used already; what it gave has ended")
        grant.used = True
        if self.monotonic() >= grant.until:
            raise _Refusal("invalid_grant", "the code is too old")
        if params.get("redirect_uri") != grant.redirect_uri:
            raise _Refusal("invalid_grant", "redirect_uri is another than the code was sent to")
        if grant.challenge is not None and _challenge(params.get("code_verifier", "")) != grant.challenge:
            raise _Refusal("invalid_grant", "code_verifier does not fit")
        if "refresh" in self.document and grant.offline:
            self._renew(grant)
        return grant

    def _refreshed(self, params: Mapping[str, str]) -> Grant:
        given = params.get("refresh_token", "")
        grant = self.refreshes.get(given)
        if grant is None or grant.ended:
            raise _Refusal("invalid_grant", "the refresh token is unknown, revoked or expired")
        if given != grant.refresh:
            grant.ended = True
            raise _Refusal("invalid_grant", "the refresh token was used already; the grant has ended")
        if self.document["refresh"]["rotates"]:
            self._renew(grant)
        return grant

    def _renew(self, grant: Grant) -> None:
        grant.refresh = f"{self.document['refresh']['prefix']}{secrets.token_urlsafe(24)}"
        self.refreshes[grant.refresh] = grant

    def _answered(self, grant: Grant) -> Response:
        token = f"{self.document['prefix']}{secrets.token_urlsafe(24)}"
        lives_s = self.document.get("lives_s")
        self.access[token] = grant, float("inf") if lives_s is None else self.monotonic() + lives_s
        first = not any(found is grant for one, (found, _) in self.access.items() if one != token)
        shown = grant.refresh if grant.refresh and (first or self.document["refresh"]["rotates"]) else None
        scope = {
            "token": token,
            "refresh": shown,
            "scope": self.document["separator"].join(grant.scopes),
            "lives_s": lives_s,
        }
        return JSONResponse(_evaluated(self.document["answer"], scope), headers={"cache-control": "no-store"})

    async def _revoke(self, request: Request) -> Response:
        try:
            params = await self._params(request)
            if self.document.get("client_auth") == "basic":
                self._authenticate(request, params)
            given = params.get("token", "")
            grant = self.refreshes.get(given) or self.access.get(given, (None, 0.0))[0]
            self._end(grant)
        except _Refusal as refusal:
            return self._refused(refusal)
        return JSONResponse(self.document.get("revoked", {}))

    def _end(self, grant: Grant | None) -> None:
        if grant is None or grant.ended:
            raise _Refusal("invalid_token", "the token is unknown or has ended")
        grant.ended = True


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _basic(header: str) -> tuple[str | None, str | None]:
    kind, _, encoded = header.partition(" ")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None, None
    return (unquote_plus(name), unquote_plus(secret)) if kind.lower() == "basic" else (None, None)


def _evaluated(value: Any, scope: Mapping[str, Any]) -> Any:
    found = compile_value(value).evaluate(scope)
    return None if found is OMIT else found
