"""What a PostgreSQL server must promise, for what it acknowledges is all that we have (durability, 11.1)."""

from dataclasses import dataclass

_OLDEST = 150000


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself, in its own words. `unlogged`: one of our tables that is; None: there is none."""

    fsync: str
    full_page_writes: str
    server_encoding: str
    synchronous_commit: str
    server_version_num: int
    in_recovery: bool
    unlogged: str | None


def objection(server: Server) -> str | None:
    """Why nothing may be kept there, with the name of the setting; None: it may."""
    for name, required in (("fsync", "on"), ("full_page_writes", "on"), ("server_encoding", "UTF8")):
        actual = getattr(server, name)
        if actual != required:
            return f"PostgreSQL setting {name} must be {required}, not {actual}"
    if server.synchronous_commit == "off":
        return "PostgreSQL setting synchronous_commit must not be off"
    if server.server_version_num < _OLDEST:
        return "PostgreSQL must be version 15 or newer"
    if server.in_recovery:
        return "PostgreSQL is in recovery: TASKE_DATABASE_URL must name the primary server"
    if server.unlogged is not None:
        return f"The table {server.unlogged} is UNLOGGED: a crash of the server would empty it"
    return None
