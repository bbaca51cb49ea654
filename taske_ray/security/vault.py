"""Envelope encryption: master key → purpose keys → data keys → values bound to their place (security, 9.1 and 9.2).

    TASKE_MASTER_KEY ──HKDF──▶ purpose key (auth | hooks | credentials) ──wraps──▶ data key of a user ──▶ value

A process holds the purpose keys it was given and can do nothing for the others. Everything fails closed, with
VaultError and no detail. Opening credentials is not here: `integrations/credentials.py`.
"""

import base64
import binascii
import itertools
import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from taske_ray.errors import StartRefused
from taske_ray.security.opening import open_value
from taske_ray.security.sealed import (
    DataKey,
    Place,
    Purpose,
    VaultError,
    WrappedKey,
    associated_data,
    key_bytes,
    nonce_bytes,
    owner_text,
    stored_form,
)

all_purposes: tuple[Purpose, ...] = get_args(Purpose)
_least_distinct_bytes = 8
_weak = "TASKE_MASTER_KEY must be 32 random bytes, base64, like those of `openssl rand -base64 32`"


def read_master_key(text: str) -> bytes:
    """The key in `TASKE_MASTER_KEY` (base64, standard or URL-safe); raises StartRefused for a weak one."""
    try:
        unpadded = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise StartRefused("TASKE_MASTER_KEY must be base64") from None
    _check_master(key)
    if _is_made_up(key):
        raise StartRefused(_weak)
    return key


def new_master_key() -> str:
    """A fresh master key, base64."""
    return base64.b64encode(secrets.token_bytes(key_bytes)).decode()


@dataclass(frozen=True, slots=True)
class PurposeKeys:
    """The keys of one purpose, by the id of the master key that each comes from; the `current` one wraps."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def to_json(self) -> str:
        """As it stands in the file that a process reads."""
        keys = {kek_id: base64.b64encode(key).decode() for kek_id, key in self.keys.items()}
        return json.dumps({"current": self.current, "keys": keys})

    @classmethod
    def from_json(cls, text: str) -> "PurposeKeys":
        """Raises ValueError or KeyError for anything else."""
        read = json.loads(text)
        keys = {kek_id: base64.b64decode(key, validate=True) for kek_id, key in read["keys"].items()}
        if len(keys[read["current"]]) != key_bytes:
            raise ValueError("not a key")
        return cls(read["current"], keys)


def purpose_keys(
    master: bytes, old: Sequence[bytes] = (), purposes: Collection[Purpose] = all_purposes
) -> dict[Purpose, PurposeKeys]:
    """What becomes of a master key, and of earlier ones that only unwrap. Raises StartRefused for a weak one."""
    for key in (master, *old):
        _check_master(key)
    return {
        purpose: PurposeKeys(
            _kek_id(master), {_kek_id(key): _derived(key, f"purpose|{purpose}") for key in (*old, master)}
        )
        for purpose in purposes
    }


class Keyring:
    """The purpose keys of one process.

    `again` reads them anew: before a data key is wrapped, and when one names a master key that is not known here.
    """

    def __init__(
        self,
        keys: Mapping[Purpose, PurposeKeys],
        *,
        again: Callable[[], Mapping[Purpose, PurposeKeys]] | None = None,
    ) -> None:
        self._keys = keys
        self._again = again

    @property
    def kek_id(self) -> str:
        """The id of today's master key."""
        return next(iter(self._keys.values())).current

    def new_data_key(self, key_id: UUID, user: UUID | None, purpose: Purpose, version: int = 1) -> DataKey:
        """A random data key."""
        return DataKey(key_id, user, purpose, version, secrets.token_bytes(key_bytes))

    def wrap(self, key: DataKey) -> WrappedKey:
        """The data key in its stored form, under today's master key."""
        self._read_again()
        found = self._of(key.purpose)
        unsealed = WrappedKey(key.id, key.user, key.purpose, key.version, found.current, b"")
        nonce = secrets.token_bytes(nonce_bytes)
        ciphertext = AESGCM(found.keys[found.current]).encrypt(nonce, key.key, _wrapping_data(unsealed))
        return replace(unsealed, wrapped=nonce + ciphertext)

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """The data key; raises VaultError if its row was changed or its master key is not here."""
        if wrapped.kek_id not in self._of(wrapped.purpose).keys:
            self._read_again()
        key = self._of(wrapped.purpose).keys.get(wrapped.kek_id)
        nonce, ciphertext = bytes(wrapped.wrapped[:nonce_bytes]), bytes(wrapped.wrapped[nonce_bytes:])
        if key is None:
            raise VaultError
        try:
            opened = AESGCM(key).decrypt(nonce, ciphertext, _wrapping_data(wrapped))
        except (InvalidTag, ValueError):
            raise VaultError from None
        return DataKey(wrapped.id, wrapped.user, wrapped.purpose, wrapped.version, opened)

    def derived(self, purpose: Purpose, use: str) -> bytes:
        """A key for one use beside the data keys; another one after the master key has changed."""
        found = self._of(purpose)
        return _derived(found.keys[found.current], use)

    def _of(self, purpose: Purpose) -> PurposeKeys:
        found = self._keys.get(purpose)
        if found is None:
            raise VaultError
        return found

    def _read_again(self) -> None:
        if self._again is not None:
            self._keys = self._again()


def seal(key: DataKey, place: Place, plaintext: bytes) -> bytes:
    """The stored form of a value that will stand at `place`."""
    nonce = secrets.token_bytes(nonce_bytes)
    return stored_form(key.id, nonce, AESGCM(key.key).encrypt(nonce, plaintext, associated_data(key, place)))


def open_sealed(key: DataKey, place: Place, stored: bytes) -> bytes:
    """The plaintext of a value of purpose `auth` or `hooks`; raises VaultError, for credentials always."""
    if key.purpose == "credentials":
        raise VaultError
    return open_value(key, place, stored)


def _check_master(key: bytes) -> None:
    if len(key) < key_bytes or len(set(key)) < _least_distinct_bytes:
        raise StartRefused(_weak)


def _is_made_up(key: bytes) -> bool:
    """A row of numbers or the same half twice, as examples are: no random key is either."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    half = len(key) // 2
    return len(steps) == 1 or key[:half] == key[half : 2 * half]


def _kek_id(master: bytes) -> str:
    return _derived(master, "kek id")[:8].hex()


def _derived(master: bytes, info: str) -> bytes:
    """HKDF-SHA-256 (RFC 5869) without salt: the input is uniformly random already."""
    return HKDF(algorithm=SHA256(), length=key_bytes, salt=None, info=f"taske|v1|{info}".encode()).derive(master)


def _wrapping_data(key: WrappedKey) -> bytes:
    return "|".join((key.kek_id, str(key.version), owner_text(key.user), key.purpose, key.id.hex)).encode()
