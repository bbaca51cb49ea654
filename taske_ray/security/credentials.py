"""Sealing a connection's secrets, and the hints that may be shown of them. Opening is not here on purpose."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from taske_ray.security.sealed import DataKey, Place, VaultError
from taske_ray.security.vault import seal

_long = 12
_shown = 4


def credential_place(connection_id: UUID) -> Place:
    """Where a connection's secret stands."""
    return Place("connections", connection_id, "sealed")


def seal_credentials(key: DataKey, connection_id: UUID, secret: Mapping[str, Any]) -> bytes:
    """The stored form of a connection's secret fields; the key must be one for credentials."""
    if key.purpose != "credentials":
        raise VaultError
    return seal(
        key,
        credential_place(connection_id),
        json.dumps(dict(secret), separators=(",", ":"), ensure_ascii=False).encode(),
    )


def client_place(client_id: UUID) -> Place:
    """Where the secret of an OAuth client of the instance stands."""
    return Place("oauth_clients", client_id, "sealed")


def seal_client_secret(key: DataKey, row_id: UUID, secret: str) -> bytes:
    """The stored form of the secret of an OAuth client of the instance."""
    if key.purpose != "credentials" or key.user is not None:
        raise VaultError
    return seal(key, client_place(row_id), secret.encode())


def hints(secret: Mapping[str, Any]) -> dict[str, str]:
    """Which secret fields are set, with at most the last four characters of long texts (security, 9.6)."""
    return {name: _hint(value) for name, value in secret.items() if value not in (None, "", {}, [])}


def _hint(value: Any) -> str:
    return f"••••{value[-_shown:]}" if isinstance(value, str) and len(value) >= _long else "••••"
