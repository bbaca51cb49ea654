"""ID tokens: what is genuine, and every way in which a provider, or somebody who plays one, can get it wrong."""

import base64
import hmac
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jws

from taske_ray.security.id_tokens import (
    BadIdToken,
    IdClaims,
    algorithms,
    key_id_of,
    read_address,
    read_key_set,
    verify_id_token,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ISSUED = int(NOW.timestamp())
ISSUER, CLIENT, NONCE = "https://id.example.com", "our-client", "n" * 43
CLAIMS = {
    "iss": ISSUER,
    "aud": CLIENT,
    "sub": "248289761001",
    "nonce": NONCE,
    "iat": ISSUED,
    "exp": ISSUED + 300,
    "email": "mina@example.com",
    "email_verified": True,
}
RSA = jwk.generate_key("RSA", 2048, {"kid": "rsa"})
EC = jwk.generate_key("EC", "P-256", {"kid": "ec"})
ED = jwk.generate_key("OKP", "Ed25519", {"kid": "ed"})
SET = {"keys": [key.as_dict(private=False) for key in (RSA, EC, ED)]}
HEADER = {"alg": "RS256", "typ": "JWT", "kid": "rsa"}


def token(claims=CLAIMS, header=HEADER, key=RSA):
    """A token with a right signature over whatever header and claims."""
    head = unsigned(header, claims).rpartition(".")[0]
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    return f"{head}.{urlsafe(algorithm.sign(head.encode(), key))}"


def urlsafe(raw):
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header, claims=CLAIMS, signature=b""):
    """A token put together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(map(urlsafe, parts))


def verify(text, document=SET, **changes):
    """As the sign-in does it."""
    values = {"issuer": ISSUER, "client_id": CLIENT, "nonce": NONCE, "now": NOW, **changes}
    return verify_id_token(text, keys=read_key_set(document), **values)


def refused(text, reason=None, document=SET, **changes):
    """It is refused, for this reason."""
    with pytest.raises(BadIdToken) as raised:
        verify(text, document, **changes)
    assert reason is None or raised.value.reason == reason
    assert str(raised.value) == "What the provider says of the person cannot be trusted."


def test_a_genuine_token_names_the_person():
    """Issuer, subject and the address that the provider vouches for."""
    assert verify(token()) == IdClaims(ISSUER, "248289761001", "mina@example.com", email_verified=True)


@pytest.mark.filterwarnings("ignore:EdDSA")
@pytest.mark.parametrize(("algorithm", "key"), [("RS512", RSA), ("PS256", RSA), ("ES256", EC), ("EdDSA", ED)])
def test_signatures_of_every_family(algorithm, key):
    """RSA in both paddings, elliptic curves and Edwards curves, each with its own kind of key."""
    assert verify(token(header={"alg": algorithm, "kid": key.kid}, key=key)).subject == "248289761001"


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "nonce", "iat", "exp"])
@pytest.mark.parametrize("value", ["absent", None, True, [], {}, ["https://id.example.com"], "", 1.5, -1, 10**400])
def test_every_claim_is_required_and_typed(name, value):
    """A claim that is missing or of another type is refused although the signature is right (CVE-2026-75509)."""
    claims = {key: given for key, given in CLAIMS.items() if key != name}
    refused(token(claims if value == "absent" else {**claims, name: value}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "https://id.example.com/"}, "iss"),
        ({"iss": "https://evil.example.com"}, "iss"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": ["another-client"]}, "aud"),
        ({"aud": [CLIENT, 1]}, "aud"),
        ({"aud": [CLIENT, "another-client"]}, "azp"),
        ({"aud": [CLIENT, "another-client"], "azp": "another-client"}, "azp"),
        ({"azp": "another-client"}, "azp"),
        ({"azp": [CLIENT]}, "azp"),
        ({"nonce": "another"}, "nonce"),
        ({"exp": ISSUED - 30}, "time"),
        ({"exp": str(ISSUED + 300)}, "time"),
        ({"iat": ISSUED + 31}, "time"),
        ({"iat": ISSUED - 631}, "time"),
        ({"nbf": ISSUED + 31}, "time"),
        ({"nbf": "soon"}, "time"),
        ({"sub": "a" * 256}, "sub"),
        ({"sub": "a\x00b"}, "sub"),
        ({"sub": 7}, "sub"),
    ],
)
def test_wrong_values_are_refused(change, reason):
    """Another issuer, client, party, nonce or time, and subjects that are none."""
    refused(token({**CLAIMS, **change}), reason)


def test_an_audience_of_several_needs_us_as_the_party():
    """With several audiences `azp` must be us; a list of us alone needs none."""
    assert verify(token({**CLAIMS, "aud": [CLIENT, "other"], "azp": CLIENT})).subject
    assert verify(token({**CLAIMS, "aud": [CLIENT]})).subject


@pytest.mark.parametrize("value", [False, None, "true", 1, "yes", [True]])
def test_only_true_says_verified(value):
    """Whatever else a provider puts there vouches for nothing."""
    assert verify(token({**CLAIMS, "email_verified": value})).email_verified is False
    assert read_address({"email": "a@b.c"}) == ("a@b.c", False)
    assert read_address({"email": ["a@b.c"], "email_verified": True}) == (None, False)
    assert read_address({"email": "", "email_verified": True}) == (None, False)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "HS512", "", "rs256", None, 1, ["RS256"]])
def test_other_algorithms_are_refused(algorithm):
    """No signature, a shared secret, or no algorithm at all."""
    refused(unsigned({**HEADER, "alg": algorithm}), "alg")


def test_the_public_key_is_no_hmac_key():
    """A token signed by HMAC with the issuer's public key, in each of its spellings, is refused."""
    header = {**HEADER, "alg": "HS256"}
    head = unsigned(header).rpartition(".")[0]
    for secret in (RSA.as_pem(private=False), json.dumps(SET["keys"][0]).encode(), SET["keys"][0]["n"].encode()):
        signature = hmac.digest(secret, head.encode(), "sha256")
        refused(unsigned(header, signature=signature), "alg")
    refused(unsigned(header, signature=b""), "alg", {"keys": [*SET["keys"], {"kty": "oct", "k": "AAAA", "kid": "rsa"}]})


def test_an_algorithm_that_the_provider_does_not_use_is_refused():
    """What the metadata does not list does not count, nor does a list of weak ones."""
    refused(token(), "alg", allowed=["ES256"])
    refused(token(), "alg", allowed=[])
    refused(unsigned({**HEADER, "alg": "HS256"}), "alg", allowed=["HS256"])
    assert "HS256" not in algorithms


@pytest.mark.parametrize("name", ["crit", "b64", "jwk"])
def test_headers_that_change_the_rules_are_refused(name):
    """Critical extensions, unencoded payloads and keys that come along."""
    value = {"crit": ["b64"], "b64": False, "jwk": SET["keys"][0]}[name]
    refused(token(header={**HEADER, name: value}), "header")


def test_a_key_that_comes_along_counts_nothing():
    """Where a token says its key is, nobody looks: only the issuer's set is asked."""
    thief = jwk.generate_key("RSA", 2048, {"kid": "rsa"})
    for extra in ({"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example/cert"}, {"x5t": "abc"}):
        assert verify(token(header={**HEADER, **extra})).subject
        refused(token(header={**HEADER, **extra}, key=thief), "signature")


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", 1, None, ["JWT"]])
def test_other_kinds_of_token_are_refused(typ):
    """An access or log-out token of the same issuer is no ID token."""
    refused(token(header={**HEADER, "typ": typ}), "header")


def test_the_key_is_the_one_that_is_named():
    """Unknown, foreign and ambiguous keys; without a name only where there is one of its kind."""
    refused(token(header={**HEADER, "kid": "unknown"}), "kid")
    refused(token(header={**HEADER, "kid": "ec"}), "kid")
    nameless = {"alg": "RS256"}
    assert verify(token(header=nameless)).subject
    second = jwk.generate_key("RSA", 2048, {"kid": "second"})
    both = {"keys": [*SET["keys"], second.as_dict(private=False)]}
    refused(token(header=nameless), "kid", both)
    same = {"keys": [*SET["keys"], {**second.as_dict(private=False), "kid": "rsa"}]}
    refused(token(), "kid", same)


def test_a_key_is_good_for_what_it_says():
    """A key for encryption or for another algorithm verifies nothing; one on another curve neither."""
    refused(token(), "kid", {"keys": [{**SET["keys"][0], "use": "enc"}, SET["keys"][1]]})
    refused(token(), "kid", {"keys": [{**SET["keys"][0], "alg": "RS512"}]})
    p384 = jwk.generate_key("EC", "P-384", {"kid": "ec"})
    text = token(header={"alg": "ES256", "kid": "ec"}, key=EC)
    refused(text, "signature", {"keys": [p384.as_dict(private=False)]})


@pytest.mark.parametrize(
    "document",
    [
        None, [], {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [None, 1, "x", {}]},
        {"keys": [{"kty": "oct", "k": "AAAA"}]}, {"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]},
        {"keys": [{"kty": "RSA", "n": ["x"], "e": "AQAB"}]}, {"keys": [{"kty": ["RSA"]}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}, {"keys": [{**SET["keys"][0], "kid": 7}]},
        {"keys": [SET["keys"][0]] * 101}, {"keys": [jwk.generate_key("RSA", 1024).as_dict(private=False)]},
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Key size")
def test_what_is_no_key_set_is_refused(document):
    """No keys, broken, short or endless ones: refused, without another error."""
    with pytest.raises(BadIdToken):
        read_key_set(document)


def test_unknown_keys_do_not_spoil_the_set():
    """A kind of key that nobody knows yet, or a broken one, leaves the others usable."""
    assert verify(token(), {"keys": [{"kty": "ML-DSA", "pub": "x"}, {"kty": "EC"}, *SET["keys"]]}).subject


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "a.b", "a.b.c.d", "é.é.é", "x" * 20_000, "W10.e30.AA", "MQ.e30.AA"]
)
def test_what_is_no_token_is_refused(text):
    """Broken, long and non-compact texts."""
    with pytest.raises(BadIdToken):
        key_id_of(text)
    refused(text, "form")


def test_long_tokens_are_refused_before_parsing():
    """A genuine token above 16 KiB is refused; one with many claims is fine."""
    assert verify(token({**CLAIMS, "groups": ["g" * 100] * 80})).subject
    refused(token({**CLAIMS, "x": "y" * 20_000}), "form")


def test_claims_must_be_an_object():
    """A signed text that is no JSON object says nothing."""
    for claims in ([], "x", 1, None):
        refused(token(claims))


@given(st.data())
def test_a_changed_token_is_refused(data):
    """Any changed character makes the token worthless."""
    genuine = token()
    position = data.draw(st.integers(0, len(genuine) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = genuine[:position] + letter + genuine[position + 1 :]
    if changed != genuine:
        refused(changed)
