"""Tokens that need nobody at a browser: client credentials, a login request, and signed assertions."""

import json
from datetime import timedelta

import pytest

from taske_ray.core.capability.tokens import renew
from taske_ray.core.outcome import ErrorClass
from tests.unit.core.capability.token_talk import NOW, TOKEN_URL, form, never, played


def test_client_credentials(asking):
    """The client gets a token of its own for the base scopes; a refresh token is not kept."""
    one = asking("oauth2_client_credentials", oauth={"base_scopes": ["a", "b"], "scope_separator": ","})
    (request,), tokens = played(renew(one, never), {"access_token": "a-1", "refresh_token": "r-1", "expires_in": 60})
    assert form(request)["grant_type"] == "client_credentials"
    assert form(request)["scope"] == "a,b"
    assert (tokens.access, tokens.refresh) == ("a-1", None)


TOKEN = {
    "fields": {
        "type": "object",
        "properties": {"user": {"type": "string"}, "pin": {"type": "string", "x-secret": True}},
    },
    "token": {
        "request": {
            "method": "POST",
            "path": "/login",
            "body": {"u": "{{ conn.config.user }}", "p": "{{ conn.secret.pin }}"},
        },
        "access": "{{ response.body.session.id }}",
        "expires_in": "{{ response.body.session.ttl }}",
    },
}
HELD = {"config": {"user": "ali"}, "secret": {"pin": "5ecret", "access_token": "old-token"}}


def test_a_token_request(asking):
    """A module logs in by a request of its own, without the old token on it; the answer's token is kept."""
    (request,), tokens = played(
        renew(asking("token_request", **TOKEN, **HELD), never), {"session": {"id": "s-1", "ttl": 60}}
    )
    assert (request.url, json.loads(request.body)) == ("https://api.shop.example/v1/login", {"u": "ali", "p": "5ecret"})
    assert "authorization" not in request.headers
    assert request.credentialed
    assert "5ecret" not in str(request.shown)
    assert (tokens.access, tokens.expires_at) == ("s-1", NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("answer", "error_class", "code"),
    [
        ((401, {"message": "wrong 5ecret"}), ErrorClass.AUTH_REVOKED, "http_error"),
        ((503, {}), ErrorClass.TRANSIENT, "http_error"),
        ((200, {"session": {"id": 7}}), ErrorClass.INVALID, "bad_token_answer"),
        ((200, {"session": {"id": None}}), ErrorClass.INVALID, "bad_token_answer"),
        ((200, {"blocked": True}), ErrorClass.AUTH_REVOKED, "service_error"),
    ],
)
def test_a_token_request_that_fails(asking, answer, error_class, code):
    """The module's error rules judge a login; a wrong password is for the user to mend."""
    errors = {"errors": [{"when": "response.body.blocked", "class": "auth_revoked"}]}
    failed = played(renew(asking("token_request", **TOKEN, **HELD, module=errors), never), answer)[1]
    assert (failed.error_class, failed.code) == (error_class, code)
    assert "5ecret" not in failed.message


JWT = {
    "fields": {
        "type": "object",
        "properties": {"mail": {"type": "string"}, "key": {"type": "string", "x-secret": True}},
    },
    "jwt": {
        "key": "{{ conn.secret.key }}",
        "claims": {"iss": "{{ conn.config.mail }}", "aud": TOKEN_URL, "exp": 1},
        "header": {"kid": "k1"},
        "algorithm": "HS256",
        "key_encoding": "hex",
        "lifetime_s": 600,
    },
}
SERVICE_ACCOUNT = {"config": {"mail": "robot@shop.example"}, "secret": {"key": "00ff"}}


def test_a_signed_assertion_is_the_token(asking):
    """Claims and header are the document's, times are ours; nobody is asked."""
    signed = []

    def sign(*given):
        signed.append(given)
        return "h.c.s"

    requests, tokens = played(renew(asking("jwt_bearer", **JWT, **SERVICE_ACCOUNT), sign))
    now = int(NOW.timestamp())
    claims = {"iss": "robot@shop.example", "aud": TOKEN_URL, "iat": now, "exp": now + 600}
    assert signed == [("HS256", b"\x00\xff", {"kid": "k1"}, claims)]
    assert requests == []
    assert (tokens.access, tokens.expires_at) == ("h.c.s", NOW + timedelta(seconds=600))


def test_a_signed_assertion_is_exchanged(asking):
    """With a token address the assertion is sent there (RFC 7523) and the answer's token is kept."""
    jwt = {**JWT, "jwt": {**JWT["jwt"], "token_url": TOKEN_URL}}
    one = asking("jwt_bearer", **jwt, **SERVICE_ACCOUNT)
    (request,), tokens = played(renew(one, lambda *_: "h.c.s"), {"access_token": "a-1", "expires_in": 3600})
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (request.url, form(request)) == (TOKEN_URL, {"grant_type": grant, "assertion": "h.c.s"})
    assert (tokens.access, tokens.expires_at) == ("a-1", NOW + timedelta(hours=1))


@pytest.mark.parametrize(("key", "encoding"), [("xyz", "hex"), ("!", "base64"), ("whatever", "utf8")])
def test_a_key_that_is_none(asking, key, encoding):
    """A key that cannot be read or does not fit is the connection's fault, and is not quoted."""

    def sign(*_):
        raise ValueError(key)

    jwt = {**JWT, "jwt": {**JWT["jwt"], "key_encoding": encoding}}
    failed = played(renew(asking("jwt_bearer", **jwt, secret={"key": key}, config={"mail": "m"}), sign))[1]
    assert (failed.error_class, failed.code) == (ErrorClass.INVALID, "bad_key")
    assert key not in failed.message.split()
