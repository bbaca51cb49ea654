"""Hands keys to processes by files of mode 0600, one for each purpose, so that none of them has the master key.

On one machine the launcher does it at each start. For the nodes of a cluster an operator does, once and after each
rotation: `python -m taske_ray.launcher.handover DIRECTORY`, with the master key in the environment of this command, or
in its `TASKE_SECRETS_FILE`, alone.
"""

import sys
from pathlib import Path

from taske_ray.errors import StartRefused
from taske_ray.launcher.data_dir import DataDir
from taske_ray.services.master_key import ensure_master_key, hand_over
from taske_ray.settings import Settings


def keys_of(place: DataDir) -> Path:
    """Where the processes of an instance find theirs; gone after its end."""
    return place.run_dir / "keys"


def prepare(settings: Settings, place: DataDir) -> Settings:
    """Write the files of an instance; the settings that its processes are started with. Raises StartRefused.

    Where an operator has put them into a directory already, as on a cluster's nodes, that stays.
    """
    if settings.keys_dir is not None:
        return settings
    ensure_master_key(settings)
    hand_over(settings, keys_of(place))
    return settings.with_options(keys_dir=keys_of(place))


if __name__ == "__main__":
    try:
        hand_over(Settings.from_env(), Path(sys.argv[1]))
    except StartRefused as refused:
        raise SystemExit(refused.message) from None
