"""Whether the clock tells which accounts exist: `python -m tests.bench.login_timing` prints medians and ratios.

Each call that a stranger may make with an address is made for every kind of account that answers alike (security, 2.7),
200 times in turns, on a PostgreSQL of its own in the role of `/auth`. Within a call the medians may differ by less than
20 % of a password's hash.
"""

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import psycopg

from taske_ray.bootstrap import AccountServices, account_services
from taske_ray.db.database import Database
from taske_ray.errors import Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.origin import Origin
from taske_ray.settings import Settings
from tests.bench.database import temporary_database

BOUND = 0.20
PASSWORD, WRONG = "seven green bottles", "eleven grey barrels"
HERE = Origin("192.0.2.1", "bench")
HASH = "a hash"
Call = Callable[[str], Awaitable[object]]
KINDS = {
    "unverified": "UPDATE users SET status = 'pending', verified_at = NULL WHERE email = %s",
    "social-only": "UPDATE users SET password_hash = NULL WHERE email = %s",
    "disabled": "UPDATE users SET status = 'disabled' WHERE email = %s",
    "active": "",
}
_unseen = "DELETE FROM login_failures; DELETE FROM mails; DELETE FROM one_time_tokens"


def address() -> str:
    """One that nobody has."""
    return f"{uuid4().hex}@example.com"


async def people(services: AccountServices, sql: psycopg.Connection) -> dict[str, str]:
    """The address of one account of each kind; `unknown` is none."""
    found = {}
    for kind, change in KINDS.items():
        found[kind] = address()
        await services.accounts.create_user(found[kind], PASSWORD)
        if change:
            sql.execute(change, [found[kind]])
    return found


def calls(services: AccountServices) -> dict[str, tuple[Call, tuple[str, ...]]]:
    """What a stranger may call with an address, and which kinds answer alike; `right` knows the password."""
    logins, accounts = services.logins, services.accounts
    everybody = ("unknown", *KINDS)
    return {
        "login, wrong password": (lambda one: logins.log_in(one, WRONG, HERE), everybody),
        "login, right password": (
            lambda one: logins.log_in(one, PASSWORD, HERE),
            tuple(kind for kind in everybody if kind != "active"),
        ),
        "password forgotten": (lambda one: services.passwords.forget(one, HERE), everybody),
        "mail again": (lambda one: accounts.resend(one, HERE), everybody),
        "sign-up": (lambda one: accounts.sign_up(one, PASSWORD, None, HERE), everybody),
    }


async def measure(url: str, folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each call for each kind of account, and in the same turns of a password's hash alone."""
    settings = Settings(folder, public_url="http://taske.test", require_email_verification=True)
    database = await Database(url, row_connections=2, hot_connections=1, role="taske_auth").open()
    with psycopg.connect(url, autocommit=True) as sql:
        try:
            services = account_services(
                settings, database, Keyring(purpose_keys(read_master_key(new_master_key()))), {}
            )
            hashing = PasswordHashing()
            return {
                name: await in_turns(call, kinds, await people(services, sql), hashing, sql, rounds)
                for name, (call, kinds) in calls(services).items()
            }
        finally:
            await database.close()


async def in_turns(
    call: Call,
    kinds: tuple[str, ...],
    known: dict[str, str],
    hashing: PasswordHashing,
    sql: psycopg.Connection,
    rounds: int,
) -> dict[str, list[float]]:
    """Each round asks for every kind once, in another order; what earlier rounds left is forgotten before each."""
    found: dict[str, list[float]] = {kind: [] for kind in (*kinds, HASH)}
    for number in range(rounds + 3):
        for kind in random.sample(list(found), len(found)):
            sql.execute(_unseen)
            asked = hashing.verify(None, WRONG) if kind == HASH else call(known.get(kind) or address())
            took = await seconds(asked)
            if number >= 3:  # the first ones warm up
                found[kind].append(took)
    return found


async def seconds(call: Awaitable[object]) -> float:
    """How long a call takes, whatever it says."""
    began = time.perf_counter()
    with contextlib.suppress(Unauthenticated):
        await call
    return time.perf_counter() - began


def ratio(found: dict[str, list[float]]) -> float:
    """How far the medians of one call are apart, in hashes."""
    medians = [statistics.median(took) for kind, took in found.items() if kind != HASH]
    return (max(medians) - min(medians)) / statistics.median(found[HASH])


def report(measured: dict[str, dict[str, list[float]]]) -> tuple[str, bool]:
    """The table, and whether every ratio is below the bound."""
    lines, held = [], True
    for name, found in measured.items():
        apart = ratio(found)
        held = held and apart < BOUND
        each = ", ".join(f"{kind} {statistics.median(took) * 1000:.1f}" for kind, took in found.items())
        lines.append(f"{name:<22} {apart:6.1%} of a hash   (ms: {each})")
    return "\n".join(lines), held


def main() -> None:
    """Start a database, measure, print, and say whether the bound holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    with temporary_database() as (url, folder):
        found = asyncio.run(measure(url, folder, arguments.rounds))
    table, held = report(found)
    sys.stdout.write(f"{table}\nbound: {BOUND:.0%} of a hash within a call, {'held' if held else 'MISSED'}\n")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
