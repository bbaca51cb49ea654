"""Connections and their tokens in memory, with the rules of `db/sql`: leases, fences, versions, who is told."""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from taske_ray.core.capability import ConnectionValues
from taske_ray.errors import NotFound, Unavailable
from taske_ray.integrations.ports import Lease, OpenedConnection

USER = UUID(int=1)


@dataclass
class Row:
    """A connection's row; `holder` is (client, fence)."""

    opened: OpenedConnection
    holder: tuple[UUID, object] | None = None
    tries: int = 0


@dataclass
class MemoryTokens:
    """The database's side of one process, `client`; others share `rows`. `away` refuses so many writes."""

    rows: dict[UUID, Row] = field(default_factory=dict)
    client: UUID = field(default_factory=uuid4)
    live: set[UUID] = field(default_factory=set)
    marked: list[tuple[UUID, str]] = field(default_factory=list)
    app: Any = None
    away: int = 0

    def __post_init__(self):
        self.live.add(self.client)

    def neighbour(self):
        """Another process on the same rows."""
        return MemoryTokens(self.rows, uuid4(), self.live, self.marked, self.app)

    def add(self, auth, secret, **more):
        """A connection of USER, and its id."""
        config = more.pop("config", {})
        connection_id = uuid4()
        values = ConnectionValues(auth, config, secret)
        given = {"module": "shop", "values": values, "id": connection_id, "owner": USER}
        self.rows[connection_id] = Row(OpenedConnection(**{**given, **more}))
        return connection_id

    async def open(self, user_id, connection_id):
        """USER's own connections."""
        if user_id != USER or connection_id not in self.rows:
            raise NotFound
        return self.rows[connection_id].opened

    async def mark_needs_reauth(self, opened, reason):
        """Once, and not for a newer version."""
        row = self.rows[opened.id]
        if row.opened.version == opened.version and row.opened.active:
            row.opened, row.holder, row.tries = replace(row.opened, active=False), None, 0
            self.marked.append((opened.id, reason))

    async def take(self, opened):
        """As `take_refresh.sql`."""
        row = self.rows[opened.id]
        mine = row.holder is not None and row.holder[0] == self.client
        free = row.holder is None or row.holder[0] not in self.live
        if row.opened.version != opened.version or not (mine or (row.tries < 2 and free)):
            return None
        row.tries += 0 if mine else 1
        row.holder = (self.client, object())
        return Lease(opened, row.holder)

    async def standing(self, opened):
        """As `refresh_standing.sql`."""
        row = self.rows.get(opened.id)
        if row is None or row.opened.version != opened.version:
            return "moved"
        if row.holder is None:
            return "free"
        if row.holder[0] in self.live:
            return "busy"
        return "lost" if row.tries >= 2 else "free"

    async def store(self, lease, tokens, token_at, refresh_from):
        """As `store_tokens.sql`."""
        self._may_write()
        row = self.rows.get(lease.opened.id)
        if row is None or row.holder != lease.fence:
            return None
        kept = {name: part for name, part in lease.opened.values.secret.items() if "_token" not in name}
        refresh = {} if tokens.refresh is None else {"refresh_token": tokens.refresh}
        row.opened = replace(
            row.opened,
            values=replace(row.opened.values, secret={**kept, "access_token": tokens.access, **refresh}),
            version=row.opened.version + 1,
            token_at=token_at,
            refresh_from=refresh_from,
            expires_at=tokens.expires_at,
        )
        row.holder, row.tries = None, 0
        return row.opened

    async def release(self, lease):
        """As `release_refresh.sql`."""
        self._may_write()
        row = self.rows[lease.opened.id]
        if row.holder == lease.fence:
            row.holder, row.tries = None, 0

    async def oauth_client(self, _module, _auth):
        """The instance's client."""
        return self.app

    def _may_write(self):
        if self.away:
            self.away -= 1
            raise Unavailable
