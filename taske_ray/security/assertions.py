"""Signing the assertions by which a connection proves itself (RFC 7523): somebody else checks them, we only sign."""

from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import PyJWTError


def sign_assertion(algorithm: str, key: bytes, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A JWT in compact form. Raises ValueError, without a detail, for a key that does not fit the algorithm."""
    try:
        # `alg` in a header would win over the algorithm that was asked for
        own = {name: value for name, value in header.items() if name != "alg"}
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers=own or None)
    except (PyJWTError, ValueError, TypeError, AttributeError, NotImplementedError):  # a public key cannot sign
        raise ValueError(f"not a key for {algorithm}") from None
