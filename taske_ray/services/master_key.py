"""The master key: from `TASKE_MASTER_KEY`, or generated once into the embedded instance's data directory."""

import hashlib
import hmac
import os
from collections.abc import Collection
from pathlib import Path

from taske_ray.errors import StartRefused
from taske_ray.security.sealed import Purpose
from taske_ray.security.vault import Keyring, new_master_key, read_master_key
from taske_ray.settings import Settings


def ensure_master_key(settings: Settings) -> None:
    """Make the key file of an embedded instance if it has none; mode 0600, in a directory of mode 0700."""
    path = _path(settings)
    if settings.master_key is not None or path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(new_master_key())
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)  # whole or not at all: half a key would lock every secret away


def open_keyring(settings: Settings, purposes: Collection[Purpose]) -> Keyring:
    """The purpose keys that one process needs, and no others. Raises StartRefused without a master key."""
    return Keyring(_master_key(settings), [read_master_key(old) for old in settings.master_key_old], purposes)


def derived_key(settings: Settings, use: str) -> bytes:
    """A key for one use outside the vault, the same in every process. Raises StartRefused without a master key."""
    return hmac.digest(_master_key(settings), f"taske|v1|{use}".encode(), hashlib.sha256)


def _master_key(settings: Settings) -> bytes:
    text = settings.master_key
    if text is None:
        try:
            text = _path(settings).read_text(encoding="ascii")
        except OSError:
            raise StartRefused(f"there is no master key in {settings.data_dir}; start the service once") from None
    return read_master_key(text)


def _path(settings: Settings) -> Path:
    return settings.data_dir / "master.key"
