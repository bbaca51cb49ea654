"""Senders of the outbox against real SMTP servers: how many mails they take, how long, and what they leave alone."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from actors.mail_sender import MailSender
from taske_ray.clock import new_id
from taske_ray.db.mail_outbox import MailOutbox
from tests.facts import until
from tests.integration.integrations.inbox import receiving

pytestmark = pytest.mark.integration
STATUSES = "SELECT status, attempts, error, count(*)::int AS n FROM mails GROUP BY 1, 2, 3 ORDER BY 2"


@pytest.fixture
async def outbox(world):
    """Twelve due mails."""
    for _ in range(12):
        await world.rows(
            "INSERT INTO mails (id, recipients, subject, body_text, purpose)"
            " VALUES (%(id)s, ARRAY['a@example.com'], 's', 't', 'action')",
            id=new_id(),
        )
    return MailOutbox(world.database)


@asynccontextmanager
async def hanging():
    """A server that takes connections and says nothing: its address, and who is connected."""
    connected = []

    async def hang(reader, writer):
        connected.append(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", connected
    server.close()


def sender(outbox, url, *, now_s=time.time, **more):
    return MailSender(outbox, smtp_url=url, sender="taske@example.com", now_s=now_s, **more)


async def standing(world):
    """How many mails stand how: (status, attempts, error, count)."""
    return [tuple(row.values()) for row in await world.rows(STATUSES)]


async def test_all_that_is_due_is_sent(world, outbox):
    """One round sends more than are claimed at once, each once."""
    async with receiving() as inbox:
        await sender(outbox, inbox.url).work()
        assert len(inbox.envelopes) == 12
    assert await standing(world) == [("sent", 1, None, 12)]


async def test_no_more_are_claimed_than_are_being_sent(world, outbox):
    """With a server that hangs, a sender holds the five mails that it is sending, and the rest is free for others."""
    async with hanging() as (url, connected):
        working = asyncio.create_task(sender(outbox, url).work())
        await until(lambda: len(connected) == 5, 10, "five connections at once")
        assert await standing(world) == [("queued", 0, None, 7), ("queued", 1, None, 5)]
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_a_mail_is_given_up_before_its_claim_ends(world, outbox):
    """The whole of sending has a limit, not each of its steps; what took longer is due again later."""
    async with hanging() as (url, _):
        await sender(outbox, url, limit_s=0.2).work()
    error = "The mail server did not take the mail in time."
    assert await standing(world) == [("queued", 0, None, 7), ("queued", 1, error, 5)]


async def test_a_mail_whose_claim_may_end_before_it_is_sent_is_left_alone(world, outbox):
    """By the database's clock as the process knows it: a sender that woke up late sends and settles nothing."""
    async with receiving() as inbox:
        await sender(outbox, inbox.url, now_s=lambda: time.time() + 20).work()
        assert inbox.envelopes == []
    assert await standing(world) == [("queued", 0, None, 7), ("queued", 1, None, 5)]


async def test_who_took_a_mail_does_not_get_it_again(world, outbox):
    """Refused for one of three, it is tried again for that one alone."""
    await world.rows("DELETE FROM mails")
    await world.rows(
        "INSERT INTO mails (id, recipients, subject, body_text, purpose) VALUES (%(id)s, %(to)s, 's', 't', 'action')",
        id=new_id(),
        to=["a@example.com", "Nobody <nobody@example.com>", "b@example.com"],
    )
    async with receiving() as inbox:
        for _ in range(3):
            await sender(outbox, inbox.url).work()
            await world.rows("UPDATE mails SET available_at = clock_timestamp(), attempts = 0")
        assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [["a@example.com", "b@example.com"]]
    (row,) = await world.rows("SELECT status, recipients FROM mails")
    assert (row["status"], row["recipients"]) == ("queued", ["nobody@example.com"])
