"""Logging in at a provider: a real OpenID provider, and everything an impostor can try."""

import asyncio
import base64
import hmac
import json

import httpx
import pytest
from joserfc import jwk, jws

from taske_ray.clock import SystemClock
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.sign_in import remembered
from taske_ray.integrations.sign_in.identity import Identity, ProviderAway, SignInRefused
from taske_ray.integrations.sign_in.openid import OpenIdProvider
from taske_ray.integrations.transport import Transport
from taske_ray.security.id_tokens import BadIdToken
from taske_ray.security.pkce import challenge_of
from taske_ray.settings import SocialLogin
from tests.integration.integrations.conftest import reply, serving
from tests.integration.integrations.visits import BACK, NONCE, VERIFIER, VISIT, returned
from tests.integration.providers import Impostor, json_reply, playing, query_of, real_provider


def urlsafe(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def openid(issuer, transport, *, client_id="client", client_secret="secret"):
    return OpenIdProvider(
        SocialLogin("corp", client_id, client_secret, issuer), transport=transport, clock=SystemClock()
    )


@pytest.fixture
async def impostor():
    """An impostor, right in everything until a test changes it."""
    async with playing(Impostor(nonce=NONCE)) as provider:
        yield provider


@pytest.fixture
def corp(impostor, strict):
    return openid(impostor.issuer, strict(impostor.issuer))


@pytest.fixture(params=["client_secret_basic", "client_secret_post"])
def real(request, monkeypatch):
    """A real provider, once for each way of showing the client's secret."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with real_provider(BACK, auth_method=request.param, names_itself=request.param.endswith("post")) as provider:
        yield provider


def at_real(real, transport, **changes):
    values = {"client_id": real.client_id, "client_secret": real.client_secret, **changes}
    return openid(real.issuer, transport, **values)


# A real provider ---------------------------------------------------------------------------------------------------


async def test_a_real_provider_says_who_it_is(real, strict):
    """The whole flow: the address that we send to, consent, exchange, key set, ID token, and the verified address."""
    real.knows("248289761001", email="mina@example.com", email_verified=True)
    provider = at_real(real, strict(real.issuer))
    address = await provider.address(VISIT)
    assert query_of(address) == {
        "response_type": "code",
        "client_id": real.client_id,
        "redirect_uri": BACK,
        "scope": "openid email",
        "state": "s" * 43,
        "nonce": NONCE,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    answer = query_of(await asyncio.to_thread(real.consent, address, "248289761001"))
    assert answer["state"] == "s" * 43
    found = await provider.identify(returned(answer["code"], answered_by=answer.get("iss")))
    assert found == Identity(real.issuer, "248289761001", "mina@example.com", email_verified=True)


async def test_a_real_provider_checks_what_it_is_shown(real, strict):
    """It refuses another verifier, redirect, secret or client, a spent code, and an authorization without PKCE."""
    provider = at_real(real, strict(real.issuer))
    address = await provider.address(VISIT)

    async def code():
        return query_of(await asyncio.to_thread(real.consent, address, "mina"))["code"]

    by = query_of(await asyncio.to_thread(real.consent, address, "mina")).get("iss")
    for wrong in (
        returned(await code(), answered_by=by, verifier="w" * 43),
        returned(await code(), answered_by=by, redirect_uri=BACK + "/"),
        returned("made up", answered_by=by),
    ):
        with pytest.raises(SignInRefused) as refused:
            await provider.identify(wrong)
        assert refused.value.reason in ("invalid_grant", "invalid_request")
    for other in ({"client_secret": "wrong"}, {"client_id": "wrong"}):
        with pytest.raises(SignInRefused):
            await at_real(real, strict(real.issuer), **other).identify(returned(await code(), answered_by=by))
    spent = await code()
    assert (await provider.identify(returned(spent, answered_by=by))).subject == "mina"
    with pytest.raises(SignInRefused):
        await provider.identify(returned(spent, answered_by=by))
    for name in ("code_challenge", "nonce", "redirect_uri"):
        refused = await asyncio.to_thread(real.client.post, address.replace(f"{name}=", "x="), data={"sub": "mina"})
        assert "code=" not in refused.headers.get("location", "")


async def test_a_nonce_of_another_visit_is_refused(real, strict):
    """The token of a real provider that was made for another visit."""
    provider = at_real(real, strict(real.issuer))
    answer = query_of(await asyncio.to_thread(real.consent, await provider.address(VISIT), "mina"))
    with pytest.raises(BadIdToken):
        await provider.identify(returned(answer["code"], answered_by=answer.get("iss"), nonce="o" * 43))


async def test_a_provider_that_names_itself_must_do_so(monkeypatch, strict):
    """With RFC 9207 in its metadata, an answer without `iss` or with another's is not taken to it (mix-up)."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with real_provider(BACK, names_itself=True) as real:
        provider = at_real(real, strict(real.issuer))
        answer = query_of(await asyncio.to_thread(real.consent, await provider.address(VISIT), "mina"))
        assert answer["iss"] == real.issuer
        for answered_by in (None, "", "https://evil.example", real.issuer + "/"):
            with pytest.raises(SignInRefused):
                await provider.identify(returned(answer["code"], answered_by=answered_by))
        assert (await provider.identify(returned(answer["code"], answered_by=answer["iss"]))).subject == "mina"


# An impostor -------------------------------------------------------------------------------------------------------


async def test_the_impostor_is_right_until_it_is_changed(corp):
    """What the cases below change works as it is, so that they show what they change."""
    assert await corp.identify(returned()) == Identity(corp._login.issuer, "mina", None, email_verified=False)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "another"}, {"nonce": None}, {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another"},
        {"aud": ["client", "another"]}, {"aud": ["client", "another"], "azp": "another"}, {"azp": "another"},
        {"exp": 1_700_000_000}, {"exp": None}, {"iat": None}, {"sub": None}, {"sub": ""},
    ],
)  # fmt: skip
async def test_a_wrong_id_token_is_refused(impostor, corp, change):
    """Another nonce, issuer, audience or party, a token that is over, and one about nobody."""
    impostor.claims = change
    with pytest.raises(BadIdToken):
        await corp.identify(returned())


async def test_no_signature_and_a_shared_secret_are_refused(impostor, corp):
    """`none` and HMAC with the public key or the client's secret, whatever the metadata allows."""
    impostor.metadata = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}
    head, body, _ = impostor.id_token().split(".")
    public = impostor.key.as_dict(private=False)
    for secret in (b"secret", impostor.key.as_pem(private=False), json.dumps(public).encode(), public["n"].encode()):
        signed = f"{urlsafe(json.dumps({'alg': 'HS256', 'kid': 'one'}).encode())}.{body}"
        impostor.tokens = {"id_token": f"{signed}.{urlsafe(hmac.digest(secret, signed.encode(), 'sha256'))}"}
        with pytest.raises(BadIdToken):
            await corp.identify(returned())
    for header in ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIiwia2lkIjoib25lIn0", head):
        impostor.tokens = {"id_token": f"{header}.{body}."}
        with pytest.raises(BadIdToken):
            await corp.identify(returned())


async def test_a_key_that_a_token_brings_along_is_never_fetched(impostor, corp):
    """`jku` and `x5u` to a listener: nobody comes, and the thief's signature counts nothing."""
    thief = Impostor(nonce=NONCE)
    async with serving(thief) as server:
        thief.port = server.port
        thief.key = jwk.generate_key("RSA", 2048, {"kid": "one"})
        thief.claims = {"iss": impostor.issuer}
        header = {"alg": "RS256", "kid": "one", "jku": f"{thief.issuer}/jwks", "x5u": f"{thief.issuer}/cert"}
        registry = jws.JWSRegistry(strict_check_header=False)
        claims = jws.extract_compact(thief.id_token().encode()).payload
        impostor.tokens = {"id_token": jws.serialize_compact(header, claims, thief.key, registry=registry)}
        with pytest.raises(BadIdToken):
            await corp.identify(returned())
        assert server.connections == 0


@pytest.mark.parametrize("tokens", [{"id_token": None}, {"id_token": 7}, {"id_token": ""}, {"id_token": "x" * 20_000}])
async def test_no_id_token_is_nobody(impostor, corp, tokens):
    """Tokens without a readable ID token say nothing of anybody."""
    impostor.tokens = tokens
    with pytest.raises((SignInRefused, BadIdToken)):
        await corp.identify(returned())


async def test_the_address_may_be_kept_elsewhere(impostor, corp):
    """Where the ID token has no address, the user info has it, if it is about the same person."""
    impostor.metadata = {"userinfo_endpoint": f"{impostor.issuer}/userinfo"}
    assert (await corp.identify(returned())).email == "mina@example.com"
    impostor.answers["/userinfo"] = json_reply({"sub": "eve", "email": "mina@example.com", "email_verified": True})
    with pytest.raises(SignInRefused):
        await corp.identify(returned())
    impostor.claims = {"email": "own@example.com", "email_verified": True}
    assert (await corp.identify(returned())).email == "own@example.com"


async def test_an_unknown_key_is_looked_for_once_in_thirty_seconds(impostor, strict, monkeypatch):
    """A storm of tokens with made-up keys costs one fetch; a key that was rotated in is found by it."""
    corp = openid(impostor.issuer, strict(impostor.issuer))
    now = 1000.0
    for kept in (corp._keys, corp._metadata):
        monkeypatch.setattr(kept, "_monotonic", lambda: now)
    await corp.identify(returned())
    assert impostor.hits("/jwks") == 1
    old, impostor.key = impostor.key, jwk.generate_key("RSA", 2048, {"kid": "two"})
    now += remembered.pause_s
    assert (await corp.identify(returned())).subject == "mina"
    assert impostor.hits("/jwks") == 2
    impostor.listed = [old.as_dict(private=False)]
    for number in range(50):
        now += 0.5
        impostor.key = jwk.generate_key("EC", "P-256", {"kid": f"storm {number}"})
        impostor.header = {"alg": "ES256", "kid": impostor.key.kid}
        with pytest.raises(BadIdToken):
            await corp.identify(returned())
    assert impostor.hits("/jwks") == 2
    now += remembered.pause_s
    await asyncio.gather(*(corp.identify(returned()) for _ in range(20)), return_exceptions=True)
    assert impostor.hits("/jwks") == 3


async def test_the_old_keys_serve_while_the_provider_is_away(impostor, strict, monkeypatch):
    """A key set that cannot be fetched again, or is garbage, does not end what was known."""
    corp = openid(impostor.issuer, strict(impostor.issuer))
    now = 1000.0
    for kept in (corp._keys, corp._metadata):
        monkeypatch.setattr(kept, "_monotonic", lambda: now)
    await corp.identify(returned())
    for broken in (reply(b"", status="503 Busy"), reply(b"<html>"), json_reply({"keys": []}), json_reply([])):
        now += remembered.fresh_s
        impostor.answers = {"/jwks": broken, "/.well-known/openid-configuration": broken}
        assert (await corp.identify(returned())).subject == "mina"
    assert impostor.hits("/jwks") == 5
    assert impostor.hits("/.well-known/openid-configuration") == 5


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
async def test_a_provider_that_is_away_is_503(impostor, corp, path):
    """No answer, a broken one, an endless one and a redirect are the provider's trouble, not a wrong person."""
    answers = [
        reply(b"", status="502 Bad Gateway"),
        reply(b"<html>"),
        reply(b" " * 300_000 + b"{}"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
    ]
    for answer in answers:
        impostor.answers = {path: answer}
        fresh = openid(impostor.issuer, corp._calls._transport)
        with pytest.raises(ProviderAway):
            await fresh.identify(returned())
    assert ProviderAway().code == "provider_unavailable"


async def test_nobody_listens(strict, free_tcp_port):
    """A provider that is down: 503, and the next tries do not wait for it."""
    issuer = f"http://127.0.0.1:{free_tcp_port}"
    corp = openid(issuer, strict(issuer))
    for _ in range(3):
        with pytest.raises(ProviderAway) as away:
            await corp.address(VISIT)
        assert away.value.retry_after_s == 5


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"])
async def test_redirects_are_not_followed(impostor, corp, path):
    """A redirect to another origin brings the code, the secret and the token nowhere."""
    async with serving(Impostor()) as thief:
        for status in ("302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            impostor.metadata = {"userinfo_endpoint": f"{impostor.issuer}/userinfo"}
            impostor.answers = {path: reply(b"{}", f"Location: {thief.url('/steal')}", status=status)}
            fresh = openid(impostor.issuer, corp._calls._transport)
            with pytest.raises((ProviderAway, SignInRefused)):
                await fresh.identify(returned())
        assert thief.connections == 0


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/x", "http://169.254.169.254/latest", "https://10.0.0.1/x", "https://localhost/x",
        "https://metadata.internal/x", "http://id.example.com/x", "ftp://id.example.com/x", "file:///etc/passwd",
        "javascript:alert(1)", "//id.example.com/x", "/x", "https://user@id.example.com/x", "https://id.example.com:22/x",
        7, ["https://id.example.com/x"], "",
    ],
)  # fmt: skip
async def test_metadata_leads_only_where_it_may(impostor, strict, member, address):
    """An address of another origin must be https and pass the guard, for browsers and for us."""
    impostor.metadata = {member: address}
    corp = openid(impostor.issuer, strict(impostor.issuer))
    with pytest.raises(ProviderAway):
        await corp.address(VISIT)


async def test_metadata_of_another_issuer_is_refused(impostor, strict):
    """The issuer in the metadata must be the configured one, to the letter."""
    for issuer in ("https://evil.example", impostor.issuer + "/", None, [impostor.issuer]):
        impostor.metadata = {"issuer": issuer}
        with pytest.raises(ProviderAway):
            await openid(impostor.issuer, strict(impostor.issuer)).address(VISIT)


async def test_other_origins_over_https_are_fine(impostor, strict):
    """Providers like Google keep their endpoints on several hosts."""
    impostor.metadata = {"authorization_endpoint": "https://accounts.example.com/authorize?p=policy"}
    address = await openid(impostor.issuer, strict(impostor.issuer)).address(VISIT)
    assert address.startswith("https://accounts.example.com/authorize?p=policy&response_type=code&")


async def test_only_the_configured_origin_is_allowed_by_the_operator(impostor):
    """Without the operator's word the guard keeps us off a private address, also of an issuer."""
    transport = Transport(guard=EgressGuard())
    with pytest.raises(ProviderAway):
        await openid(impostor.issuer, transport).address(VISIT)
    assert impostor.asked == []
    await transport.close()


async def test_the_secret_goes_to_the_token_endpoint_alone(impostor, corp):
    """Neither the key set nor the metadata is asked with the client's secret; the log never gets it."""
    await corp.identify(returned())
    seen = {path: (headers.get("authorization"), form) for path, headers, form in impostor.asked}
    assert seen["/token"][0] == httpx.BasicAuth("client", "secret")._auth_header
    assert seen["/token"][1]["code_verifier"] == VERIFIER
    assert seen["/jwks"] == seen["/.well-known/openid-configuration"] == (None, {})
