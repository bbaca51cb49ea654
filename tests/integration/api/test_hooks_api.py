"""`/hooks` over HTTP: acknowledged after the commit, once per delivery, refused without a trace of why to strangers."""

import asyncio
import hashlib
import hmac

import pytest

from taske_ray.core.ids import parse_id

pytestmark = pytest.mark.integration
ACTIONS = [{"capability": "http.request", "params": {"url": "https://example.com/"}}]
SIGNED = {
    "type": "hmac",
    "secret": "topsecret-topsecret",
    "signed": [{"raw": True}],
    "signature": {"value": "{{ req.headers['x-signature'] }}", "encoding": "hex"},
}


async def hook(mina, **params):
    document = {"name": "Hook", "trigger": {"capability": "system.webhook", "params": params}, "actions": ACTIONS}
    answer = await mina.post("/tasks", json=document)
    assert answer.status_code == 201, answer.json()
    task = answer.json()
    return task, "/" + task["trigger"]["hook_url"].rpartition("/")[2]


async def skips(database):
    rows = await database.fetch("SELECT reason, sum(count)::int AS n FROM skips GROUP BY reason")
    return {row["reason"]: row["n"] for row in rows}


async def test_a_delivery_is_a_run(mina, hooks):
    """202 with a run whose input is the delivery: JSON as a value, text as text, the query, the headers."""
    task, place = await hook(mina)
    assert task["trigger"]["signed"] is False
    answer = await hooks.post(place, json={"a": [1]}, params={"q": "x"}, headers={"x-kind": "test"})
    assert answer.status_code == 202, answer.text
    run = (await mina.get(f"/runs/{answer.json()['run_id']}")).json()
    output = run["trigger_output"]
    assert (output["body"], output["query"], output["method"]) == ({"a": [1]}, {"q": "x"}, "POST")
    assert output["headers"]["x-kind"] == "test"
    text = await hooks.post(place, content=b"plain words", headers={"content-type": "text/plain"})
    run = (await mina.get(f"/runs/{text.json()['run_id']}")).json()
    assert run["trigger_output"]["body"] == "plain words"


async def test_fifty_equal_deliveries_are_one_run(mina, hooks, database):
    """The same delivery fifty times at once: fifty times 202 with the same run."""
    task, place = await hook(mina)
    headers = {"webhook-id": "evt-1"}
    answers = await asyncio.gather(*(hooks.post(place, json={"n": 1}, headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len((await mina.get("/runs", params={"task_id": task["id"]})).json()["items"]) == 1
    assert (await skips(database))["duplicate"] == 49


async def fire_key_of(database, run_id):
    [row] = await database.fetch("SELECT fire_key FROM events WHERE run_id = %(id)s", {"id": parse_id("run", run_id)})
    return row["fire_key"]


async def test_a_delivery_id_is_no_key_of_a_run_by_hand(mina, hooks, database):
    """Named as a run by hand or a replay is, a delivery is a run of its own and is remembered as deliveries are."""
    task, place = await hook(mina)
    run = await mina.post(f"/tasks/{task['id']}/run", json={}, headers={"idempotency-key": "one"})
    first = run.json()["run_id"]
    replay = await mina.post(f"/runs/{first}/replay", json={}, headers={"idempotency-key": "two"})
    for ours in (first, replay.json()["run_id"]):
        key = await fire_key_of(database, ours)
        delivered = [(await hooks.post(place, json={}, headers={"webhook-id": key})).json()["run_id"] for _ in "12"]
        assert delivered[0] == delivered[1] != ours
        assert not (await fire_key_of(database, delivered[0])).startswith(key)
    late = await hooks.post(place, json={}, headers={"webhook-id": "manual:three"})
    by_hand = await mina.post(f"/tasks/{task['id']}/run", json={}, headers={"idempotency-key": "three"})
    assert late.json()["run_id"] != by_hand.json()["run_id"]


async def test_signatures_are_checked_on_the_raw_bytes(mina, hooks, database):
    """A right signature is taken, a wrong or missing one is 401 with a skip and no run; the secret is masked."""
    task, place = await hook(mina, verify=SIGNED)
    assert task["trigger"]["params"]["verify"]["secret"] == "••••"
    assert task["trigger"]["signed"] is True
    body = b'{ "spaces":  1 }'
    right = hmac.new(b"topsecret-topsecret", body, hashlib.sha256).hexdigest()
    assert (await hooks.post(place, content=body, headers={"x-signature": right})).status_code == 202
    assert (await hooks.post(place, content=body + b" ", headers={"x-signature": right})).status_code == 401
    assert (await hooks.post(place, content=body)).status_code == 401
    assert len((await mina.get("/runs", params={"task_id": task["id"]})).json()["items"]) == 1
    assert (await skips(database))["invalid_signature"] == 2


async def test_the_mask_sent_back_keeps_the_secret(mina, hooks):
    """A task that is read, changed and saved again keeps its hook and its secret."""
    task, place = await hook(mina, verify=SIGNED)
    document = {name: task[name] for name in ("name", "actions")} | {
        "trigger": {name: task["trigger"][name] for name in ("capability", "params")}
    }
    saved = await mina.put(f"/tasks/{task['id']}", json=document | {"name": "Renamed"})
    assert saved.json()["trigger"]["hook_url"] == task["trigger"]["hook_url"]
    right = hmac.new(b"topsecret-topsecret", b"{}", hashlib.sha256).hexdigest()
    assert (await hooks.post(place, content=b"{}", headers={"x-signature": right})).status_code == 202


async def test_disabled_deleted_and_unknown_look_alike(mina, hooks, database):
    """All three are the same 404, at once, also where the definition was in memory; disabled leaves a skip."""
    task, place = await hook(mina)
    assert (await hooks.post(place, json={})).status_code == 202
    await mina.post(f"/tasks/{task['id']}/disable")
    disabled = await hooks.post(place, json={})
    await mina.delete(f"/tasks/{task['id']}")
    deleted = await hooks.post(place, json={})
    unknown = await hooks.post("/" + "A" * 43, json={})
    short = await hooks.post("/short", json={})
    shown = [{**answer.json(), "request_id": ""} for answer in (disabled, deleted, unknown, short)]
    assert shown[1:] == shown[:-1]
    assert disabled.status_code == 404
    assert place not in disabled.text
    assert (await skips(database))["disabled"] == 1


async def test_a_rotated_hook_ends_the_old_address_at_once(mina, hooks):
    """The old token is the 404 of a hook that never was, also where it was in memory; the new one is as the old was."""
    task, place = await hook(mina, verify=SIGNED)
    right = {"x-signature": hmac.new(b"topsecret-topsecret", b"{}", hashlib.sha256).hexdigest()}
    assert (await hooks.post(place, content=b"{}", headers=right)).status_code == 202
    rotated = await mina.post(f"/tasks/{task['id']}/rotate-hook")
    assert rotated.status_code == 200
    fresh = rotated.json()["trigger"]["hook_url"]
    assert fresh != task["trigger"]["hook_url"]
    assert rotated.json()["version"] == task["version"] + 1
    assert rotated.json()["actions"] == task["actions"]
    old, unknown = [await hooks.post(each, content=b"{}", headers=right) for each in (place, "/" + "A" * 43)]
    assert {**old.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    new_place = fresh.partition("/hooks")[2]
    assert (await hooks.post(new_place, content=b"{}", headers=right)).status_code == 202
    assert (await hooks.post(new_place, content=b"{}")).status_code == 401
    assert (await mina.get(f"/tasks/{task['id']}")).json()["trigger"]["hook_url"] == fresh


async def test_what_cannot_be_rotated(mina):
    """A task without a hook, an older version, somebody else's task; two at once make two versions and one address."""
    task, _ = await hook(mina)
    document = {"name": "x", "trigger": {"capability": "system.manual"}, "actions": ACTIONS}
    plain = (await mina.post("/tasks", json=document)).json()
    assert (await mina.post(f"/tasks/{plain['id']}/rotate-hook")).status_code == 409
    stale = await mina.post(f"/tasks/{task['id']}/rotate-hook", headers={"if-match": '"7"'})
    assert stale.status_code == 412
    assert (await mina.post(f"/tasks/task_{'0' * 32}/rotate-hook")).status_code == 404
    both = await asyncio.gather(*(mina.post(f"/tasks/{task['id']}/rotate-hook") for _ in range(2)))
    assert {answer.status_code for answer in both} == {200}
    last = (await mina.get(f"/tasks/{task['id']}")).json()
    assert last["version"] == task["version"] + 2
    assert last["trigger"]["hook_url"] in [answer.json()["trigger"]["hook_url"] for answer in both]


async def test_a_changed_hook_uses_its_new_rules_at_once(mina, hooks):
    """A task saved with a signature refuses unsigned deliveries from the next one on."""
    task, place = await hook(mina)
    assert (await hooks.post(place, json={})).status_code == 202
    document = {"name": "Hook", "trigger": {"capability": "system.webhook", "params": {"verify": SIGNED}}}
    assert (await mina.put(f"/tasks/{task['id']}", json=document | {"actions": ACTIONS})).status_code == 200
    assert (await hooks.post(place, json={})).status_code == 401


async def test_only_post_and_only_a_mebibyte(mina, hooks):
    """Other methods are 405 with Allow, larger bodies 413, too long delivery ids 422; none makes a run."""
    task, place = await hook(mina)
    refused = await hooks.get(place)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert (await hooks.post(place, content=b"x" * (1024 * 1024 + 1))).status_code == 413
    assert (await hooks.post(place, content=b"x" * (1024 * 1024))).status_code == 202
    assert (await hooks.post(place, json={}, headers={"webhook-id": "x" * 256})).status_code == 422
    assert len((await mina.get("/runs", params={"task_id": task["id"]})).json()["items"]) == 1


async def test_odd_text_is_stored_mended(mina, hooks):
    """NUL, half characters and huge numbers, which JSON allows and PostgreSQL does not, never make a 500."""
    _, place = await hook(mina)
    answer = await hooks.post(
        place, content=b'{"a": "\\u0000\\ud800", "b": 1e999, "c": 123456789012345678901234567890}'
    )
    assert answer.status_code == 202, answer.text


async def test_only_one_spelling_of_a_token_is_the_hook(mina, hooks):
    """A percent-encoded letter, a trailing slash or a doubled one is another path: 404, no run."""
    task, place = await hook(mina)
    encoded = f"/%{ord(place[1]):x}{place[2:]}"
    for other in (encoded, f"{place}/", f"/{place}"):
        assert (await hooks.post(other, json={})).status_code == 404, other
    assert (await mina.get("/runs", params={"task_id": task["id"]})).json()["items"] == []
    assert (await hooks.post(place, json={})).status_code == 202


async def test_answers_of_hooks_are_no_pages(mina, hooks):
    """Every answer has the protecting headers with a sandbox around it; GET and HEAD are 405, and nothing runs."""
    task, place = await hook(mina)
    for answer in (
        await hooks.get(place),
        await hooks.head(place),
        await hooks.post("/nobody", json={}),
        await hooks.post(place, json={}),
    ):
        assert answer.headers["content-security-policy"].endswith("; sandbox")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.status_code == 202 or answer.headers["content-type"] == "application/problem+json"
    assert (await hooks.get(place)).headers["allow"] == "POST"
    assert len((await mina.get("/runs", params={"task_id": task["id"]})).json()["items"]) == 1


async def test_a_delivery_beside_a_live_run_is_answered_and_on_record(mina, hooks):
    """A task that skips answers 202 without a run while one is live, and says so in its skips."""
    document = {"name": "Hook", "overlap": "skip", "trigger": {"capability": "system.webhook"}, "actions": ACTIONS}
    task = (await mina.post("/tasks", json=document)).json()
    place = "/" + task["trigger"]["hook_url"].rpartition("/")[2]
    first, second = [await hooks.post(place, json={"n": n}) for n in range(2)]
    assert first.json()["run_id"].startswith("run_")
    assert (second.status_code, second.json()) == (202, {"run_id": None})
    skips_shown = (await mina.get(f"/tasks/{task['id']}/explain")).json()["skips"]
    assert [(skip["reason"], skip["sample"]["detail"]) for skip in skips_shown] == [("quota", "overlap")]
