"""One crash point's test: a task of three steps, a crash point that is armed, a sender that repeats, and the oracle."""

import contextlib
import itertools
import os
import signal
import time
from datetime import timedelta

import httpx

from tests.cluster.receiver import Answer
from tests.facts import wait_until
from tests.faults.oracle import STEPS, Acknowledged, Receipt, Story, judge
from tests.faults.witness import Witness

OVER = ("succeeded", "failed", "cancelled", "needs_attention")
_numbers = itertools.count(1)


class Stand:
    """What a test does with the service; a context manager."""

    def __init__(self, service, receiver):
        self.service = service
        self.receiver = receiver
        self.acknowledged = []
        self.offered = []
        self.tasks = []
        self.urls = {}
        self.began = time.monotonic()
        login = {"authorization": f"Bearer {service.api_key}"}
        self.http = httpx.Client(base_url=service.url, headers=login, timeout=15)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for task in self.tasks:
            with contextlib.suppress(httpx.HTTPError):
                self.http.delete(f"/api/v1/tasks/{task}")
        self.http.close()

    def whole(self, within_s=90):
        """Return when every part of the service answers."""
        wait_until(
            lambda: self.http.get("/readyz").status_code == 200, within_s, "being ready", despite=httpx.HTTPError
        )

    def arm(self, label, how="KILL"):
        """The next process that comes to this point dies there, or stops."""
        fresh = self.service.crash_dir / f"{label}.new"
        fresh.write_text(how)
        fresh.rename(self.service.crash_dir / label)

    def disarm(self):
        """No point stays armed for the next test, and nothing stays stopped."""
        for file in self.service.crash_dir.iterdir():
            file.unlink()

    def died(self, label, within_s=30):
        """The process id of the process that got to the point; returns when it was there."""
        file = self.service.crash_dir / f"{label}.reached"
        self.until(file.exists, within_s, f"reaching {label}")
        self.fell_at = time.monotonic()
        return int(file.read_text())

    def wake(self, pid):
        """Let a stopped process go on."""
        os.kill(pid, signal.SIGCONT)

    def task(self, trigger, event, *, answers=None, idempotent=True, timeout_s=30):
        """Save a task of three steps that tell the receiver which event and step they are; its wire form."""
        self.urls = {step: self.receiver.serve(*(answers or {}).get(step, [Answer()])) for step in STEPS}
        actions = [
            {
                "capability": "http.request",
                "params": {
                    "method": "POST",
                    "url": url,
                    "body": {"event": event, "step": step},
                    "idempotent": idempotent,
                },
                "timeout_s": timeout_s,
            }
            for step, url in self.urls.items()
        ]
        document = {"name": f"fault {next(_numbers)}", "trigger": trigger, "actions": actions}
        saved = self.ask("POST", "/api/v1/tasks", document)
        self.tasks.append(saved["id"])
        return saved

    def hook(self, **options):
        """A task behind a webhook; the path of its hook."""
        saved = self.task({"capability": "system.webhook"}, "{{ trigger.output.body.event }}", **options)
        return f"/hooks/{saved['trigger']['hook_url'].rpartition('/')[2]}"

    def deliver(self, hook, event, *, times=1):
        """Offer an event until it was acknowledged so many times; what the first tries came to."""
        self.offered.append(event)
        tries = []
        while times:
            try:
                answer = self.http.post(hook, json={"event": event}, headers={"webhook-id": event})
                tries.append(answer.status_code)
            except httpx.HTTPError as error:
                tries.append(type(error).__name__)
            if tries[-1] == 202:
                self.acknowledged.append(Acknowledged(event, answer.json()["run_id"], time.monotonic()))
                times -= 1
            elif len(tries) > 60:
                raise AssertionError(f"never acknowledged: {tries}")
            else:
                time.sleep(0.5)
        return tries

    def ended(self, run_id, within_s=60):
        """The run when it is over."""

        def over():
            run = self.ask("GET", f"/api/v1/runs/{run_id}")
            return run if run["status"] in OVER else None

        return wait_until(over, within_s, f"the end of {run_id}", despite=(httpx.HTTPError, AssertionError))

    def received(self, step):
        """The requests of a step, in order."""
        return self.receiver.at(self.urls[step])

    def count(self, event, step):
        """How often the receiver saw a step of an event (n of durability, 13.4)."""
        return sum(one.body["event"] == event for one in self.received(step))

    def runs(self):
        """Our rows."""
        return Witness(self.service.database_dir, self.tasks).runs()

    def holder(self, part):
        """The process that executes this test's run (`run`), or that makes its call (`client`); None: nobody's."""
        return Witness(self.service.database_dir, self.tasks).holder(part)

    def kill_holder(self, part, how=signal.SIGKILL):
        """End that process as it stands, or stop it; its id."""
        pid = self.holder(part)
        os.kill(pid, how)
        return pid

    def schedule(self, every_s):
        """The accounts of the task's schedule."""
        return Witness(self.service.database_dir, self.tasks).schedule(timedelta(seconds=every_s))

    def receipts(self):
        """What came to the receiver, for the oracle."""
        return [
            Receipt(one.key, one.body["event"], step, one.at, one.path, one.digest)
            for step in STEPS
            for one in self.received(step)
        ]

    def judged(self, *events, schedule=None):
        """The oracle's verdict over this test's task; `events` came from no sender."""
        more = {} if schedule is None else {"schedule": schedule}
        return judge(Story([*self.offered, *events], self.acknowledged, self.receipts(), self.runs(), **more))

    def ask(self, method, path, body=None):
        """The JSON answer of a request that must succeed."""
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def until(self, fact, within_s, what):
        """The first truthy answer of `fact()`."""
        return wait_until(fact, within_s, what)
