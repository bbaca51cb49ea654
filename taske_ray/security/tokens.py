"""Tokens: signed access tokens (security, 3.2 and 3.3), opaque tokens and API keys (7.1).

Whether a token's session, user and key are still alive is for the database to say, on every request.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from taske_ray.errors import Unauthenticated

audience = "taske"
token_type = "at+jwt"  # noqa: S105 - the type of token, not one
lifetime = timedelta(minutes=10)
leeway = timedelta(seconds=5)
max_token_bytes = 4096

_algorithm = "EdDSA"
_header_names = frozenset({"alg", "typ", "kid"})
_text_claims = ("iss", "aud", "sub", "sid", "jti")
_time_claims = ("iat", "exp")
_digest_bytes = 32
_tag_bytes = 5


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs access tokens."""

    kid: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> "SigningKey":
        """A fresh key under a random id."""
        return cls(secrets.token_hex(8), Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, kid: str, private: bytes) -> "SigningKey":
        """A key from its 32 private bytes."""
        return cls(kid, Ed25519PrivateKey.from_private_bytes(private))

    @property
    def private_bytes(self) -> bytes:
        """The 32 private bytes, to be sealed."""
        return self.private.private_bytes_raw()

    @property
    def public_bytes(self) -> bytes:
        """The 32 public bytes."""
        return self.private.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a genuine access token says; nothing of it is a permission yet."""

    user_id: UUID
    session_id: UUID
    key_id: str
    token_id: str
    issued_at: int
    expires_at: int


def mint_access_token(key: SigningKey, *, issuer: str, user_id: UUID, session_id: UUID, now: datetime) -> str:
    """An access token for ten minutes."""
    issued = int(now.timestamp())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": str(user_id),
        "sid": str(session_id),
        "jti": secrets.token_urlsafe(16),
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
    }
    return jwt.encode(claims, key.private, algorithm=_algorithm, headers={"typ": token_type, "kid": key.kid})


def verify_access_token(token: str, *, issuer: str, keys: Mapping[str, bytes], now: datetime) -> AccessClaims:
    """The claims of a genuine token; `keys` are public keys by id. Raises Unauthenticated, always the same one."""
    if len(token) > max_token_bytes or token.count(".") != 2 or not token.isascii():  # noqa: PLR2004 - compact form
        raise Unauthenticated
    try:
        header = jwt.get_unverified_header(token)
        public = _key_for(header, keys)
        claims = jwt.decode(
            token,
            public,
            algorithms=[_algorithm],
            # a new dict for every call: a shared one can be changed under a later call (CVE-2026-103001)
            options={
                "require": [*_text_claims, *_time_claims],
                "verify_exp": False,  # checked below, against the caller's time
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
            },
        )
        return _checked_claims(claims, header["kid"], issuer, now)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise Unauthenticated from None


def key_set(keys: Mapping[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The public keys as a JWK set."""
    return {"keys": [{**_as_jwk(public), "kid": kid, "use": "sig", "alg": _algorithm} for kid, public in keys.items()]}


def new_token() -> str:
    """An opaque token of 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored of a token: SHA-256 is enough for something that cannot be guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def keyed_tag(key: bytes, text: str) -> bytes:
    """40 bits that equal texts share and nobody without the key can compute: enough to count, too few to confirm."""
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")[:_tag_bytes]


def is_same(one: bytes | str, other: bytes | str) -> bool:
    """Whether two secrets are equal, in time that tells nothing; an empty one equals nothing."""
    left = one.encode() if isinstance(one, str) else one
    right = other.encode() if isinstance(other, str) else other
    return bool(left) and hmac.compare_digest(left, right)


def new_api_key(key_id: UUID) -> str:
    """An API key `tsk_<id>_<secret>`: shown once, stored as its digest."""
    return f"tsk_{key_id.hex}_{new_token()}"


def read_api_key(text: str) -> tuple[UUID, bytes]:
    """The id in an API key and the digest to compare with the stored one; raises Unauthenticated."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != "tsk" or len(key_id) != _digest_bytes or not secret or len(text) > max_token_bytes:
        raise Unauthenticated
    try:
        return UUID(hex=key_id), digest(text)
    except ValueError:
        raise Unauthenticated from None


def _key_for(header: Mapping[str, Any], keys: Mapping[str, bytes]) -> Ed25519PublicKey:
    if set(header) != _header_names or header["alg"] != _algorithm or header["typ"] != token_type:
        raise Unauthenticated  # `jku`, `x5u`, `jwk`, `crit`, `b64` and whatever comes next
    public = keys.get(header["kid"]) if isinstance(header["kid"], str) else None
    if public is None:
        raise Unauthenticated
    return Ed25519PublicKey.from_public_bytes(public)


def _checked_claims(claims: Mapping[str, Any], kid: str, issuer: str, now: datetime) -> AccessClaims:
    texts = {name: claims[name] for name in _text_claims}
    times = {name: claims[name] for name in _time_claims}
    right_types = all(type(text) is str for text in texts.values()) and all(type(t) is int for t in times.values())
    if not right_types or texts["iss"] != issuer or texts["aud"] != audience:
        raise Unauthenticated
    moment, slack = now.timestamp(), leeway.total_seconds()
    if not times["iat"] - slack <= moment < times["exp"] + slack:
        raise Unauthenticated
    return AccessClaims(UUID(texts["sub"]), UUID(texts["sid"]), kid, texts["jti"], times["iat"], times["exp"])


def _as_jwk(public: bytes) -> dict[str, Any]:
    return dict(OKPAlgorithm.to_jwk(Ed25519PublicKey.from_public_bytes(public), as_dict=True))
