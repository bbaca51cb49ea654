"""What connections were granted, as run hosts read it."""

import pytest

from taske_ray.clock import new_id
from taske_ray.db.connections import granted_scopes

pytestmark = pytest.mark.integration


async def test_only_what_a_user_may_use_is_told(database, engine_database):
    """One's own connection and the instance's, each with its scopes; somebody else's is not there."""
    mina, bob, shared = new_id(), new_id(), new_id()
    for user in (mina, bob):
        await database.fetch("INSERT INTO users (id, email) VALUES (%(id)s, %(id)s::text) RETURNING id", {"id": user})
    rows = {mina: (new_id(), ["read"]), bob: (new_id(), None), None: (shared, ["all"])}
    for user, (connection, scopes) in rows.items():
        await database.fetch(
            "INSERT INTO connections (id, user_id, module, auth, name, scopes)"
            " VALUES (%(id)s, %(user)s, 'google', 'x', 'x', %(scopes)s) RETURNING id",
            {"id": connection, "user": user, "scopes": scopes},
        )
    uses = [(user, connection) for user in (mina, bob) for connection, _ in rows.values()]
    assert await granted_scopes(engine_database, uses) == {
        (mina, rows[mina][0]): ["read"],
        (bob, rows[bob][0]): None,
        (mina, shared): ["all"],
        (bob, shared): ["all"],
    }
