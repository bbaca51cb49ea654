"""Turning a stored value back into plaintext.

Imported by `vault.py` (auth, hooks) and, for credentials, only by `integrations/credentials.py`: a test looks at the
imports.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from taske_ray.security.sealed import DataKey, Place, VaultError, associated_data, key_id_of, nonce_and_ciphertext


def open_value(key: DataKey, place: Place, stored: bytes) -> bytes:
    """The plaintext of a value that stands where it was put; anything else is VaultError without a detail."""
    if key_id_of(stored) != key.id:
        raise VaultError
    nonce, ciphertext = nonce_and_ciphertext(stored)
    try:
        return AESGCM(key.key).decrypt(nonce, ciphertext, associated_data(key, place))
    except InvalidTag:
        raise VaultError from None
