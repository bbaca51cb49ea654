"""What authentication adds to a request: `python -m tests.bench.authentication` prints it for both kinds of caller.

The same calls as an app makes them, on a PostgreSQL of its own in the role of the API: the token, its signature, and
the one query by primary key that says whether session, user and key are still alive. The bound is 1 ms at the median.
How long a login takes, which hashing bounds on purpose, is printed beside it.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from taske_ray.bootstrap import account_services, authentication_of
from taske_ray.db.database import Database
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.origin import nowhere
from taske_ray.settings import Settings
from tests.bench.database import temporary_database

BOUND_S = 0.001
EMAIL, PASSWORD = "bench@example.com", "seven green bottles"


async def measure(url: str, folder: Path, calls: int, logins: int) -> dict[str, list[float]]:
    """Seconds of each call: by access token, by API key, by nobody (the query alone), and of each login."""
    settings = Settings(folder, public_url="http://taske.test")
    async with AsyncExitStack() as stack:
        opened = [await Database(url, row_connections=2, hot_connections=1, role=role).open() for role in ROLES]
        for database in opened:
            stack.push_async_callback(database.close)
        services = account_services(settings, opened[0], Keyring(purpose_keys(read_master_key(new_master_key()))), {})
        await services.accounts.create_user(EMAIL, PASSWORD)
        tokens = await services.logins.log_in(EMAIL, PASSWORD, nowhere)
        authentication = authentication_of(settings, opened[1])
        token = f"Bearer {tokens.access_token}"
        principal = await authentication.authenticate(token)
        made = await services.api_keys.create(principal, nowhere, name="bench", scopes=["read"], expires_at=None)
        key = f"Bearer {made['key']}"
        return {
            "one query": await timed(lambda: opened[1].fetch("SELECT 1"), calls),
            "access token": await timed(lambda: authentication.authenticate(token), calls),
            "API key": await timed(lambda: authentication.authenticate(key), calls),
            "login": await timed(lambda: services.logins.log_in(EMAIL, PASSWORD, nowhere), logins),
        }


ROLES = ("taske_auth", "taske_api")


async def timed(call: Callable[[], Awaitable[object]], calls: int) -> list[float]:
    """How long each of these calls takes, after a few to warm up."""
    found = []
    for number in range(calls + 5):
        began = time.perf_counter()
        await call()
        if number >= 5:
            found.append(time.perf_counter() - began)
    return found


def main() -> None:
    """Start a database, measure, print, and say whether the bound holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    arguments = parser.parse_args()
    with temporary_database() as (url, folder):
        found = asyncio.run(measure(url, folder, arguments.calls, 40))
    for name, each in found.items():
        low, high = statistics.median(each) * 1000, statistics.quantiles(each, n=100)[98] * 1000
        sys.stdout.write(f"{name:<14} p50 {low:7.3f} ms   p99 {high:7.3f} ms\n")
    within = all(statistics.median(found[name]) <= BOUND_S for name in ("access token", "API key"))
    sys.stdout.write(f"bound: {BOUND_S * 1000:.0f} ms at the median, {'held' if within else 'MISSED'}\n")


if __name__ == "__main__":
    main()
