"""Tokens: what goes to a token endpoint in each dialect, and what each kind of answer becomes."""

import base64
import json
from datetime import timedelta

import pytest

from taske_ray.core.capability.tokens import (
    Completed,
    OAuthClient,
    Standing,
    Tokens,
    complete,
    exchange,
    refresh_at,
    renew,
    revoke,
    standing,
)
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed
from tests.unit.core.capability.token_talk import APP, LOGIN, NOW, TOKEN_URL, form, never, played


def test_a_code_is_exchanged(asking):
    """The code goes with its verifier, the exact redirect address and our client; nothing of it can be seen."""
    (request,), tokens = played(
        exchange(asking(), **LOGIN), {"access_token": "a-1", "refresh_token": "r-1", "expires_in": 3600, "scope": "x y"}
    )
    assert (request.method, request.url) == ("POST", TOKEN_URL)
    assert form(request) == {
        "grant_type": "authorization_code",
        "code": LOGIN["code"],
        "code_verifier": LOGIN["verifier"],
        "redirect_uri": LOGIN["redirect_uri"],
        "client_id": "our-app",
        "client_secret": "app-s3cret/+ü",
    }
    assert request.headers == {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    assert request.credentialed
    assert request.max_redirects == 0
    assert request.allowed_hosts == ("api.shop.example", "login.shop.example")
    assert not any(part in str(request.shown) for part in ("s3cret", LOGIN["code"], LOGIN["verifier"]))
    assert tokens == Tokens("a-1", "r-1", NOW + timedelta(hours=1), ("x", "y"), answer=tokens.answer)
    assert "a-1" not in repr(tokens)


def test_dialects_of_a_token_request(asking):
    """Basic client authentication, JSON bodies, no PKCE, further parameters with the connection's own values."""
    oauth = {
        "client_auth": "basic",
        "body_format": "json",
        "pkce": "none",
        "token_params": {"audience": "{{ conn.config.region }}", "who": "{{ app.client_id }}", "none": None},
    }
    fields = {"type": "object", "properties": {"region": {"type": "string"}}}
    one = asking(oauth=oauth, fields=fields, config={"region": "eu"})
    (request,), _ = played(exchange(one, **LOGIN), {"access_token": "a-1"})
    pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "our-app:app-s3cret%2F%2B%C3%BC"
    assert json.loads(request.body) == {
        "grant_type": "authorization_code",
        "code": LOGIN["code"],
        "redirect_uri": LOGIN["redirect_uri"],
        "audience": "eu",
        "who": "our-app",
    }


def test_a_public_client_sends_no_secret(asking):
    """Without a secret the client is named in the body, whatever the provider's way of authenticating clients."""
    one = asking(oauth={"client_auth": "basic"}, app=OAuthClient("public"))
    (request,), _ = played(exchange(one, **LOGIN), {"access_token": "a-1"})
    assert "authorization" not in request.headers
    assert form(request)["client_id"] == "public"
    assert "client_secret" not in form(request)


def test_whose_client_asks(asking):
    """A connection's own client goes before the instance's, unless the scheme allows the instance's alone."""
    own = {"config": {"client_id": "mine"}, "secret": {"client_secret": "my-s3cret"}}
    assert asking(**own).client == OAuthClient("mine", "my-s3cret")
    assert asking(**own, client="instance").client == APP
    (requests, failed) = played(exchange(asking(app=None), **LOGIN))
    assert requests == []
    assert (failed.error_class, failed.code, failed.sent) == (ErrorClass.PERMISSION, "no_oauth_client", False)


def test_tokens_stand_where_the_provider_puts_them(asking):
    """Paths into the answer; a form is read like JSON; scopes are split at whatever separates them."""
    paths = {"access": "authed_user.access_token", "scope": "authed_user.scope", "expires_at": "until"}
    body = {
        "authed_user": {"access_token": "u-1", "scope": "a,b,a"},
        "until": NOW.timestamp() + 60,
        "access_token": "b",
    }
    tokens = played(exchange(asking(oauth={"token_path": paths}), **LOGIN), body)[1]
    assert (tokens.access, tokens.scopes, tokens.expires_at) == ("u-1", ("a", "b"), NOW + timedelta(seconds=60))
    text = HttpResponse(200, {"content-type": "text/plain"}, b"access_token=a%2F1&scope=repo%2Cgist&token_type=bearer")
    tokens = played(exchange(asking(), **LOGIN), text)[1]
    assert (tokens.access, tokens.scopes, tokens.expires_at) == ("a/1", ("repo", "gist"), None)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3600.5}, 3600.5),
        ({"expires_in": 0}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": "soon"}, None),
        ({"expires_in": True}, None),
        ({"expires_in": None}, None),
        ({"expires_in": "NaN"}, None),
        ({"expires_in": [1]}, None),
        ({"expires_in": 1e300}, 10 * 366 * 86_400),
        ({"expires_at": "2026-01-02T03:05:05Z"}, 60),
        ({"expires_at": (NOW.timestamp() + 60) * 1000}, 60),
        ({"expires_at": "tomorrow"}, None),
        ({"expires_at": 1e18}, None),
    ],
)
def test_how_long_a_token_lives(asking, stated, seconds):
    """Numbers, texts and moments are understood; what makes no sense means that nobody knows the end."""
    tokens = played(exchange(asking(), **LOGIN), {"access_token": "a", **stated})[1]
    assert tokens.expires_at == (None if seconds is None else NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "application/json", b"{}"),
        (200, "application/json", b'{"access_token": null}'),
        (200, "application/json", b'{"access_token": 7}'),
        (200, "application/json", b'{"access_token": ""}'),
        (200, "application/json", b'{"access_token": {"a": 1}}'),
        (200, "application/json", b'{"access_token": "a\\r\\nx: y"}'),
        (200, "application/json", b'{"access_token": "' + b"x" * 20_000 + b'"}'),
        (200, "application/json", b'["access_token"]'),
        (200, "application/json", b"[" * 100_000),
        (200, "application/json", b'{"accessToken": "a-secret-token"}'),
        (200, "text/html", b"<html><body>Please sign in a-secret-token</body></html>"),
        (200, "", b""),
        (200, "application/octet-stream", b"\x00\xff" * 100),
        (204, "application/json", b""),
        (302, "text/html", b"moved"),
        (404, "text/html", b"<html>a-secret-token</html>"),
    ],
)
def test_answers_that_are_none(asking, status, kind, body):
    """An answer without a usable token is a classified failure that quotes nothing of what might be a secret."""
    failed = played(exchange(asking(), **LOGIN), HttpResponse(status, {"content-type": kind}, body))[1]
    assert isinstance(failed, Failed)
    assert failed.error_class is ErrorClass.INVALID
    assert failed.code in ("bad_token_answer", "token_refused")
    assert "a-secret-token" not in failed.message
    assert len(failed.message) <= 500


@pytest.mark.parametrize(
    ("answer", "error_class", "code"),
    [
        ((400, {"error": "invalid_grant"}), ErrorClass.AUTH_REVOKED, "token_refused"),
        ((200, {"error": "bad_refresh_token"}), ErrorClass.AUTH_REVOKED, "token_refused"),
        ((401, {}), ErrorClass.AUTH_REVOKED, "token_refused"),
        ((401, {"error": "invalid_client"}), ErrorClass.PERMISSION, "token_refused"),
        ((400, {"error": "unsupported_grant_type"}), ErrorClass.PERMISSION, "token_refused"),
        ((400, {"error": "temporarily_unavailable"}), ErrorClass.TRANSIENT, "token_endpoint_busy"),
        ((503, {"error": "invalid"}), ErrorClass.TRANSIENT, "token_endpoint_busy"),
        ((429, {}), ErrorClass.RATE_LIMITED, "token_endpoint_busy"),
        ((400, {"error": {"deep": ["wrong", "type"]}}), ErrorClass.AUTH_REVOKED, "token_refused"),
    ],
)
def test_why_a_refresh_is_refused(asking, answer, error_class, code):
    """Only what a new consent can mend is revoked; a busy provider is asked again; our own mistakes are neither."""
    failed = played(renew(asking(secret={"refresh_token": "r-1"}), never), answer)[1]
    assert (failed.error_class, failed.code) == (error_class, code)


def test_a_user_can_mend_their_own_client(asking):
    """A provider that no longer knows a client refuses for good only where the user brought it."""
    own = {"config": {"client_id": "mine"}, "secret": {"client_secret": "x-secret", "refresh_token": "r-1"}}
    failed = played(renew(asking(**own), never), (401, {"error": "invalid_client"}))[1]
    assert failed.error_class is ErrorClass.AUTH_REVOKED


def test_what_revoked_means_can_be_said(asking):
    """`revoked_when` decides alone, also on a success."""
    one = asking(secret={"refresh_token": "r"}, oauth={"refresh": {"revoked_when": "response.body.code == 40"}})
    assert played(renew(one, never), {"code": 40})[1].error_class is ErrorClass.AUTH_REVOKED
    assert played(renew(one, never), (400, {"error": "invalid_grant"}))[1].error_class is ErrorClass.PERMISSION


def test_what_a_refusal_says_is_masked(asking):
    """The provider's words are passed on without our secrets in them."""
    body = {"error": "invalid_grant", "error_description": f"{LOGIN['code']} of app-s3cret/+ü, Bearer abcdefgh12345"}
    failed = played(exchange(asking(), **LOGIN), (400, body))[1]
    assert failed.message == "invalid_grant: •••• of ••••, Bearer ••••"


def test_a_refresh_keeps_or_drops_the_old_refresh_token(asking):
    """A rotated token replaces the old one; without a new one the old one stays, if so set."""
    keep, drop = asking(secret={"refresh_token": "r-1"}), {"refresh": {"keep_old_refresh_token": False}}
    (request,), tokens = played(renew(keep, never), {"access_token": "a-2", "refresh_token": "r-2"})
    assert form(request)["refresh_token"] == "r-1"
    assert (tokens.access, tokens.refresh) == ("a-2", "r-2")
    assert played(renew(keep, never), {"access_token": "a-2"})[1].refresh == "r-1"
    gone = asking(secret={"refresh_token": "r-1"}, oauth=drop)
    assert played(renew(gone, never), {"access_token": "a-2"})[1].refresh is None


def test_a_refresh_has_its_own_address_and_parameters(asking):
    """`refresh_url` and `refresh_params` are used for refreshing alone."""
    oauth = {
        "refresh_url": "https://login.shop.example/again",
        "refresh_params": {"x": "{{ conn.secret.refresh_token }}!"},
    }
    (request,), _ = played(renew(asking(secret={"refresh_token": "r-1"}, oauth=oauth), never), {"access_token": "a"})
    assert request.url == "https://login.shop.example/again"
    assert form(request)["x"] == "r-1!"


def test_nothing_to_refresh_with(asking):
    """An expired token without a refresh token needs a new consent; nobody is asked."""
    requests, failed = played(renew(asking(), never))
    assert requests == []
    assert (failed.error_class, failed.code) == (ErrorClass.AUTH_REVOKED, "not_refreshable")


def test_a_connection_is_completed(asking):
    """The answer's and the following request's values are saved, and the service says what it is called."""
    oauth = {
        "save": {"team": "{{ response.body.team.id }}", "none": "{{ response.body.nothing }}"},
        "post_connect": {
            "request": {"path": "/sites", "query": {"team": "{{ conn.config.team }}"}},
            "save": {"site": "{{ response.body[0].id }}"},
        },
    }
    one = asking(oauth=oauth, test={"path": "/me"}, label="{{ response.body.name }} on {{ conn.config.site }}")
    tokens = Tokens("a-1", answer={"body": {"team": {"id": "T1"}}})
    flow = complete(one.holding({}, {"access_token": "a-1"}), tokens)
    (sites, me), done = played(flow, [{"id": "S9"}], {"name": "Ali"})
    assert (sites.url, sites.headers["authorization"]) == ("https://api.shop.example/v1/sites?team=T1", "Bearer a-1")
    assert me.url == "https://api.shop.example/v1/me"
    assert done == Completed({"team": "T1", "site": "S9"}, "Ali on S9")


def test_without_a_test_the_token_answer_names_it(asking):
    """`label` reads the token answer where there is no test; a name that is missing is none."""
    one = asking(label="{{ response.body.workspace }}")
    assert played(complete(one, Tokens("a", answer={"body": {"workspace": "W"}})))[1] == Completed({}, "W")
    assert played(complete(one, Tokens("a", answer={"body": None})))[1] == Completed({}, None)


def test_a_secret_is_never_saved_in_the_open(asking):
    """`save` may not copy a token into the open half of the connection; the check is by value."""
    one = asking(oauth={"save": {"copy": ["x {{ response.body.access_token }}"]}})
    flow = complete(
        one.holding({}, {"access_token": "a-secret-1"}), Tokens("a", answer={"body": {"access_token": "a-secret-1"}})
    )
    assert played(flow)[1].code == "secret_not_allowed"


@pytest.mark.parametrize(("answer", "result"), [((503, {}), Completed()), ((401, {}), ErrorClass.AUTH_EXPIRED)])
def test_a_new_connection_is_tried(asking, answer, result):
    """A token that the service refuses is no connection; a service that is busy does not spoil one."""
    done = played(complete(asking(test={"path": "/me"}, secret={"access_token": "a"}), Tokens("a")), answer)[1]
    assert (done.error_class if isinstance(done, Failed) else done) == result


def test_a_token_is_revoked(asking):
    """The provider is asked to forget the refresh token, else the access token; where it cannot be, nobody is."""
    address = {"revoke_url": "https://login.shop.example/revoke"}
    held = {"access_token": "a-1", "refresh_token": "r-1"}
    (request,), result = played(revoke(asking(oauth=address, secret=held)), {})
    assert (form(request)["token"], form(request)["token_type_hint"], result) == ("r-1", "refresh_token", None)
    assert played(revoke(asking(oauth=address, secret={"access_token": "a-1"})), (503, {}))[1].code == "not_revoked"
    assert played(revoke(asking(secret=held))) == ([], None)


def test_tokens_are_only_asked_for_at_the_modules_hosts(asking):
    """Where the hosts depend on the connection, the token endpoint is checked before anything is sent."""
    hosts = {"type": "object", "properties": {"hosts": {"type": "array", "items": {"type": "string"}}}}
    one = asking(fields=hosts, allowed_hosts="{{ conn.config.hosts }}", config={"hosts": ["elsewhere.example"]})
    requests, failed = played(exchange(one, **LOGIN))
    assert (requests, failed.code, failed.sent) == ([], "host_not_allowed", False)


@pytest.mark.parametrize(
    ("lives_s", "skew_s", "before_s"), [(3600, 300, 300), (60, 300, 30), (3600, 0, 0), (-5, 300, 0), (None, 300, None)]
)
def test_when_a_token_is_refreshed(lives_s, skew_s, before_s):
    """By the skew before its end, but not before half its life; never where nobody knows the end."""
    ends = None if lives_s is None else NOW + timedelta(seconds=lives_s)
    expected = None if ends is None else ends - timedelta(seconds=before_s)
    assert refresh_at(NOW, ends, skew_s) == expected


def test_how_a_token_stands():
    """Good, due while it still works, over when it has ended or was never there."""
    ends, due = NOW + timedelta(seconds=60), NOW + timedelta(seconds=30)

    def at(seconds, **more):
        held = {"has_token": True, "refresh_from": due, "expires_at": ends, **more}
        return standing(NOW + timedelta(seconds=seconds), **held)

    assert [at(s) for s in (0, 29, 30, 59, 60)] == [
        Standing.GOOD, Standing.GOOD, Standing.DUE, Standing.DUE, Standing.OVER
    ]  # fmt: skip
    assert at(0, has_token=False) is Standing.OVER
    assert at(9e9, refresh_from=None, expires_at=None) is Standing.GOOD
