"""`taske rotate-key`: new keys for old ones, while the service runs or not."""

from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli.database import DataDir
from taske_ray.cli.output import say

if TYPE_CHECKING:
    from taske_ray.db.database import Database


def rotate_key(
    *,
    signing: Annotated[bool, typer.Option("--signing", help="The key that signs access tokens.")] = False,
    stolen: Annotated[
        bool, typer.Option("--stolen", help="The keys so far verify nothing any more: everybody refreshes.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Sign access tokens with a new key from now on; the one before verifies for ten minutes more."""
    from taske_ray.cli.database import with_database
    from taske_ray.services.master_key import open_keyring
    from taske_ray.services.sealing import Sealer
    from taske_ray.services.signing import SigningKeys
    from taske_ray.settings import Settings

    if not signing:
        raise typer.BadParameter("say which key: --signing")
    keyring = open_keyring(Settings.from_env().with_options(data_dir=data_dir), ["auth"])

    async def rotate(database: "Database") -> str:
        return await SigningKeys(database, Sealer(database, keyring)).rotate(stolen=stolen)

    with with_database(data_dir) as run:
        kid = run(rotate)
    say(f"Access tokens are signed with {kid}")
