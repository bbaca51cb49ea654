"""Who sent a request: an access token or an API key, checked against the database each time (security, 3.4)."""

import base64
import binascii
import json

from taske_ray.clock import Clock
from taske_ray.db.api_keys import authenticate_key
from taske_ray.db.database import Database
from taske_ray.db.sessions import authenticate_session
from taske_ray.errors import Unauthenticated
from taske_ray.security.tokens import read_api_key, verify_access_token
from taske_ray.services.principal import Principal
from taske_ray.services.signing import PublicKeys


class Authentication:
    """Turns the `Authorization` header into a Principal. No cache may answer *valid*."""

    def __init__(self, database: Database, *, public_keys: PublicKeys, issuer: str, clock: Clock) -> None:
        self._database = database
        self._public_keys = public_keys
        self._issuer = issuer
        self._clock = clock

    async def authenticate(self, authorization: str | None) -> Principal:
        """The caller. Raises Unauthenticated, always the same one, and Unavailable."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        return await (self._by_key(token) if token.startswith("tsk_") else self._by_token(token))

    async def _by_key(self, token: str) -> Principal:
        key_id, digest = read_api_key(token)
        row = await authenticate_key(self._database, digest=digest)
        if row is None or row["key_id"] != key_id:
            raise Unauthenticated
        return Principal.from_row(row)

    async def _by_token(self, token: str) -> Principal:
        keys = await self._public_keys.all(wanted=_named_key(token))
        claims = verify_access_token(token, issuer=self._issuer, keys=keys, now=self._clock.now())
        row = await authenticate_session(
            self._database, session_id=claims.session_id, issued_at=claims.issued_at, kid=claims.key_id
        )
        if row is None or row["user_id"] != claims.user_id:
            raise Unauthenticated
        return Principal.from_row(row)


def _named_key(token: str) -> str | None:
    """The key id that a token claims: a hint to look for a new key, not to be believed."""
    head = token[:500].partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return None
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else None
