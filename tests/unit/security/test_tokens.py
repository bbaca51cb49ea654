"""Access tokens, opaque tokens and API keys: what is genuine, and every way not to be."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.errors import Unauthenticated
from taske_ray.security.tokens import (
    SigningKey,
    digest,
    is_same,
    key_set,
    mint_access_token,
    new_api_key,
    new_token,
    read_api_key,
    verify_access_token,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ISSUER = "http://127.0.0.1:8000"
USER, SESSION = UUID(int=1), UUID(int=2)
KEY = SigningKey.generate()
KEYS = {KEY.kid: KEY.public_bytes}
ISSUED = int(NOW.timestamp())
CLAIMS = {
    "iss": ISSUER,
    "aud": "taske",
    "sub": str(USER),
    "sid": str(SESSION),
    "jti": "j",
    "iat": ISSUED,
    "exp": ISSUED + 600,
}
HEADER = {"typ": "at+jwt", "kid": KEY.kid, "alg": "EdDSA"}


def b64(data):
    """URL-safe base64 without padding."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(claims=CLAIMS, header=HEADER, key=KEY):
    """A token with a right signature over whatever header and claims."""
    head = f"{b64(header)}.{b64(claims)}"
    return f"{head}.{b64(key.private.sign(head.encode()))}"


def verify(token, now=NOW, keys=KEYS):
    """As the API does it."""
    return verify_access_token(token, issuer=ISSUER, keys=keys, now=now)


def test_a_minted_token_is_genuine():
    """What we mint we accept, with its user and session, for ten minutes."""
    token = mint_access_token(KEY, issuer=ISSUER, user_id=USER, session_id=SESSION, now=NOW)
    claims = verify(token)
    assert (claims.user_id, claims.session_id, claims.issued_at) == (USER, SESSION, ISSUED)
    assert claims.expires_at - claims.issued_at == 600
    assert jwt.get_unverified_header(token) == HEADER
    assert verify(signed()) == verify(signed(dict(reversed(CLAIMS.items()))))


@pytest.mark.parametrize(
    ("after_s", "good"), [(-6, False), (-5, True), (599, True), (604, True), (605, False), (10**6, False)]
)
def test_time_with_five_seconds_of_leeway(after_s, good):
    """A token counts from five seconds before it was issued to five seconds after it ends."""
    token = mint_access_token(KEY, issuer=ISSUER, user_id=USER, session_id=SESSION, now=NOW)
    if good:
        verify(token, NOW + timedelta(seconds=after_s))
    else:
        with pytest.raises(Unauthenticated):
            verify(token, NOW + timedelta(seconds=after_s))


@pytest.mark.parametrize("name", list(CLAIMS))
def test_every_claim_is_required_and_typed(name):
    """A missing claim, or one of another type, is refused although the signature is right."""
    for claims in (
        {key: value for key, value in CLAIMS.items() if key != name},
        {**CLAIMS, name: None},
        {**CLAIMS, name: [CLAIMS[name]]},
        {**CLAIMS, name: True},
        {**CLAIMS, name: 1.5},
        {**CLAIMS, name: {}},
    ):
        with pytest.raises(Unauthenticated):
            verify(signed(claims))


@pytest.mark.parametrize(
    "claims", [{"iss": "https://evil"}, {"aud": "other"}, {"sub": "admin"}, {"sid": ""}, {"exp": str(ISSUED + 600)}]
)
def test_wrong_values_are_refused(claims):
    """Another issuer or audience, and ids that are none."""
    with pytest.raises(Unauthenticated):
        verify(signed({**CLAIMS, **claims}))


@pytest.mark.parametrize("extra", ["jku", "x5u", "jwk", "crit", "b64", "x5c", "cty", "zip"])
def test_headers_that_steer_verification_are_refused(extra):
    """No header but the three we write is accepted."""
    with pytest.raises(Unauthenticated):
        verify(signed(header={**HEADER, extra: "https://evil/keys"}))


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "JWT"},
        {"kid": "unknown"},
        {"kid": 1},
        {"kid": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "Ed25519"},
    ],
)
def test_other_types_keys_and_algorithms_are_refused(change):
    """Type, key id and algorithm must be exactly ours."""
    with pytest.raises(Unauthenticated):
        verify(signed(header={**HEADER, **change}))


def test_the_public_key_is_no_hmac_key():
    """A token signed by HMAC with our public key is refused."""
    head = f"{b64({**HEADER, 'alg': 'HS256'})}.{b64(CLAIMS)}"
    with pytest.raises(Unauthenticated):
        verify(f"{head}.{b64(hmac.digest(KEY.public_bytes, head.encode(), 'sha256'))}")


def test_another_key_under_our_id_is_refused():
    """Only our own key signs."""
    with pytest.raises(Unauthenticated):
        verify(signed(key=SigningKey.generate()))


@given(st.data())
def test_a_changed_token_is_refused(data):
    """Any changed character makes the token worthless."""
    token = signed()
    position = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019-_"))
    changed = token[:position] + letter + token[position + 1 :]
    if changed == token:
        return
    with pytest.raises(Unauthenticated):
        verify(changed)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "a.b.c.d", "é.é.é", "x" * 5000, signed() + ".", signed() + "\n"]
)
def test_what_is_no_token_is_refused(token):
    """Broken, long and non-compact texts are refused like any other."""
    with pytest.raises(Unauthenticated):
        verify(token)


def test_long_tokens_are_refused_before_parsing():
    """A genuine token above 4 KiB is refused."""
    with pytest.raises(Unauthenticated):
        verify(signed({**CLAIMS, "x": "y" * 4000}))


def test_keys_survive_storage():
    """A key made from its bytes signs what the old one's public key verifies; the set shows public keys only."""
    again = SigningKey.from_bytes(KEY.kid, KEY.private_bytes)
    verify(mint_access_token(again, issuer=ISSUER, user_id=USER, session_id=SESSION, now=NOW))
    [shown] = key_set(KEYS)["keys"]
    assert shown == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": b64(KEY.public_bytes),
        "kid": KEY.kid,
        "use": "sig",
        "alg": "EdDSA",
    }


def test_opaque_tokens_are_long_and_stored_as_digests():
    """256 random bits, another one each time, of which 32 bytes are kept."""
    one, two = new_token(), new_token()
    assert one != two
    assert len(base64.urlsafe_b64decode(one + "=")) == 32
    assert len(digest(one)) == 32
    assert is_same(digest(one), digest(one))
    assert not is_same(digest(one), digest(two))
    assert not is_same("", "")


def test_api_keys_tell_their_id_and_digest():
    """A key reads back to its id and the digest of the whole of it."""
    key = new_api_key(USER)
    assert key.startswith(f"tsk_{USER.hex}_")
    assert read_api_key(key) == (USER, digest(key))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tsk",
        "tsk__x",
        "tsk_1_x",
        f"tsk_{USER.hex}_",
        f"abc_{USER.hex}_x",
        f"tsk_{'z' * 32}_x",
        "tsk_" + "0" * 32 + "_" + "x" * 5000,
    ],
)
def test_what_is_no_api_key_is_refused(text):
    """Other shapes are nobody."""
    with pytest.raises(Unauthenticated):
        read_api_key(text)
