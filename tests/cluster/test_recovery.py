"""Taking over with real processes: a client's outcome is adopted, and a run that kills its hosts ends alone."""

import pytest

from taske_ray.core.ids import parse_id
from tests.cluster.engine import post
from tests.cluster.kills import end
from tests.cluster.receiver import Answer
from tests.facts import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240, func_only=True)]
LISTENS = {"capability": "system.run.failed"}


async def owner(engine, run_id, *, besides=()):
    """The live host that has a run in hand, once it is none of these."""

    async def found():
        rows = await engine.rows(
            "SELECT h.id, h.kind, h.pid FROM runs r JOIN hosts h ON h.id = r.owner AND h.state = 'live'"
            " WHERE r.id = %(id)s AND r.status = 'running'",
            id=parse_id("run", run_id),
        )
        return rows[0] if rows and rows[0]["id"] not in besides else None

    return await until(found, 60, f"an owner of {run_id}")


def told_of(receiver, url, run_id):
    """How often an address was told of a run; of others of the same user it may hear as well."""
    return [request.body["run"] for request in receiver.at(url)].count(run_id)


async def test_the_outcome_of_a_call_in_flight_is_adopted(engine, receiver):
    """The host dies, its client does not: what may not be sent twice is not, and the run succeeds with one delivery."""
    gate = receiver.gate()
    url, after = receiver.serve(Answer(gate=gate)), receiver.serve()
    run_id = await engine.fire(await engine.task(post(url, on_unknown="ask"), post(after)))
    await engine.until_received(receiver, url)
    end((await engine.host_of(run_id))["pid"])
    rescued = "SELECT fence FROM runs WHERE id = %(id)s AND fence > 2 AND status = 'running'"
    await until(lambda: engine.rows(rescued, id=parse_id("run", run_id)), 45, "somebody to take it over")
    gate.open()
    run = await engine.ended(run_id, within_s=45)
    assert run["status"] == "succeeded"
    assert [[each["status"] for each in step["attempts"]] for step in run["steps"]] == [["succeeded"], ["succeeded"]]
    assert [len(receiver.at(one)) for one in (url, after)] == [1, 1]


async def test_a_run_that_kills_its_hosts_ends_as_poison(engine, receiver):
    """Five processes die, the last three in quarantine; the run fails with code `poison`, and listeners hear of it."""
    heard = receiver.serve()
    await engine.task(post(heard, {"run": "{{ trigger.output.run_id }}"}), trigger=LISTENS)
    hangs = receiver.serve(Answer(hang=True))
    run_id = await engine.fire(await engine.task(post(hangs, timeout_s=300)))
    await engine.until_received(receiver, hangs)
    killed = []
    for _ in range(5):
        host = await owner(engine, run_id, besides=[one["id"] for one in killed])
        killed.append(host)
        end(host["pid"])
    assert [host["kind"] for host in killed] == ["run", "run", "quarantine", "quarantine", "quarantine"]
    run = await engine.ended(run_id, within_s=45)
    assert (run["status"], run["error"]["code"]) == ("failed", "poison")
    await until(lambda: told_of(receiver, heard, run_id), 30, "somebody to be told")
    assert told_of(receiver, heard, run_id) == 1
