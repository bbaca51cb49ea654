"""The keys of an instance: the master key, from `TASKE_MASTER_KEY` or a file, and what each process gets instead of it.

    master key ── hand_over ──▶ KEYS_DIR/auth.keys, hooks.keys, credentials.keys ── open_keyring ──▶ one process

Workers are started with `TASKE_KEYS_DIR` and without the master key: a process reads the purposes that it needs and
no other. When a data key names a master key that a process has not heard of, its keyring reads its files again, which
`taske rotate-key` has written meanwhile.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from taske_ray.errors import StartRefused
from taske_ray.security.sealed import Purpose
from taske_ray.security.vault import Keyring, PurposeKeys, all_purposes, new_master_key, purpose_keys, read_master_key
from taske_ray.settings import Settings


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The key that wraps, and the earlier ones, which only unwrap."""

    current: bytes = field(repr=False)
    old: tuple[bytes, ...] = field(default=(), repr=False)

    def keyring(self, purposes: Collection[Purpose] = all_purposes) -> Keyring:
        """The keyring of the operator's own commands."""
        return Keyring(purpose_keys(self.current, self.old, purposes))


def ensure_master_key(settings: Settings) -> None:
    """Make the key file of an embedded instance if it has none; mode 0600, in a directory of mode 0700.

    A process that keys are handed over to makes none.
    """
    path = key_file(settings)
    if settings.master_key is not None or settings.keys_dir is not None or path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, new_master_key())


def read_master_keys(settings: Settings) -> MasterKeys:
    """The master key and the earlier ones. Raises StartRefused without one, or for a weak one."""
    if settings.master_key is not None:
        texts = [settings.master_key, *settings.master_key_old]
    else:
        texts = [_read(key_file(settings), settings), *settings.master_key_old, *old_keys(settings)]
    current, *old = (read_master_key(text) for text in texts)
    return MasterKeys(current, tuple(old))


def open_keyring(settings: Settings, purposes: Collection[Purpose]) -> Keyring:
    """The purpose keys that one process needs, and no others. Raises StartRefused without them."""
    if settings.keys_dir is None:
        return read_master_keys(settings).keyring(purposes)
    read = partial(_handed_over, settings.keys_dir, tuple(purposes))
    return Keyring(read(), again=read)


def hand_over(settings: Settings, directory: Path) -> None:
    """Write what the processes of this instance are given instead of the master key: a file for each purpose, 0600."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = read_master_keys(settings)
    for purpose, found in purpose_keys(keys.current, keys.old, all_purposes).items():
        write_private(directory / f"{purpose}.keys", found.to_json())


def key_file(settings: Settings) -> Path:
    """Where an embedded instance keeps its master key."""
    return settings.data_dir / "master.key"


def old_keys(settings: Settings) -> list[str]:
    """The earlier master keys of an embedded instance, the latest first: until they are forgotten by command."""
    try:
        return old_key_file(settings).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def old_key_file(settings: Settings) -> Path:
    """Where an embedded instance keeps the earlier ones, a line each."""
    return settings.data_dir / "master.key.old"


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all: half a key would lock every secret away."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _handed_over(directory: Path, purposes: tuple[Purpose, ...]) -> dict[Purpose, PurposeKeys]:
    try:
        return {
            purpose: PurposeKeys.from_json((directory / f"{purpose}.keys").read_text("ascii")) for purpose in purposes
        }
    except (OSError, ValueError, KeyError) as error:
        raise StartRefused(f"the keys in {directory} cannot be read: {type(error).__name__}") from None


def _read(path: Path, settings: Settings) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        raise StartRefused(f"there is no master key in {settings.data_dir}; start the service once") from None
