"""The stored form of a secret and what binds it to its place (security, 9.2)."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from taske_ray.errors import TaskeError

Purpose = Literal["auth", "hooks", "credentials"]

form_version = 1
nonce_bytes = 12
key_bytes = 32
_id_end = 1 + 16
_nonce_end = _id_end + nonce_bytes
_tag_bytes = 16


class VaultError(TaskeError):
    """A stored secret cannot be opened."""

    code = "secret_unreadable"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: it opens nowhere else."""

    table: str
    row: UUID | str
    column: str


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key for one user's values of one purpose; `user` None is the instance itself."""

    id: UUID
    user: UUID | None
    purpose: Purpose
    version: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it is stored, wrapped by the purpose key of the key-encryption key `kek_id`."""

    id: UUID
    user: UUID | None
    purpose: Purpose
    version: int
    kek_id: str
    wrapped: bytes


def owner_text(user: UUID | None) -> str:
    """A user in associated data."""
    return "instance" if user is None else str(user)


def associated_data(key: DataKey, place: Place) -> bytes:
    """`v1|purpose|user|table|row|column|dek version`. No part can contain the separator: ids, names and numbers."""
    parts = ("v1", key.purpose, owner_text(key.user), place.table, str(place.row), place.column, str(key.version))
    if any("|" in part for part in parts):
        raise VaultError
    return "|".join(parts).encode()


def key_id_of(stored: bytes) -> UUID:
    """Which data key a stored value needs; raises VaultError if it is none."""
    if len(stored) < _nonce_end + _tag_bytes or stored[0] != form_version:
        raise VaultError
    return UUID(bytes=bytes(stored[1:_id_end]))


def nonce_and_ciphertext(stored: bytes) -> tuple[bytes, bytes]:
    """The two parts that the cipher needs."""
    return bytes(stored[_id_end:_nonce_end]), bytes(stored[_nonce_end:])


def stored_form(key_id: UUID, nonce: bytes, ciphertext: bytes) -> bytes:
    """`version(1) | dek id(16) | nonce(12) | ciphertext and tag`."""
    return bytes([form_version]) + key_id.bytes + nonce + ciphertext
