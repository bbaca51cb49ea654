"""Consent: where a browser is sent, what is asked for there, and who may bring the OAuth client."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from taske_ray.core.capability import ConnectionValues, parse_module
from taske_ray.core.capability.tokens import (
    Asking,
    OAuthClient,
    authorize_url,
    is_from,
    missing_scopes,
    scopes_to_ask,
)

OAUTH = {"authorize_url": "https://login.shop.example/authorize", "token_url": "https://login.shop.example/token"}
GOING = {"redirect_uri": "https://taske.example/callback", "state": "the-state", "challenge": "the-challenge"}


def oauth(document, fields=None, **oauth):
    """The document with OAuth as its second scheme."""
    document["allowed_hosts"] = ["api.shop.example", "login.shop.example"]
    document["auth"][1] = {"id": "oauth", "type": "oauth2_code", "oauth": {**OAUTH, **oauth}, **(fields or {})}
    return document


def sent_to(document, scopes=(), config=None):
    """(address, parameters) that a browser is sent to."""
    module = parse_module(document)
    connection = ConnectionValues("oauth", config or {}, {})
    asking = Asking(module, module.auth["oauth"], connection, datetime(2026, 1, 1, tzinfo=UTC), OAuthClient("our-app"))
    url = urlsplit(authorize_url(asking, scopes=scopes, **GOING))
    return url, dict(parse_qsl(url.query))


def test_a_browser_is_sent_to_consent(document):
    """Code flow with our client, the exact redirect address, state and the challenge of the verifier."""
    url, params = sent_to(oauth(document), ["a", "b c"])
    assert url[:3] == ("https", "login.shop.example", "/authorize")
    assert params == {
        "response_type": "code",
        "client_id": "our-app",
        "redirect_uri": "https://taske.example/callback",
        "scope": "a b c",
        "code_challenge": "the-challenge",
        "code_challenge_method": "S256",
        "state": "the-state",
    }


def test_dialects_of_consent(document):
    """Other separators, no PKCE, an address with a query, further parameters; but the state stays ours."""
    dialect = {
        "authorize_url": "https://login.shop.example/authorize?v=2",
        "scope_separator": ",",
        "pkce": "none",
        "authorize_params": {"prompt": "consent", "shop": "{{ conn.config.shop }}", "state": "theirs", "none": None},
    }
    fields = {"fields": {"type": "object", "properties": {"shop": {"type": "string"}}}}
    _, params = sent_to(oauth(document, fields, **dialect), ["a", "b"], {"shop": "x&y"})
    assert params == {
        "v": "2",
        "response_type": "code",
        "client_id": "our-app",
        "redirect_uri": "https://taske.example/callback",
        "scope": "a,b",
        "prompt": "consent",
        "shop": "x&y",
        "state": "the-state",
    }
    assert "scope" not in sent_to(oauth(document))[1]


def test_parameters_of_a_consent_may_be_secret(document, errors_of):
    """A provider may want a secret in the address of its page (format, 2.7); a token path must be one."""
    params = {"a": "{{ app.client_secret }}", "b": "{{ conn.secret.client_secret }}", "c": "{{ app.client_id }}"}
    document = oauth(document, authorize_params=params, token_path={"access": "a[", "other": "x"})
    assert errors_of(document) == {
        ("/auth/1/oauth/token_path/access", "wrong_type"),
        ("/auth/1/oauth/token_path/other", "unknown_field"),
    }


def test_scopes_are_those_of_what_is_chosen(document):
    """Base scopes, then those of the chosen capabilities that take the scheme, each once."""
    one = {**document["capabilities"][0], "scopes": ["write", "base"], "auth": ["oauth"]}
    other = {**one, "capability": "shop.item.read", "scopes": ["read"]}
    foreign = {**one, "capability": "shop.other", "scopes": ["other"], "auth": ["none"]}
    document["capabilities"] = [one, other, foreign]
    module = parse_module(oauth(document, base_scopes=["base"]))
    scheme = module.auth["oauth"]
    assert scopes_to_ask(module, scheme) == ("base", "write", "read")
    assert scopes_to_ask(module, scheme, [], ["more"]) == ("base", "more")
    assert scopes_to_ask(module, scheme, ["shop.item.read"]) == ("base", "read")
    write = module.capabilities["shop.item.create"]
    assert missing_scopes(write, ["base", "x"]) == ("write",)
    assert missing_scopes(write, None) == ()


def test_an_answer_that_names_another_issuer(document):
    """An issuer of another origin than the provider's endpoints is not the provider."""
    scheme = parse_module(oauth(document)).auth["oauth"]
    assert is_from(scheme, "https://login.shop.example/tenant/1")
    assert not is_from(scheme, "https://evil.example/tenant/1")
    assert not is_from(scheme, "no address")


@pytest.mark.parametrize(
    ("kind", "client", "names", "required"),
    [
        ("oauth2_code", "either", {"client_id", "client_secret"}, []),
        ("oauth2_code", "instance", set(), []),
        ("oauth2_code", "connection", {"client_id", "client_secret"}, ["client_id"]),
        ("oauth2_client_credentials", "either", {"client_id", "client_secret"}, []),
        ("oauth2_client_credentials", "instance", set(), []),
        ("oauth2_client_credentials", "connection", {"client_id", "client_secret"}, ["client_id", "client_secret"]),
    ],
)
def test_who_brings_the_client(document, kind, client, names, required):
    """The fields of a connection ask for a client where the user may or must bring one."""
    document = oauth(document, {"type": kind, "client": client})
    schema = parse_module(document).auth["oauth"].fields.schema
    assert set(schema["properties"]) == names
    assert schema.get("required", []) == required


def test_a_client_that_the_fields_have_no_place_for(document, errors_of):
    """Fields of the document's own need a client_id where the connection must bring the client."""
    fields = {"client": "connection", "fields": {"type": "object", "properties": {"shop": {"type": "string"}}}}
    assert errors_of(oauth(document, fields)) == {("/auth/1/fields", "missing")}
