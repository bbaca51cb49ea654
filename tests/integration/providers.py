"""Providers to log in with: a real OpenID provider, an impostor whose answers a test writes, and a strict GitHub.

The real one is `oidc-provider-mock`: Authlib's authorization server with registered clients, exact redirect URIs, codes
for one use and required nonces. Authlib's own PKCE check, which it leaves off, is turned on here.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import flask
import httpx
import oidc_provider_mock
import werkzeug.serving
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge
from joserfc import jwk, jwt

from tests.integration.integrations.conftest import reply, serving


class _Pkce(CodeChallenge):
    """Authlib's check with S256 alone; the codes of `oidc-provider-mock` have no place for a challenge."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - as in the base class

    def __init__(self):
        super().__init__(required=True)
        self._challenges = {}

    def __call__(self, grant):
        super().__call__(grant)
        save = grant.save_authorization_code

        def remembering(code, request):
            self._challenges[code] = request.payload.data["code_challenge"]
            save(code, request)

        grant.save_authorization_code = remembering

    def validate_code_challenge(self, grant, redirect_uri):
        super().validate_code_challenge(grant, redirect_uri)
        if grant.request.payload.data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with S256 is required")

    def get_authorization_code_challenge(self, authorization_code):
        return self._challenges.get(authorization_code.code)

    def get_authorization_code_challenge_method(self, _):
        return "S256"


@dataclass
class RealProvider:
    """A running provider with one registered client."""

    issuer: str
    client_id: str
    client_secret: str
    client: httpx.Client

    def knows(self, subject: str, **claims: Any) -> None:
        """Somebody has an account there."""
        self.client.put(f"/users/{subject}", json=claims).raise_for_status()

    def consent(self, address: str, subject: str) -> str:
        """Somebody agrees at this address: where their browser is sent."""
        answer = self.client.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def deny(self, address: str) -> str:
        """Somebody says no at this address: where their browser is sent."""
        return self.client.post(address, data={"action": "deny"}).headers["location"]


@contextlib.contextmanager
def real_provider(redirect_uri: str, *, auth_method: str = "client_secret_basic", names_itself: bool = False):
    """A real provider on loopback, in a thread of its own."""
    app = oidc_provider_mock.app(require_client_registration=True, require_nonce=True)
    hardened = []

    @app.before_request
    def harden():
        if hardened:
            return
        hardened.append(True)
        server, pkce = flask.g._authlib_authorization_server, _Pkce()
        for grants in (server._authorization_grants, server._token_grants):
            grants[:] = [
                (kind, [*(extensions or []), pkce] if kind.GRANT_TYPE == "authorization_code" else extensions)
                for kind, extensions in grants
            ]

    @app.after_request
    def complete(response):
        """It leaves out of its metadata how clients are registered, and does not know RFC 9207."""
        if flask.request.path == "/.well-known/openid-configuration":
            more = {"token_endpoint_auth_methods_supported": [auth_method]}
            more |= {"authorization_response_iss_parameter_supported": True} if names_itself else {}
            response.set_data(json.dumps({**response.json, **more}))
        elif names_itself and response.location:
            response.location = add_params_to_uri(response.location, {"iss": flask.request.host_url.rstrip("/")})
        return response

    server = werkzeug.serving.make_server("127.0.0.1", 0, app.wsgi_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    issuer = f"http://127.0.0.1:{server.server_port}"
    with httpx.Client(base_url=issuer) as client:
        registered = client.post(
            "/oauth2/clients", json={"redirect_uris": [redirect_uri], "token_endpoint_auth_method": auth_method}
        )
        registered.raise_for_status()
        yield RealProvider(issuer, registered.json()["client_id"], registered.json()["client_secret"], client)
    server.shutdown()
    thread.join()
    server.server_close()


KEY = jwk.generate_key("RSA", 2048, {"kid": "one"})


@dataclass
class Impostor:
    """A provider whose every answer a test can change; it writes down what it is asked.

    `claims`, `header`, `metadata` and `tokens` are laid over right ones; `None` leaves a member out. `answers` are
    whole replies by path. `nonce` is what the authorization request said; empty: the code is the nonce, which a test
    gives back as such.
    """

    port: int = 0
    key: Any = field(default_factory=lambda: KEY)
    listed: list[dict[str, Any]] | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    nonce: str = ""
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Its own name."""
        return f"http://127.0.0.1:{self.port}"

    def hits(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked == path for asked, _, _ in self.asked)

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        path = urlsplit(line.split(" ")[1]).path
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
        self.asked.append((path, headers, dict(parse_qsl(body.decode()))))
        given = self.answers.get(path)
        if given is not None:
            writer.write(given)
            if b"Connection: close" in given:
                writer.close()
            return
        document = {
            "/.well-known/openid-configuration": self._metadata,
            "/jwks": lambda: {"keys": self.listed if self.listed is not None else [self.key.as_dict(private=False)]},
            "/token": lambda: self._tokens(dict(parse_qsl(body.decode()))),
            "/userinfo": lambda: {"sub": "mina", "email": "mina@example.com", "email_verified": True},
        }[path]()
        writer.write(json_reply(document))

    def _metadata(self) -> dict[str, Any]:
        usual = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return _without_none(usual | self.metadata)

    def _tokens(self, form: dict[str, str]) -> dict[str, Any]:
        usual = {"access_token": "opaque", "token_type": "Bearer", "id_token": self.id_token(form["code"])}
        return _without_none(usual | self.tokens)

    def id_token(self, code: str = "") -> str:
        """A right ID token with the test's claims and header laid over it."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": "client", "sub": "mina", "iat": now, "exp": now + 300}
        usual["nonce"] = self.nonce or code
        header = _without_none({"alg": "RS256", "kid": self.key.kid} | self.header)
        return jwt.encode(header, _without_none(usual | self.claims), self.key)


def json_reply(document: object, status: str = "200 OK") -> bytes:
    """A JSON answer."""
    return reply(json.dumps(document).encode(), "Content-Type: application/json", status=status)


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@dataclass
class GitHub:
    """GitHub's dialect as its documentation has it, strict: a code is for one use, its client, redirect and verifier.

    `addresses` is what `/user/emails` lists; None: the person does not show them.
    """

    port: int = 0
    client_id: str = "Iv1.client"
    client_secret: str = "github secret"
    redirect_uri: str = ""
    user: dict[str, Any] = field(default_factory=lambda: {"id": 583231, "login": "octocat"})
    addresses: list[dict[str, Any]] | None = field(
        default_factory=lambda: [
            {"email": "other@example.com", "primary": False, "verified": True},
            {"email": "octocat@example.com", "primary": True, "verified": True, "visibility": "private"},
        ]
    )
    codes: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    @property
    def home(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def consent(self, address: str) -> str:
        """Somebody agrees at this address: where their browser is sent."""
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
        assert (f"{parts.scheme}://{parts.netloc}", parts.path) == (self.home, "/login/oauth/authorize")
        assert query["client_id"] == self.client_id
        assert query["redirect_uri"] == self.redirect_uri
        assert query["scope"] == "user:email"
        assert query["code_challenge_method"] == "S256"
        code = f"code{len(self.codes)}"
        self.codes[code] = query["code_challenge"]
        return f"{self.redirect_uri}?code={code}&state={query['state']}"

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *rest = head.decode().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
        self.asked.append(path)
        assert headers["user-agent"], "GitHub refuses requests without one"
        if (method, path) == ("POST", "/login/oauth/access_token"):
            assert headers["accept"] == "application/json", "a form comes back otherwise"
            writer.write(json_reply(self._exchanged(dict(parse_qsl(body.decode())))))
            return
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            writer.write(json_reply({"message": "Bad credentials", "status": "401"}, "401 Unauthorized"))
        elif (method, path) == ("GET", "/api/v3/user"):
            writer.write(json_reply(self.user))
        elif (method, path) == ("GET", "/api/v3/user/emails") and self.addresses is not None:
            writer.write(json_reply(self.addresses))
        else:
            writer.write(json_reply({"message": "Not Found", "status": "404"}, "404 Not Found"))

    def _exchanged(self, form: dict[str, str]) -> dict[str, Any]:
        """A refusal is a 200 with `error`."""
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return {"error": "incorrect_client_credentials"}
        if form.get("redirect_uri") != self.redirect_uri:
            return {"error": "redirect_uri_mismatch"}
        challenge = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if challenge is None or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
            return {"error": "bad_verification_code"}
        token = f"gho_{len(self.tokens)}"
        self.tokens.add(token)
        return {"access_token": token, "scope": "user:email", "token_type": "bearer"}


def query_of(address: str) -> dict[str, str]:
    """The parameters in an address, each once."""
    return {name: value for name, [value] in parse_qs(urlsplit(address).query, keep_blank_values=True).items()}


@contextlib.asynccontextmanager
async def playing(provider: Impostor | GitHub):
    """The provider, listening at its own address."""
    async with serving(provider) as server:
        provider.port = server.port
        yield provider
