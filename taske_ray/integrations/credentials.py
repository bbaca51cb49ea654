"""The functions that decrypt credentials. Imported by the integration client's side only.

The API seals (`taske_ray.security.credentials`) and never opens; actors pass connection ids (security, 9.5).
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from taske_ray import logs
from taske_ray.core.capability import ConnectionValues
from taske_ray.security.credentials import client_place, credential_place
from taske_ray.security.opening import open_value
from taske_ray.security.sealed import DataKey, Place, VaultError


def open_credentials(
    key: DataKey, connection_id: UUID, sealed: bytes | None, *, auth_id: str, config: Mapping[str, Any]
) -> ConnectionValues:
    """What a connection holds, in plain text, for the length of one call. Raises VaultError, without a detail."""
    if sealed is None:
        return ConnectionValues(auth_id=auth_id, config=dict(config), secret={})
    secret = json.loads(open_value(key, credential_place(connection_id), sealed))
    if not isinstance(secret, dict):
        raise VaultError
    logs.hide(secret.values())
    return ConnectionValues(auth_id=auth_id, config=dict(config), secret=secret)


def open_client_secret(key: DataKey, row_id: UUID, sealed: bytes) -> str:
    """The secret of an OAuth client of the instance, for the length of one request. Raises VaultError."""
    secret = open_value(key, client_place(row_id), sealed).decode()
    logs.hide([secret])
    return secret


def open_consent_part(key: DataKey, place: Place, stored: bytes) -> bytes:
    """A part of a consent: its code, its proof or the fields that came with it. Raises VaultError."""
    part = open_value(key, place, stored)
    logs.hide([part.decode()])
    return part
