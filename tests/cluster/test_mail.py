"""`system.email.send`: a row in the run's own transaction, sent by whoever comes first, once."""

import pytest

from tests.facts import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60, func_only=True)]


async def test_a_mail_goes_through_the_outbox_and_arrives_once(engine, postbox):
    """The step succeeds when the mail is queued; the server gets it once, with the row's id as Message-ID."""
    mail = {
        "to": ["min@example.com"],
        "subject": "주간 {{ trigger.output.n }}",
        "text": "안녕하세요",
    }
    run = await engine.run({"capability": "system.email.send", "params": mail}, given={"n": 4711})
    assert run["status"] == "succeeded"
    row = await until(lambda: sent(engine, "주간 4711"), 20, "sending")
    arrived = [found for found in postbox.mails if row["id"].hex in found]
    assert len(arrived) == 1
    assert "min@example.com" in arrived[0]
    assert row["attempts"] == 1


async def test_a_mail_that_cannot_be_written_fails_its_step(engine):
    """An address that is none ends in a failed step; no mail is queued."""
    mail = {"to": ["{{ trigger.output.who }}"], "subject": "to nobody", "text": "x"}
    run = await engine.run({"capability": "system.email.send", "params": mail}, given={"who": "nobody"})
    assert (run["status"], run["steps"][0]["status"]) == ("failed", "failed")
    assert run["steps"][0]["error"]["class"] == "invalid"
    assert not await engine.rows("SELECT id FROM mails WHERE subject = 'to nobody'")


async def sent(engine, subject):
    rows = await engine.rows("SELECT id, status, attempts FROM mails WHERE subject = %(subject)s", subject=subject)
    return rows[0] if rows and rows[0]["status"] == "sent" else None
