"""Assertions that a connection signs: readable by another library, and refused for a key that does not fit."""

import pytest
from joserfc import jwk, jwt

from taske_ray.security.assertions import sign_assertion

KEYS = {
    "RS256": jwk.generate_key("RSA", 2048),
    "ES256": jwk.generate_key("EC", "P-256"),
    "EdDSA": jwk.generate_key("OKP", "Ed25519"),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_another_library_accepts_it(algorithm):
    """Claims and header arrive; `alg` is what was asked for, whatever the header says."""
    key = KEYS[algorithm]
    token = sign_assertion(algorithm, key.as_pem(private=True), {"kid": "k1", "alg": "none"}, {"iss": "me", "exp": 9e9})
    found = jwt.decode(token, key, algorithms=[algorithm])
    assert (found.claims["iss"], found.header["kid"], found.header["alg"]) == ("me", "k1", algorithm)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----"),
        ("RS256", b""),
        ("RS256", KEYS["ES256"].as_pem(private=True)),
        ("RS256", KEYS["RS256"].as_pem(private=False)),
        ("HS256", b""),
        ("HS256", KEYS["RS256"].as_pem(private=True)),
        ("none", b"x"),
    ],
)
def test_a_key_that_does_not_fit(algorithm, key):
    """One kind of error, which quotes nothing of the key."""
    with pytest.raises(ValueError, match=f"not a key for {algorithm}"):
        sign_assertion(algorithm, key, {}, {"iss": "me"})
