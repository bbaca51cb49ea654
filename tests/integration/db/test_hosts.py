"""Leases of hosts and the mail outbox, by the database's clock."""

import asyncio
import time
from dataclasses import replace

import pytest

from taske_ray.clock import new_id
from taske_ray.db import hosts
from taske_ray.db.hosts import HostRow
from taske_ray.db.mail_outbox import MailOutbox

pytestmark = pytest.mark.integration


def host_row(name="run-1", **more):
    return HostRow(
        **{
            "id": new_id(),
            "kind": "run",
            "name": name,
            "node": "n",
            "boot_id": "b",
            "pid": 7,
            "pid_started": 1.5,
            "capacity": 10,
        }
        | more
    )


async def test_a_registered_host_is_live_for_its_lease(world):
    """The lease lasts 30 s from the database's clock, and the host is listed as it registered."""
    row = host_row()
    lease = await hosts.register(world.database, row)
    assert lease.expires_at - lease.now == pytest.approx(hosts.lease_s, abs=0.5)
    assert abs(lease.now - time.time()) < 5
    assert await hosts.live(world.database) == [row]


async def test_a_renewal_prolongs_the_lease_even_a_late_one(world):
    """As long as the row says live, a renewal succeeds; nobody took anything meanwhile."""
    row = host_row()
    await hosts.register(world.database, row)
    await world.rows("UPDATE hosts SET expires_at = clock_timestamp() - interval '5 s'")
    assert await hosts.live(world.database) == []
    lease = await hosts.renew(world.database, row.id)
    assert lease.expires_at - lease.now == pytest.approx(hosts.lease_s, abs=0.5)
    assert await hosts.live(world.database) == [row]


@pytest.mark.parametrize("state", ["drained", "crashed", "dead"])
async def test_an_ended_host_cannot_be_renewed(world, state):
    """Whoever was declared dead, crashed or drained renews in vain, and stays what it was declared first."""
    row = host_row()
    await hosts.register(world.database, row)
    await hosts.end(world.database, [row.id, new_id()], state=state)
    assert await hosts.renew(world.database, row.id) is None
    assert await hosts.live(world.database) == []
    await hosts.end(world.database, [row.id], state="drained")
    assert await world.value("SELECT state FROM hosts") == state


async def test_of_one_name_the_latest_incarnation_comes_last(world):
    """A host that started over has two live rows for a while; readers keep the later one."""
    first, second = host_row(), host_row()
    for row in (first, second):
        await hosts.register(world.database, row)
    assert await hosts.live(world.database) == [first, second]


# mails ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def outbox(world):
    for number in range(5):
        await world.rows(
            "INSERT INTO mails (id, recipients, subject, body_text, purpose, available_at)"
            " VALUES (%(id)s, %(to)s, %(subject)s, 't', 'action', clock_timestamp() - make_interval(mins => %(age)s))",
            id=new_id(),
            to=["a@example.com", "b@example.com"],
            subject=f"{number}",
            age=10 - number,
        )
    return MailOutbox(world.database)


async def test_mails_are_claimed_once_the_oldest_first(world, outbox):
    """Concurrent senders share the due mails; none is sent by two."""
    taken = await asyncio.gather(*(MailOutbox(world.database).claim(most=2) for _ in range(4)))
    subjects = sorted(mail.subject for some in taken for mail in some)
    rest = [mail.subject for mail in await outbox.claim(most=5)]
    assert sorted(subjects + rest) == ["0", "1", "2", "3", "4"]
    assert await outbox.claim(most=5) == []


async def test_a_mail_carries_what_is_needed_to_send_it(outbox):
    """Recipients, texts and the number of this attempt come with the claim."""
    (mail,) = await outbox.claim(most=1)
    assert (mail.subject, mail.recipients, mail.attempts) == ("0", ("a@example.com", "b@example.com"), 1)
    assert (mail.body_text, mail.body_html) == ("t", None)


async def test_a_mail_whose_sender_died_comes_back(world, outbox):
    """An unsettled mail is due again after a minute, then later and later, at most after an hour."""
    (mail,) = await outbox.claim(most=1)
    waits = []
    for attempts in (1, 2, 9):
        await world.rows("UPDATE mails SET attempts = %(n)s - 1, available_at = now()", n=attempts)
        await outbox.claim(most=5)
        waits.append(
            await world.value(
                "SELECT round(extract(epoch FROM available_at - clock_timestamp()))::int FROM mails WHERE id = %(id)s",
                id=mail.id,
            )
        )
    assert waits == [60, 120, 3600]


async def test_settled_mails_are_sent_or_tried_ten_times(world, outbox):
    """A mail without an error is sent for good; one that is refused stays queued until its tenth attempt."""
    first, second = await outbox.claim(most=2)
    await outbox.settle(first, error=None)
    await outbox.settle(first, error="too late")
    await outbox.settle(second, error="550 no")

    async def status(mail):
        (row,) = await world.rows("SELECT status, error, sent_at FROM mails WHERE id = %(id)s", id=mail.id)
        return row["status"], row["error"], row["sent_at"] is not None

    assert await status(first) == ("sent", None, True)
    assert await status(second) == ("queued", "550 no", False)
    await world.rows("UPDATE mails SET attempts = 10 WHERE id = %(id)s", id=second.id)
    await outbox.settle(replace(second, attempts=10), error="550 no")
    assert await status(second) == ("failed", "550 no", False)


async def test_only_the_claim_that_a_mail_is_under_settles_it(world, outbox):
    """A sender that was late neither fails nor confirms a mail that another is sending by now."""
    (late,) = await outbox.claim(most=1)
    await world.rows("UPDATE mails SET attempts = 9, available_at = created_at WHERE id = %(id)s", id=late.id)
    (current,) = [mail for mail in await outbox.claim(most=5) if mail.id == late.id]
    status = "SELECT status FROM mails WHERE id = %(id)s"
    for error in ("550 no", None):
        await outbox.settle(late, error=error)
        assert await world.value(status, id=late.id) == "queued"
    await outbox.settle(current, error=None)
    assert await world.value(status, id=late.id) == "sent"
