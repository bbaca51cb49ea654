"""Sealing a connection's secrets, and what may be shown of them."""

import ast
from pathlib import Path
from uuid import UUID

import pytest

import taske_ray
from taske_ray.security.credentials import credential_place, hints, seal_credentials
from taske_ray.security.opening import open_value
from taske_ray.security.sealed import VaultError
from taske_ray.security.vault import Keyring, open_sealed, purpose_keys
from tests.syntax import parsed

USER, CONNECTION = UUID(int=1), UUID(int=2)
RING = Keyring(purpose_keys(bytes(range(32))))
ROOT = Path(taske_ray.__file__).parent.parent


def test_sealed_credentials_hold_the_secret():
    """What the API seals, the opening function reads, and the general one refuses."""
    key = RING.new_data_key(UUID(int=3), USER, "credentials")
    stored = seal_credentials(key, CONNECTION, {"token": "비밀"})
    assert open_value(key, credential_place(CONNECTION), stored) == '{"token":"비밀"}'.encode()
    with pytest.raises(VaultError):
        open_sealed(key, credential_place(CONNECTION), stored)
    with pytest.raises(VaultError):
        open_value(key, credential_place(USER), stored)


def test_only_keys_for_credentials_seal_credentials():
    """A key of another purpose is refused."""
    with pytest.raises(VaultError):
        seal_credentials(RING.new_data_key(UUID(int=3), USER, "hooks"), CONNECTION, {})


def test_hints_show_little():
    """Fields that are set, four last characters of long texts, nothing of short or structured ones."""
    secret = {
        "token": "xoxb-1234567890-abcd",
        "pin": "1234567",
        "headers": {"x": "secret-secret"},
        "empty": "",
        "no": None,
    }
    assert hints(secret) == {"token": "••••abcd", "pin": "••••", "headers": "••••"}


def importers_of(*modules):
    """The files of ours that import one of these."""
    importers = set()
    for package in ("taske_ray", "actors", "deployments"):
        for path in (ROOT / package).rglob("*.py"):
            names = {
                alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
                for node in ast.walk(parsed(path.read_text("utf-8")))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
            if any(name == module or name.startswith(f"{module}.") for name in names for module in modules):
                importers.add(path.relative_to(ROOT).as_posix())
    return importers


def test_the_opening_function_is_imported_in_few_places():
    """Only the vault, the integration client's credentials.py and rotations get at plaintext of stored values."""
    assert importers_of("taske_ray.security.opening") == {
        "taske_ray/security/vault.py",
        "taske_ray/security/resealing.py",
        "taske_ray/integrations/credentials.py",
    }


def test_credentials_are_opened_in_integration_clients_alone():
    """The function that opens them is imported by what only an integration client's process loads."""
    assert importers_of("taske_ray.integrations.credentials") <= {
        "actors/connection_resolver.py",
        "actors/consent_store.py",
        "actors/token_store.py",
    }


def test_values_are_moved_between_keys_by_the_rotation_alone():
    """The operator's command is the one place that seals values anew."""
    assert importers_of("taske_ray.security.resealing") == {"taske_ray/services/rotation.py"}
    assert importers_of("taske_ray.services.rotation") == {"taske_ray/cli/keys.py"}
