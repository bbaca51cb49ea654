"""Proof Key for Code Exchange (RFC 7636), S256 only: who began an authorization can end it, nobody else."""

import base64
import hashlib


def challenge_of(verifier: str) -> str:
    """What the provider is told at the start, of the verifier that it is shown at the end."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()
