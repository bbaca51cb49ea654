"""ID tokens of OpenID providers: what makes one genuine (security, 7.3). Nothing is fetched here.

The key comes from the issuer's own set and is chosen by `kid`; what a token says about where its key is counts nothing.
"""

import base64
import binascii
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwk, jws
from joserfc.errors import JoseError

from taske_ray.errors import Unauthenticated
from taske_ray.security.tokens import is_same

algorithms = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures only: with an HMAC the public key would be the secret."""
max_token_bytes = 16 * 1024
leeway = timedelta(seconds=30)
max_age = timedelta(minutes=10)
"""Longer than a visit lasts no token of it can be old."""

_public_members = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_key_types = {"R": "RSA", "P": "RSA", "ES": "EC", "Ed": "OKP"}
_rsa_bits = range(2048, 8193)
_max_keys = 100
_longest_subject = 255
_end_of_time = 2**53
_steering = ("crit", "b64", "jwk")


class BadIdToken(Unauthenticated):
    """What the provider says of the person cannot be trusted."""

    code = "bad_id_token"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of an issuer; `algorithm` None: any of its type."""

    kid: str | None
    type: str
    algorithm: str | None
    key: jwk.Key = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdClaims:
    """What a genuine token says of the person; `email` counts only with `email_verified`."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool


def read_key_set(document: object) -> list[VerificationKey]:
    """The keys for signatures in a JWK set; others, and broken ones, are left out. Raises BadIdToken without any."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _max_keys:
        raise BadIdToken("no key set")
    found = [key for key in map(_read_key, listed) if key is not None]
    if not found:
        raise BadIdToken("no usable key")
    return found


def key_id_of(token: str) -> str | None:
    """The `kid` that a token names, to look for its key. Raises BadIdToken for what is no compact token."""
    kid = _header(token).get("kid")
    if kid is not None and not isinstance(kid, str):
        raise BadIdToken("kid")
    return kid


def verify_id_token(
    token: str,
    *,
    keys: Sequence[VerificationKey],
    issuer: str,
    client_id: str,
    nonce: str,
    allowed: Collection[str] = algorithms,
    now: datetime,
) -> IdClaims:
    """The claims of a genuine token. Raises BadIdToken; its `reason` is for the log."""
    header = _header(token)
    if any(name in header for name in _steering) or str(header.get("typ", "JWT")).upper() != "JWT":
        raise BadIdToken("header")
    key, algorithm = _key_for(header, keys, allowed)
    claims = _signed_claims(token, key, algorithm)
    if claims.get("iss") != issuer:
        raise BadIdToken("iss")
    _check_audience(claims, client_id)
    _check_time(claims, now.timestamp())
    if not isinstance(claims.get("nonce"), str) or not is_same(claims["nonce"], nonce):
        raise BadIdToken("nonce")
    return IdClaims(issuer, _subject(claims), *read_address(claims))


def read_address(claims: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The address in claims, and whether the provider vouches for it: nothing but `true` says so."""
    email = claims.get("email")
    return (email, claims.get("email_verified") is True) if isinstance(email, str) and email else (None, False)


def _header(token: str) -> dict[str, Any]:
    if len(token) > max_token_bytes or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - compact form
        raise BadIdToken("form")
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise BadIdToken("form") from None
    if not isinstance(header, dict):
        raise BadIdToken("form")
    return header


def _read_key(listed: object) -> VerificationKey | None:
    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig":
        return None
    kind, kid, algorithm = listed.get("kty"), listed.get("kid"), listed.get("alg")
    members = _public_members.get(kind) if isinstance(kind, str) else None
    if members is None or not all(isinstance(listed.get(member), str) for member in members):
        return None
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    try:
        key = jwk.import_key({name: listed[name] for name in ("kty", *members)})
        public = key.raw_value
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size not in _rsa_bits:
        return None
    return VerificationKey(kid, str(kind), algorithm, key)


def _key_for(
    header: Mapping[str, Any], keys: Sequence[VerificationKey], allowed: Collection[str]
) -> tuple[VerificationKey, str]:
    """The one key that the token can be signed with; without a `kid` only where there is no choice."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in allowed:
        raise BadIdToken("alg")
    kind = next(kind for prefix, kind in _key_types.items() if algorithm.startswith(prefix))
    fitting = [
        key
        for key in keys
        if key.type == kind and key.algorithm in (None, algorithm) and (kid is None or key.kid == kid)
    ]
    if len(fitting) != 1:
        raise BadIdToken("kid")
    return fitting[0], algorithm


def _signed_claims(token: str, key: VerificationKey, algorithm: str) -> dict[str, Any]:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = max_token_bytes
    try:
        claims = json.loads(jws.deserialize_compact(token, key.key, registry=registry).payload or b"")
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise BadIdToken("signature") from None
    if not isinstance(claims, dict):
        raise BadIdToken("claims")
    return claims


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience, party = claims.get("aud"), claims.get("azp")
    names = [audience] if isinstance(audience, str) else audience
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or client_id not in names:
        raise BadIdToken("aud")
    if (party is not None or len(names) > 1) and party != client_id:
        raise BadIdToken("azp")


def _check_time(claims: Mapping[str, Any], now: float) -> None:
    slack = leeway.total_seconds()
    expires, issued, begins = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    if not all(_is_instant(instant) for instant in (expires, issued, begins)):
        raise BadIdToken("time")
    fresh = now - max_age.total_seconds() <= issued + slack  # type: ignore[operator]
    if not fresh or not max(issued, begins) - slack <= now < expires + slack:  # type: ignore[operator]
        raise BadIdToken("time")


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _end_of_time


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _longest_subject or not subject.isprintable():
        raise BadIdToken("sub")
    return subject
