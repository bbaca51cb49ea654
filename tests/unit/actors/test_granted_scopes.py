"""Scopes before a run: asked for once, remembered when they are there, asked for again before anything is refused."""

import asyncio

import pytest

from actors.compiled_tasks import CompiledTask, ScopedStep
from actors.granted_scopes import GrantedScopes
from taske_ray.catalog.registry import load_modules
from taske_ray.clock import new_id
from taske_ray.errors import Unavailable

LIST = load_modules()["google"].capabilities["google.drive.list_files"]
MINA, BOB = new_id(), new_id()


class Rows:
    """Connections: `scopes` by (user, connection); `asked` is what was read, `away` how it fails."""

    def __init__(self):
        self.scopes, self.asked, self.away = {}, [], None

    async def read(self, uses):
        """All of them at once."""
        self.asked.append(list(uses))
        if self.away is not None:
            raise self.away
        return {use: self.scopes[use] for use in uses if use in self.scopes}


@pytest.fixture
def rows():
    return Rows()


def task(*connections):
    """A task whose steps need Drive's scope."""
    steps = [ScopedStep(f"action{n}", LIST, 1, connection) for n, connection in enumerate(connections, 1)]
    return CompiledTask("t", (), {}, scoped=tuple(steps))


async def test_what_needs_no_scope_asks_nothing(rows):
    """A task without such steps costs no query."""
    assert await GrantedScopes(rows.read, lambda: 0.0).refusal(task(), MINA) is None
    assert rows.asked == []


async def test_what_is_granted_is_asked_once_a_minute(rows):
    """Many runs at once share a read, later ones need none, and after a minute it is looked at again."""
    now, connection = [100.0], new_id()
    rows.scopes = {(MINA, connection): LIST.scopes, (BOB, connection): LIST.scopes}
    granted = GrantedScopes(rows.read, lambda: now[0])
    found = await asyncio.gather(*(granted.refusal(task(connection), user) for user in [MINA, BOB] * 50))
    assert set(found) == {None}
    assert len(rows.asked) <= 2
    await granted.refusal(task(connection), MINA)
    assert len(rows.asked) <= 2
    now[0] += 61
    await granted.refusal(task(connection), MINA)
    assert rows.asked[-1] == [(MINA, connection)]


async def test_a_refusal_is_never_remembered(rows):
    """Each run of a connection without the scope is refused by the row; given the scope, the next run begins."""
    good, bad = new_id(), new_id()
    rows.scopes = {(MINA, good): LIST.scopes, (MINA, bad): ["openid"]}
    granted = GrantedScopes(rows.read, lambda: 0.0)
    for _ in range(2):
        refused = await granted.refusal(task(good, bad), MINA)
        assert (refused["class"], refused["code"], refused["step"]) == ("permission", "missing_scopes", "action2")
        assert LIST.scopes[0] in refused["message"]
    rows.scopes[MINA, bad] = LIST.scopes
    assert await granted.refusal(task(good, bad), MINA) is None


async def test_what_nobody_knows_is_left_to_the_call(rows):
    """A connection that is not there, or whose scopes nobody told us, refuses no run here."""
    rows.scopes = {(MINA, unknown := new_id()): None}
    assert await GrantedScopes(rows.read, lambda: 0.0).refusal(task(unknown, new_id()), MINA) is None


async def test_a_database_that_is_away_decides_nothing(rows):
    """The run goes back to the queue; afterwards the next look is a fresh one."""
    connection, granted = new_id(), GrantedScopes(rows.read, lambda: 0.0)
    rows.scopes, rows.away = {(MINA, connection): LIST.scopes}, Unavailable()
    with pytest.raises(Unavailable):
        await granted.refusal(task(connection), MINA)
    rows.away = None
    assert await granted.refusal(task(connection), MINA) is None
