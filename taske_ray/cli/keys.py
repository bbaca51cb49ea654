"""`taske rotate-key`: new keys for old ones, while the service runs or not; killed and run again it goes on."""

from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli.database import DataDir
from taske_ray.cli.output import say

if TYPE_CHECKING:
    from taske_ray.db.database import Database
    from taske_ray.settings import Settings


def rotate_key(
    *,
    data: Annotated[bool, typer.Option("--data", help="Also new data keys: every secret is encrypted anew.")] = False,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="A key was stolen: all of it, and every connection is asked for again.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it is.")] = False,
    signing: Annotated[bool, typer.Option("--signing", help="Only the key that signs access tokens.")] = False,
    stolen: Annotated[
        bool, typer.Option("--stolen", help="With --signing: the keys so far verify nothing any more.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Change the master key, and wrap all data keys by the new one.

    With TASKE_MASTER_KEY set, that is the new key and TASKE_MASTER_KEY_OLD the former one; else a new key file is made.
    With --signing, only sign access tokens with a new key; the one before verifies for ten minutes more.
    """
    from taske_ray.cli.database import with_database
    from taske_ray.settings import Settings

    settings = Settings.from_env().with_options(data_dir=data_dir)

    async def rotate(database: "Database") -> None:
        if signing:
            await _rotate_signing(database, settings, stolen=stolen)
            return
        if not status:
            await _rotate(database, settings, data=data or emergency, emergency=emergency)
        await _say_state(database, settings)

    with with_database(data_dir) as run:
        run(rotate)


async def _rotate_signing(database: "Database", settings: "Settings", *, stolen: bool) -> None:
    from taske_ray.services.master_key import open_keyring
    from taske_ray.services.sealing import Sealer
    from taske_ray.services.signing import SigningKeys

    keyring = open_keyring(settings, ["auth"])
    kid = await SigningKeys(database, Sealer(database, keyring)).rotate(stolen=stolen)
    say(f"Access tokens are signed with {kid}")


async def _rotate(database: "Database", settings: "Settings", *, data: bool, emergency: bool) -> None:
    from taske_ray.launcher.data_dir import DataDir as Directory
    from taske_ray.launcher.handover import keys_of
    from taske_ray.services.master_key import hand_over
    from taske_ray.services.rotation import Rotation, begin_master_key

    if await begin_master_key(database, settings):
        say("A new master key is in use; the former one is kept in master.key.old.")
    handed = keys_of(Directory(settings.data_dir))
    if handed.is_dir():
        hand_over(settings, handed)  # before anything is wrapped by a key that running processes do not know
    work = Rotation(database, settings)
    say(f"{await work.rewrap()} data keys wrapped by today's master key.")
    if data:
        say(f"{await work.renew_data_keys()} new data keys.")
        say(f"{await work.reseal()} secrets encrypted anew.")
    if emergency:
        say(f"{await work.ask_for_all_again()} connections need their credential again; all access tokens end.")
    if work.unreadable:
        say(f"{work.unreadable} keys or secrets cannot be read with the keys at hand and stay as they are.")


async def _say_state(database: "Database", settings: "Settings") -> None:
    from taske_ray.services.rotation import key_state

    state = await key_state(database, settings)
    say(
        f"Master key {state.kek_id}: {state.keys_under_earlier} data keys under earlier ones,"
        f" {state.rows_left} rows left under earlier data keys, {state.earlier_keys} earlier master keys kept."
    )
