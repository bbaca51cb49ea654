"""What tests of killed, frozen and woken processes do alike: how one gets to a point, and what holds afterwards."""

import signal

import psutil

from tests.cluster.receiver import Answer
from tests.faults.oracle import Schedule

EVERY_SECOND = {"capability": "system.schedule.interval", "params": {"every": "PT1S"}}
REFUSED = Answer({"error": "invalid_client"}, status=401)
NEW_ITEMS = ("two", "three", "four", "five")


def ended(pid):
    """Whether the process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def held(stand, *more, **options):
    """The oracle finds nothing."""
    verdict = stand.judged(*more, **options)
    assert verdict.holds, verdict.wrong
    return verdict


def stopped(stand, label):
    """A delivery whose run comes to the point; who stopped there."""
    hook = stand.hook()
    stand.arm(label, "STOP")
    stand.deliver(hook, f"stop-{label}")
    return stand.died(label)


def stopped_in_call(stand, part):
    """A delivery whose first call is out when who holds that part of it stops: its process, and the answer's gate."""
    gate = stand.receiver.gate()
    hook = stand.hook(answers={1: [Answer(gate=gate), Answer()]}, timeout_s=120)
    stand.deliver(hook, "stop-C10")
    stand.until(lambda: stand.count("stop-C10", 1), 30, "the call")
    return stand.kill_holder(part, signal.SIGSTOP), gate


def fired(stand):
    """A schedule that has fired twice: the task."""
    task = stand.task(EVERY_SECOND, "{{ trigger.output.scheduled_at }}")
    stand.until(lambda: len(stand.received(3)) >= 2, 30, "firing")
    return task


def schedule_holds(stand, task):
    """Switched off, every run comes to its end, and every instant is accounted for."""
    stand.ask("POST", f"/api/v1/tasks/{task['id']}/disable")
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    schedule = stand.schedule(1)
    assert held(stand, *schedule.due, schedule=schedule).unexplained == 0


def stopped_over_page(stand, label):
    """A poll of a list with new items, whose watcher stops over that page: its process, and the list's address."""
    listed = stand.receiver.serve(Answer([{"id": "one"}]))
    poll = {"capability": "http.poll", "params": {"url": listed, "key": "id", "every": "PT1S"}}
    stand.task(poll, "{{ trigger.output.item.id }}")
    stand.until(lambda: len(stand.receiver.at(listed)) >= 2, 30, "polling")
    stand.arm(label, "STOP")
    stand.receiver.answer(listed, Answer([{"id": name} for name in ("one", *NEW_ITEMS)]))
    return stand.died(label), listed


def each_item_once(stand, listed):
    """After further checks of the list, each new item has one run, and each of its steps came once."""
    seen = len(stand.receiver.at(listed))
    stand.until(lambda: len(stand.receiver.at(listed)) >= seen + 3, 30, "polling again")
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    verdict = held(stand, schedule=Schedule(NEW_ITEMS, 0))
    assert (verdict.accepted, verdict.explained) == (len(NEW_ITEMS), 0)


def shop(stand, tokens, module):
    """A module whose connections get a token at `tokens`, and a task of one step with such a connection: their ids."""
    host = tokens.split("/")[2]
    request = {"method": "POST", "url": stand.receiver.serve(), "body": {"a": 1}}
    auth = {"id": "robot", "type": "oauth2_client_credentials", "oauth": {"token_url": tokens}}
    post = {"capability": f"{module}.post", "kind": "action", "name": "Post", "request": request}
    document = {"module": module, "name": "Shop", "allowed_hosts": [host], "auth": [auth]}
    document["capabilities"] = [{**post, "idempotency": {"class": "keyed"}}]
    stand.ask("PUT", f"/api/v1/admin/modules/{module}", document)
    fields = {"client_id": "robot", "client_secret": "robot-s3cret"}
    made = {"module": module, "auth": "robot", "name": "Robot", "fields": fields}
    connection = stand.ask("POST", "/api/v1/connections", made)["id"]
    actions = [{"capability": f"{module}.post", "connection": connection}]
    task = {"name": "c15", "trigger": {"capability": "system.manual"}, "actions": actions}
    saved = stand.ask("POST", "/api/v1/tasks", task)
    stand.tasks.append(saved["id"])
    return connection, saved["id"]


def run_by_hand(stand, task):
    """Start a run of a task; its id."""
    return stand.ask("POST", f"/api/v1/tasks/{task}/run", {})["run_id"]


def stopped_with_new_tokens(stand, module):
    """A run whose client stops with new tokens in hand: its process, where tokens come from, the task, the run."""
    given = [Answer({"access_token": name, "expires_in": 3600}) for name in ("lost", "second")]
    tokens = stand.receiver.serve(*given, REFUSED)
    _, task = shop(stand, tokens, module)
    stand.arm("C15", "STOP")
    run_id = run_by_hand(stand, task)
    return stand.died("C15"), tokens, task, run_id
