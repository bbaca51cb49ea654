"""Connections and their tokens in a real database: who may open them, who refreshes, what is stored, who is told."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from actors.connection_resolver import ConnectionResolver
from actors.data_keys import DataKeys
from actors.token_store import TokenStore
from taske_ray.clock import new_id
from taske_ray.core.capability.tokens import OAuthClient, Tokens
from taske_ray.db import oauth_clients, users
from taske_ray.db.connections import add_connection
from taske_ray.db.tables import Connection, User
from taske_ray.errors import NotFound
from taske_ray.security.credentials import seal_client_secret, seal_credentials
from taske_ray.security.sealed import VaultError
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.sealing import Sealer

pytestmark = pytest.mark.integration
_master = read_master_key(new_master_key())
SECRET = {"access_token": "a-0", "refresh_token": "r-0", "client_secret": "mine"}
NOW = datetime(2030, 1, 1, tzinfo=UTC)
NEW = Tokens("a-1", "r-1", NOW + timedelta(hours=1), ("x", "y"))


@pytest.fixture
def keyring():
    return Keyring(purpose_keys(_master, purposes=["credentials"]))


@pytest.fixture
def resolver(engine_database, keyring):
    return ConnectionResolver(engine_database, DataKeys(engine_database, keyring), url="https://taske.example")


@pytest.fixture
def process(engine_database, database, keyring):
    """Makes the token store of a new process, whose row in `hosts` is live until `die`."""

    async def make():
        client = new_id()
        values = {"id": client, "name": f"client-{client.hex}"}
        await database.fetch(
            "INSERT INTO hosts (id, kind, name, node, boot_id, pid, pid_started, capacity, expires_at)"
            " VALUES (%(id)s, 'client', %(name)s, 'n', 'b', 1, 1, 1, clock_timestamp() + interval '1 minute')",
            values,
        )
        keys, sealer = DataKeys(engine_database, keyring), Sealer(engine_database, keyring)
        store = TokenStore(engine_database, keys, sealer, client=lambda: client)

        async def die():
            await database.fetch("UPDATE hosts SET state = 'crashed' WHERE id = %(id)s", {"id": client})

        store.die = die
        return store

    return make


async def person(database, *, role="user", locale="en"):
    """An account's id."""
    row = User(id=new_id(), email=f"{uuid4().hex}@example.com", role=role, locale=locale, status="active")
    async with database.transaction() as tx:
        await users.add_user(tx, row)
    return row.id


@pytest.fixture
async def owner(database):
    return await person(database)


@pytest.fixture
def connect(database, keyring):
    """Makes a connection of somebody, or of the instance, and returns its id."""

    async def make(owner, secret=SECRET, **more):
        connection_id = new_id()
        key = await Sealer(database, keyring).key_for(owner, "credentials")
        sealed = seal_credentials(key, connection_id, secret)
        given = {"module": "shop", "auth": "oauth", "name": "My shop", "data_key": key.id, "sealed": sealed}
        async with database.transaction() as tx:
            await add_connection(tx, Connection(id=connection_id, user_id=owner, **{**given, **more}))
        return connection_id

    return make


async def row_of(database, connection_id):
    """The row as it is."""
    return (await database.fetch("SELECT * FROM connections WHERE id = %(id)s", {"id": connection_id}))[0]


async def test_who_may_open_a_connection(database, resolver, connect, owner):
    """Its owner may, and everybody those of the instance; for others it does not exist."""
    mine, shared = await connect(owner, scopes=["x"]), await connect(None)
    stranger = await person(database)
    opened = await resolver.open(owner, mine)
    assert (dict(opened.values.secret), opened.owner, opened.scopes) == (SECRET, owner, ("x",))
    assert (await resolver.open(stranger, shared)).owner is None
    for user, connection in ((stranger, mine), (owner, uuid4())):
        with pytest.raises(NotFound):
            await resolver.open(user, connection)


async def test_many_at_once_are_few_reads(resolver, connect, owner, engine_database, monkeypatch):
    """A hundred calls that come up together share a few statements, and each gets its own answer."""
    ids = [await connect(owner, {"token": str(number)}) for number in range(4)]
    reads, fetch = [], engine_database.fetch

    async def counted(*arguments):
        reads.append(arguments)
        return await fetch(*arguments)

    monkeypatch.setattr(engine_database, "fetch", counted)
    wanted = [(owner, ids[number % 4]) for number in range(100)] + [(uuid4(), ids[0])]
    found = await asyncio.gather(*(resolver.open(*one) for one in wanted), return_exceptions=True)
    assert [one.values.secret["token"] for one in found[:100]] == [str(number % 4) for number in range(100)]
    assert isinstance(found[100], NotFound)
    assert len(reads) <= 4


@pytest.mark.parametrize("swap", ["sealed", "owner"])
async def test_a_value_that_was_moved_does_not_open(database, resolver, connect, owner, swap):
    """Copied from another row, or given another owner, a credential fails closed and is marked, without a detail."""
    mine, other = await connect(owner), await connect(owner)
    if swap == "sealed":
        statement = (
            "UPDATE connections SET sealed = o.sealed FROM connections o WHERE connections.id = %(a)s AND o.id = %(b)s"
        )
        await database.fetch(statement, {"a": mine, "b": other})
    else:
        owner = await person(database)
        await database.fetch("UPDATE connections SET user_id = %(u)s WHERE id = %(a)s", {"u": owner, "a": mine})
    with pytest.raises(VaultError):
        await resolver.open(owner, mine)
    assert (await row_of(database, mine))["status"] == "needs_reauth"


async def test_tokens_are_stored_under_a_lease(database, resolver, connect, owner, process):
    """One process gets the lease; what it stores is sealed, read by all, and ends the lease."""
    mine = await connect(owner)
    one, other = await process(), await process()
    opened = await resolver.open(owner, mine)
    lease = await one.take(opened)
    assert await other.take(opened) is None
    assert await other.standing(opened) == "busy"
    stored = await one.store(lease, NEW, NOW, NOW + timedelta(minutes=55))
    assert await other.standing(opened) == "moved"
    read = await resolver.open(owner, mine)
    assert read == stored
    assert dict(read.values.secret) == {"client_secret": "mine", "access_token": "a-1", "refresh_token": "r-1"}
    assert (read.version, read.scopes, read.expires_at) == (2, ("x", "y"), NEW.expires_at)
    row = await row_of(database, mine)
    assert (row["refresh_owner"], row["refresh_until"], row["refresh_tries"]) == (None, None, 0)
    assert b"a-1" not in bytes(row["sealed"])


async def test_scopes_that_are_not_said_stay(resolver, connect, owner, process):
    """An answer that names no scopes leaves those that are known."""
    mine = await connect(owner, scopes=["x"])
    store = await process()
    lease = await store.take(await resolver.open(owner, mine))
    await store.store(lease, replace(NEW, scopes=None, refresh=None), NOW, None)
    read = await resolver.open(owner, mine)
    assert read.scopes == ("x",)
    assert "refresh_token" not in read.values.secret


async def test_a_lease_given_back_is_there_for_the_next(resolver, connect, owner, process):
    """Nothing came of it: the next one may ask, as often as it takes."""
    opened = await resolver.open(owner, await connect(owner))
    one, other = await process(), await process()
    for store in (one, other, one, other):
        lease = await store.take(opened)
        assert lease is not None
        await store.release(lease)
    assert await one.standing(opened) == "free"


async def test_a_holder_may_take_its_own_lease_again(resolver, connect, owner, process):
    """A process that could not give its lease back has not died."""
    opened = await resolver.open(owner, await connect(owner))
    store = await process()
    for _ in range(4):
        assert await store.take(opened) is not None


async def test_a_dead_holder_is_followed_by_one_further_try(resolver, connect, owner, process):
    """C15: the first dies, the second may try, a third may not; whoever died stores nothing any more."""
    opened = await resolver.open(owner, await connect(owner))
    first, second, third = await process(), await process(), await process()
    lost = await first.take(opened)
    await first.die()
    assert await second.standing(opened) == "free"
    assert await second.take(opened) is not None
    assert await first.store(lost, NEW, NOW, None) is None
    await second.die()
    assert await third.take(opened) is None
    assert await third.standing(opened) == "lost"


async def test_a_lease_ends_by_itself(database, resolver, connect, owner, process):
    """A holder that lives and hangs loses the lease when its time is over, and its late answer is dropped."""
    mine = await connect(owner)
    opened = await resolver.open(owner, mine)
    hung, other = await process(), await process()
    lost = await hung.take(opened)
    await database.fetch(
        "UPDATE connections SET refresh_until = clock_timestamp() - interval '1 s' WHERE id = %(id)s", {"id": mine}
    )
    lease = await other.take(opened)
    assert await hung.store(lost, NEW, NOW, None) is None
    assert await other.store(lease, NEW, NOW, None) is not None


async def test_fifty_takers_are_one_holder(resolver, connect, owner, process):
    """Whatever the timing, one of many processes gets the lease."""
    opened = await resolver.open(owner, await connect(owner))
    stores = [await process() for _ in range(10)]
    leases = await asyncio.gather(*(store.take(opened) for store in stores for _ in range(1)))
    assert sum(lease is not None for lease in leases) == 1


async def test_a_new_credential_is_not_overwritten(database, resolver, connect, owner, process):
    """A lease on the old version is worth nothing once the owner has given a new credential."""
    mine = await connect(owner)
    store = await process()
    lease = await store.take(await resolver.open(owner, mine))
    statement = (
        "UPDATE connections SET version = version + 1, refresh_owner = NULL, refresh_until = NULL WHERE id = %(id)s"
    )
    await database.fetch(statement, {"id": mine})
    assert await store.store(lease, NEW, NOW, None) is None
    assert (await resolver.open(owner, mine)).values.secret["access_token"] == "a-0"


async def test_a_revoked_connection_is_told_once(database, resolver, connect):
    """Its triggers pause, one mail in the owner's language says how to mend it, and the same again changes nothing."""
    owner = await person(database, locale="ko")
    mine = await connect(owner, name="My {module} shop")
    task, trigger = new_id(), new_id()
    values = {"task": task, "trigger": trigger, "user": owner, "connection": mine}
    await database.fetch(
        "INSERT INTO tasks (id, user_id, name, enabled, version) VALUES (%(task)s, %(user)s, 't', true, 1)", values
    )
    await database.fetch(
        "INSERT INTO triggers"
        " (id, user_id, task_id, version, kind, capability, capability_version, connection_id, spec, enabled)"
        " VALUES (%(trigger)s, %(user)s, %(task)s, 1, 'poll', 'shop.new', 1, %(connection)s, '{}', true)",
        values,
    )
    opened = await resolver.open(owner, mine)
    for _ in range(3):
        await resolver.mark_needs_reauth(opened, "token_refused")
    assert not (await resolver.open(owner, mine)).active
    (paused,) = await database.fetch("SELECT paused_reason FROM triggers WHERE id = %(trigger)s", values)
    assert paused["paused_reason"]
    mails = await database.fetch("SELECT * FROM mails WHERE user_id = %(user)s", values)
    assert [mail["purpose"] for mail in mails] == ["needs_reauth"]
    assert mails[0]["subject"] == '연결 "My {module} shop"을(를) 다시 연결해야 합니다'
    assert f"https://taske.example/reconnect#conn_{mine.hex}" in mails[0]["body_text"]


async def test_a_newer_credential_is_not_marked(resolver, connect, owner, process):
    """A call that was refused with the old token does not spoil the connection that was made again meanwhile."""
    mine = await connect(owner)
    store = await process()
    old = await resolver.open(owner, mine)
    await store.store(await store.take(old), NEW, NOW, None)
    await resolver.mark_needs_reauth(old, "http_error")
    assert (await resolver.open(owner, mine)).active


async def test_administrators_are_told_of_the_instances_connections(database, resolver, connect, owner):
    """A connection of the instance is for those to mend who stored it."""
    admin = await person(database, role="admin", locale="xx")
    shared = await connect(None)
    await resolver.mark_needs_reauth(await resolver.open(owner, shared), "token_refused")
    mails = await database.fetch("SELECT user_id, subject FROM mails WHERE purpose = 'needs_reauth'")
    mine = [mail for mail in mails if mail["user_id"] == admin]
    assert [mail["subject"] for mail in mine] == ['Connection "My shop" has to be made again']
    assert owner not in {mail["user_id"] for mail in mails}


async def test_the_instances_client(database, keyring, process):
    """The secret of an OAuth client is sealed for the instance and its row, and opened for those who ask for tokens."""
    store = await process()
    assert await store.oauth_client("shop", "oauth") is None
    key, row_id = await Sealer(database, keyring).key_for(None, "credentials"), new_id()
    sealed = seal_client_secret(key, row_id, "app-s3cret")
    async with database.transaction() as tx:
        values = {"module": "shop", "auth": "oauth", "client_id": "ours", "data_key": key.id, "sealed": sealed}
        await oauth_clients.put_client(tx, id=row_id, **values)
        await oauth_clients.put_client(tx, id=new_id(), **{**values, "auth": "other"})
    assert await store.oauth_client("shop", "oauth") == OAuthClient("ours", "app-s3cret")
    with pytest.raises(VaultError):
        await store.oauth_client("shop", "other")
