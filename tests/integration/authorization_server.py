"""An OAuth 2 server by Authlib, which nobody here wrote: grants, client authentication, PKCE, rotation, revocation.

What Authlib leaves to its user is here: where codes and tokens are kept, who consents (everybody), and a service whose
requests need a token. It counts what it is asked; a test may hold answers back (`gate`) or replace them (`instead`).
"""

import contextlib
import json
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import flask
import httpx
import werkzeug.serving
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.oauth2.rfc7636 import CodeChallenge

_METHODS = ["client_secret_basic", "client_secret_post"]
_GRANTS = ["authorization_code", "refresh_token", "client_credentials", JWTBearerGrant.GRANT_TYPE]


@dataclass
class Client(ClientMixin):
    """A registered client: exact redirect address, its way of authenticating, and the scopes it may ask for."""

    client_id: str
    client_secret: str
    redirect_uri: str
    method: str = "client_secret_post"
    scopes: tuple = ("read", "write", "profile")
    key: object = None

    def get_client_id(self):
        """The name."""
        return self.client_id

    def get_default_redirect_uri(self):
        """The one address."""
        return self.redirect_uri

    def get_allowed_scope(self, scope):
        """What it may have of this."""
        return " ".join(one for one in (scope or "").split() if one in self.scopes)

    def check_redirect_uri(self, redirect_uri):
        """Exactly the one address."""
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret):
        """In constant time."""
        return secrets.compare_digest(client_secret, self.client_secret)

    def check_endpoint_auth_method(self, method, _endpoint):
        """The one way."""
        return method == self.method

    def check_response_type(self, response_type):
        """Codes alone."""
        return response_type == "code"

    def check_grant_type(self, grant_type):
        """All of ours."""
        return grant_type in _GRANTS


@dataclass
class Code(AuthorizationCodeMixin):
    """An authorization code."""

    code: str
    redirect_uri: str
    scope: str
    user: str
    code_challenge: str | None
    code_challenge_method: str | None
    at: float = field(default_factory=time.time)

    def get_redirect_uri(self):
        """Where it was sent."""
        return self.redirect_uri

    def get_scope(self):
        """What was granted."""
        return self.scope

    def get_auth_time(self):
        """When."""
        return self.at


@dataclass
class Token(TokenMixin):
    """A pair of tokens."""

    access_token: str
    refresh_token: str | None
    scope: str
    client_id: str
    user: str | None
    expires_in: int
    at: float = field(default_factory=time.time)
    revoked: bool = False
    spent: bool = False

    def check_client(self, client):
        """Whose it is."""
        return client.client_id == self.client_id

    def get_scope(self):
        """What was granted."""
        return self.scope

    def get_expires_in(self):
        """Seconds."""
        return self.expires_in

    def is_expired(self):
        """Whether its time is over."""
        return time.time() >= self.at + self.expires_in

    def is_revoked(self):
        """Whether it was taken back."""
        return self.revoked


class _User(str):
    __slots__ = ()

    def get_user_id(self):
        """Who."""
        return str(self)


@dataclass
class Server:
    """A running server, its one client, and what it holds."""

    url: str = ""
    client: Client = None
    codes: dict = field(default_factory=dict)
    tokens: list = field(default_factory=list)
    asked: Counter = field(default_factory=Counter)
    lifetime_s: int = 3600
    gate: threading.Event = field(default_factory=threading.Event)
    instead: list = field(default_factory=list)
    user: str = "ali"

    def consent(self, authorize_url):
        """A person agrees at this address: where their browser is sent."""
        answer = httpx.post(authorize_url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def query_of(self, authorize_url):
        """What the address asks for."""
        return dict(parse_qsl(urlsplit(authorize_url).query))

    def expire(self):
        """Every access token ends now."""
        for token in self.tokens:
            token.expires_in = 0

    def withdraw(self):
        """The user takes their consent back."""
        for token in self.tokens:
            token.revoked = True


def _held() -> Server:
    return flask.current_app.config["HELD"]


class CodeGrant(AuthorizationCodeGrant):
    """Codes for one use, bound to their redirect address and challenge."""

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    def save_authorization_code(self, code, request):
        """Keep it."""
        payload = request.payload
        challenge = payload.data.get("code_challenge"), payload.data.get("code_challenge_method")
        _held().codes[code] = Code(code, payload.redirect_uri, payload.scope or "", request.user, *challenge)

    def query_authorization_code(self, code, _client):
        """Find it."""
        return _held().codes.get(code)

    def delete_authorization_code(self, authorization_code):
        """It was used."""
        _held().codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code):
        """Whoever consented."""
        return authorization_code.user


class Refresh(RefreshTokenGrant):
    """A refresh token that is good again and again."""

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    def authenticate_refresh_token(self, refresh_token):
        """Find it."""
        found = next((one for one in _held().tokens if one.refresh_token == refresh_token), None)
        return None if found is None or found.revoked else self.still_good(found)

    def still_good(self, found):
        """Always."""
        return found

    def authenticate_user(self, refresh_token):
        """Whoever consented."""
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        """The access token before it ends, and the token has been used."""
        refresh_token.spent = True
        refresh_token.expires_in = 0


class Rotating(Refresh):
    """A refresh token that is good once: presented twice, somebody has stolen it, and everything ends (RFC 9700)."""

    INCLUDE_NEW_REFRESH_TOKEN = True

    def still_good(self, found):
        """Once."""
        if not found.spent:
            return found
        _held().withdraw()
        return None


class Robot(ClientCredentialsGrant):
    """The client for itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS


class Assertion(JWTBearerGrant):
    """The client by a signed assertion."""

    def get_audiences(self):
        """Our token endpoint."""
        return [f"{_held().url}/token"]

    def resolve_issuer_client(self, issuer):
        """The one client."""
        return _held().client if issuer == _held().client.client_id else None

    def resolve_client_public_key(self, client):
        """Its key."""
        return client.key

    def authenticate_user(self, subject):
        """Anybody."""
        return _User(subject)

    def has_granted_permission(self, _client, _user):
        """Always."""
        return True


class Revocation(RevocationEndpoint):
    """Tokens are forgotten."""

    CLIENT_AUTH_METHODS = _METHODS

    def query_token(self, token_string, _hint):
        """Find it."""
        return next((one for one in _held().tokens if token_string in (one.access_token, one.refresh_token)), None)

    def revoke_token(self, token, _request):
        """Forget it."""
        _held().asked["revoked"] += 1
        token.revoked = True


def _save_token(token, request):
    old = request.refresh_token
    held, user = _held(), request.user
    kept = token.get("refresh_token") or (old.refresh_token if old is not None else None)
    values = {"access_token": token["access_token"], "refresh_token": kept, "scope": token.get("scope", "")}
    held.tokens.append(Token(**values, client_id=request.client.client_id, user=user, expires_in=held.lifetime_s))


def _build(held: Server, *, rotate: bool):
    app = flask.Flask("authorization-server")
    app.config |= {"HELD": held, "OAUTH2_REFRESH_TOKEN_GENERATOR": True}

    def query_client(name):
        return held.client if name == held.client.client_id else None

    server = AuthorizationServer(app, query_client=query_client, save_token=_save_token)
    server.register_grant(CodeGrant, [CodeChallenge(required=True)])
    for grant in (Rotating if rotate else Refresh, Robot, Assertion):
        server.register_grant(grant)
    server.register_endpoint(Revocation)
    _routes(app, server, held)
    return app


def _routes(app, server, held):
    @app.post("/authorize")
    def authorize():
        user = _User(held.user)
        return server.create_authorization_response(grant_user=user, grant=server.get_consent_grant(end_user=user))

    @app.post("/token")
    def token():
        held.asked[flask.request.form.get("grant_type")] += 1
        held.gate.wait()
        if held.instead:
            status, kind, body = held.instead.pop(0)
            return flask.Response(body, status, content_type=kind)
        response = server.create_token_response()
        if response.status_code == 200:
            more = {"expires_in": held.lifetime_s, "team": {"id": "T1"}}
            response.set_data(json.dumps({**response.get_json(), **more}))
        return response

    @app.post("/revoke")
    def revoke():
        return server.create_endpoint_response(Revocation.ENDPOINT_NAME)

    @app.route("/me", methods=["GET", "POST"])
    def me():
        held.asked["me"] += 1
        kind, _, given = flask.request.headers.get("authorization", "").partition(" ")
        found = next((one for one in held.tokens if one.access_token == given), None)
        if kind != "Bearer" or found is None or found.is_expired() or found.revoked:
            return {"error": "invalid_token"}, 401
        return {"name": found.user or "robot", "scope": found.scope}


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def authorization_server(redirect_uri, *, rotate=True, method="client_secret_post", key=None):
    """A server on loopback in a thread of its own, with one client."""
    held = Server(client=Client("the-client", "the-client-s3cret", redirect_uri, method, key=key))
    running = werkzeug.serving.make_server(
        "127.0.0.1", 0, _build(held, rotate=rotate), threaded=True, request_handler=_Quiet
    )
    held.gate.set()
    held.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
