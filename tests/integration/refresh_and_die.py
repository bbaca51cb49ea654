"""A process that refreshes tokens and dies where a crash point is armed; what it needs to know comes on stdin."""

import asyncio
import json
import sys
from uuid import UUID

from taske_ray.db.database import Database, engine_role
from taske_ray.security.vault import Keyring, purpose_keys
from tests.integration.in_process import InProcess


async def main(given: dict[str, str]) -> None:
    """Be a live host, say which, and use the connection an hour and more later."""
    database = await Database(given["database_url"], row_connections=2, hot_connections=2, role=engine_role).open()
    keyring = Keyring(purpose_keys(bytes.fromhex(given["master"]), purposes=["credentials"]))
    process = await InProcess(database, keyring, url="http://taske.test").open()
    sys.stdout.write(f"{process.id}\n")
    sys.stdout.flush()
    process.late_s = 4000
    await process.test_connection(UUID(given["user"]), UUID(given["connection"]))


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
