"""The randomised campaign: a whole service under load, a random fault every few seconds, and the oracle afterwards.

`python -m tests.faults.campaign --seconds 600 --seed 1` prints what was done, what was lost (it must be nothing) and
how fast runs went on; it ends with 1 when a promise was broken. The seed decides the order of faults, not the timing of
a machine: the same seed finds the same kind of trouble, not the same instant.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import psutil
import psycopg

from tests.bench.service import Service, temporary
from tests.bench.stand import Stub, running
from tests.facts import TooLate, until
from tests.faults import receiver
from tests.faults.oracle import STEPS, Story, Verdict, judge
from tests.faults.recovery import Recovery, recoveries
from tests.faults.saboteur import HEADS, Fault, Saboteur
from tests.faults.sender import Sender
from tests.faults.witness import Witness

EVERY: Final = timedelta(seconds=2)
RESUME_LIMIT_S: Final = 45.0
WHOLE_LIMIT_S: Final = 60.0
"""So long a single fault may keep senders from a 2xx."""
_calm_s: Final = 5.0
_head_limit_s: Final = 90.0
_last_answers_s: Final = 150.0
_quiet_limit_s: Final = 240.0
_http: Final = "http.request"
_call_s: Final = 5
"""A call that is never answered is over soon enough not to count as a standstill."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What came of it."""

    seed: int
    seconds: float
    faults: list[Fault]
    verdict: Verdict
    recovery: Recovery
    answers: dict[int | str, int]
    offered: int
    longest_silence_s: float

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing repeated without a reason, every rule kept, nobody left hanging, all of it in time."""
        in_time = self.recovery.slowest_s <= RESUME_LIMIT_S and self.longest_silence_s <= WHOLE_LIMIT_S
        return self.verdict.holds and in_time and not self.answers.get("hang")

    @property
    def kills(self) -> int:
        """How many processes were killed, PostgreSQL's immediate shutdowns among them."""
        return sum(fault.way != "stop" for fault in self.faults)


async def run(*, seconds: float, seed: int, rate: float, pause_s: tuple[float, float]) -> Campaign:
    """Start a service of its own, load it, break it, wait for quiet, judge."""
    chance = random.Random(seed)
    with _stand(seed) as (stub, ledger), temporary(stub, TASKE_RUN_HOSTS="2") as service:
        service.start()
        service.create_account()
        hook, tasks = _tasks(service, stub)
        sender = Sender(hook, ledger.with_name("acknowledged"), random.Random(seed))
        saboteur = Saboteur(service.data_dir, chance)
        try:
            load = asyncio.create_task(sender.send(rate, seconds, last_answers_s=_last_answers_s))
            await _strikes(saboteur, sender, chance, time.monotonic() + seconds - _calm_s, pause_s)
            await load
        finally:
            saboteur.close()
        await _wait(lambda: _switched_off(service, tasks[1]), _quiet_limit_s)
        witness = Witness(service.data_dir, tasks)
        await _wait(lambda: witness.unfinished() == 0, _quiet_limit_s)
        return _judged(seed, seconds, sender, saboteur.faults, ledger, witness, tasks, service)


async def _strikes(
    saboteur: Saboteur, sender: Sender, chance: random.Random, until: float, pause_s: tuple[float, float]
) -> None:
    """A fault every few seconds; after one that takes Ray as a whole, the next when a sender got its 2xx again.

    Without that, what is left to be drawn while Ray starts is Ray itself, and it would be killed for ever.
    """
    await asyncio.sleep(_calm_s)
    while time.monotonic() < until:
        fault = await asyncio.to_thread(saboteur.strike)
        if fault is None:
            await asyncio.sleep(0.5)
            continue
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {fault.name} {fault.pid}\n")
        await asyncio.sleep(chance.uniform(*pause_s))
        if fault.kind in HEADS:
            await _wait(partial(_has_ended, fault.pid), _head_limit_s)
            await _wait(partial(_acknowledged_since, sender, time.monotonic()), _head_limit_s)


def _has_ended(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def _acknowledged_since(sender: Sender, at: float) -> bool:
    return bool(sender.acknowledged) and sender.acknowledged[-1].at > at


def _judged(
    seed: int,
    seconds: float,
    sender: Sender,
    faults: list[Fault],
    ledger: Path,
    witness: Witness,
    tasks: list[str],
    service: Service,
) -> Campaign:
    runs = witness.runs()  # before the ledger: what the rows call done must have arrived by then
    receipts = receiver.read(ledger)
    story = Story(
        offered=sender.offered,
        acknowledged=sender.acknowledged,
        receipts=receipts,
        runs=runs,
        schedule=Witness(service.data_dir, tasks[1:]).schedule(EVERY),
    )
    return Campaign(
        seed=seed,
        seconds=seconds,
        faults=faults,
        verdict=judge(story),
        recovery=recoveries(sender.acknowledged, receipts, faults),
        answers=dict(sender.answers),
        offered=len(sender.offered),
        longest_silence_s=sender.longest_silence_s,
    )


@contextlib.contextmanager
def _stand(seed: int) -> Iterator[tuple[Stub, Path]]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="taske-f-") as directory:
        ledger = Path(directory) / "ledger"
        with running("tests.faults.receiver", str(ledger), str(seed)) as stub:
            yield stub, ledger


def _tasks(service: Service, stub: Stub) -> tuple[str, list[str]]:
    """The hook's URL, and the ids of two tasks of three steps: one behind a webhook, one on a schedule."""
    hooked = _create(service, {"capability": "system.webhook"}, _actions(stub, "{{ trigger.output.body.event }}"))
    every = {"capability": "system.schedule.interval", "params": {"every": "PT2S"}}
    timed = _create(service, every, _actions(stub, "{{ trigger.output.scheduled_at }}"))
    token = hooked["trigger"]["hook_url"].rpartition("/")[2]
    return f"{service.url}/hooks/{token}", [hooked["id"], timed["id"]]


def _actions(stub: Stub, event: str) -> list[dict[str, Any]]:
    return [
        {
            "capability": _http,
            "params": {
                "method": "POST",
                "url": f"{stub.url}/{step}",
                "body": {"event": event, "step": step},
                "idempotent": True,
            },
            "timeout_s": _call_s,
        }
        for step in STEPS
    ]


def _create(service: Service, trigger: dict[str, Any], actions: list[dict[str, Any]]) -> dict[str, Any]:
    document = {"name": f"faults {trigger['capability']}", "trigger": trigger, "actions": actions}
    answer = httpx.post(f"{service.url}/api/v1/tasks", json=document, headers=_login(service), timeout=30)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _switched_off(service: Service, task: str) -> bool:
    answer = httpx.post(f"{service.url}/api/v1/tasks/{task}/disable", headers=_login(service), timeout=10)
    return answer.is_success


def _login(service: Service) -> dict[str, str]:
    return {"authorization": f"Bearer {service.api_key}"}


async def _wait(fact: Callable[[], bool], within_s: float) -> None:
    """A service that is just coming back is asked again; of what never comes true the verdict tells."""
    with contextlib.suppress(TooLate):
        await until(
            lambda: asyncio.to_thread(fact),
            within_s,
            "quiet",
            despite=(httpx.HTTPError, psycopg.Error),
            again_s=0.5,
        )


def render(campaign: Campaign) -> str:
    """The table, and the verdict."""
    verdict, recovery = campaign.verdict, campaign.recovery
    stops = len(campaign.faults) - campaign.kills
    lines = [f"seed {campaign.seed}, {campaign.seconds:.0f} s, {campaign.kills} kills, {stops} stops", ""]
    lines += ["| fault | times | runs under way | median resume | slowest resume |", "|---|---:|---:|---:|---:|"]
    for name, times in sorted(Counter(fault.name for fault in campaign.faults).items()):
        waits = recovery.resumed_s.get(name, ())
        figures = f"{median(waits):.2f} s | {max(waits):.1f} s" if waits else "- | -"
        lines.append(f"| {name} | {times} | {len(waits)} | {figures} |")
    answers = ", ".join(f"{count} x {answer}" for answer, count in sorted(campaign.answers.items(), key=str))
    every = [wait for waits in recovery.resumed_s.values() for wait in waits]
    lines += [
        "",
        f"deliveries offered {campaign.offered}, runs accepted {verdict.accepted}",
        f"answers to senders: {answers}; longest time without a 2xx {campaign.longest_silence_s:.1f} s",
        f"lost {verdict.lost}, repeated without explanation {verdict.unexplained}",
        f"repeated with an explanation {verdict.explained}, waiting for a person {verdict.parked}",
        f"resume: median {median(every) if every else 0:.2f} s, slowest {recovery.slowest_s:.1f} s",
        f"longest standstill of a run, over all faults that met it together {recovery.longest_silence_s:.1f} s",
    ]
    lines += [f"BROKEN {rule} ({len(found)}): {found[:3]}" for rule, found in verdict.wrong.items()]
    lines.append("held" if campaign.holds else "BROKEN")
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--rate", type=float, default=15)
    parser.add_argument("--pause", type=float, nargs=2, default=(2.0, 5.0))
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # asked to end: the service is stopped on the way out
    sys.stdout.write(f"seed {asked.seed}\n")
    sys.stdout.flush()
    campaign = asyncio.run(
        run(seconds=asked.seconds, seed=asked.seed, rate=asked.rate, pause_s=(asked.pause[0], asked.pause[1]))
    )
    sys.stdout.write(render(campaign) + "\n")
    return 0 if campaign.holds else 1


if __name__ == "__main__":
    sys.exit(main())
