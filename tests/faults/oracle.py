"""The oracle: whether anything was lost, repeated without a reason or sent out of order (durability, 13.2).

Judged from outside first: the sender's log of acknowledgements and the receiver's ledger, which is counted by key. Our
own rows are the second witness: they must agree with both, and explain every delivery beyond the first.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

STEPS: Final = (1, 2, 3)
OVER: Final = frozenset({"succeeded", "failed", "cancelled"})
_retried: Final = frozenset({"transient", "rate_limited", "auth_expired"})
_enough: Final = 0.95


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A delivery that was answered with a 2xx: which run it became, and when (seconds, any one clock)."""

    event: str
    run_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request at the receiver: its Idempotency-Key, which event and step its body names, when it was read.

    `path` is where it went, `body` the hash of what it brought, byte for byte.
    """

    key: str
    event: str
    step: int
    at: float
    path: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt as our database has it; `sent` None: not known. `error_class` says whether a failure is retried.

    `key` is the Idempotency-Key that it was to carry.
    """

    status: str
    sent: bool | None = None
    error_class: str | None = None
    key: str | None = None

    @property
    def may_have_arrived(self) -> bool:
        """Whether the receiver may have it: nobody was sure that nothing left."""
        return self.sent is not False

    @property
    def is_reason(self) -> bool:
        """Whether another delivery may follow: nobody knows what came of this one, or it failed for the time being."""
        return self.status == "unknown" or (self.status == "failed" and self.error_class in _retried)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as our database has it, and each step's attempts, in order."""

    run_id: str
    event: str
    status: str
    attempts: Mapping[int, tuple[Attempt, ...]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule's accounts: the instants that fell due, and what its skips say was suppressed."""

    due: Collection[str]
    skipped: int


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of a measurement after quiet.

    `offered` are the deliveries that were ever sent, answered or not.
    """

    offered: Collection[str]
    acknowledged: Iterable[Acknowledged]
    receipts: Iterable[Receipt]
    runs: Iterable[RunRow]
    schedule: Schedule = field(default_factory=lambda: Schedule((), 0))
    steps: Collection[int] = STEPS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, by rule: each a line to read. `lost` and `unexplained` are the two figures that must be 0."""

    wrong: Mapping[str, tuple[str, ...]]
    accepted: int
    lost: int
    unexplained: int
    explained: int
    parked: int

    @property
    def holds(self) -> bool:
        """Whether every rule holds."""
        return not self.wrong


def judge(story: Story) -> Verdict:
    """Apply O1 to O8, and the part of D2 that no sender or receiver can see."""
    case = _Case(story)
    case.one_key_per_step()
    case.no_stranger()
    unexplained, explained = case.explained()
    case.order()
    case.one_success_per_step()
    case.one_run_per_event()
    case.nothing_left_over()
    case.schedule_accounts()
    lost = case.lost()
    case.work_was_done()
    return Verdict(
        wrong={rule: tuple(lines) for rule, lines in sorted(case.wrong.items())},
        accepted=len(case.acknowledged) + len(case.scheduled),
        lost=lost,
        unexplained=unexplained,
        explained=explained,
        parked=sum(run.status == "needs_attention" for run in case.runs),
    )


class _Case:
    def __init__(self, story: Story) -> None:
        self.story = story
        self.wrong: defaultdict[str, list[str]] = defaultdict(list)
        self.acknowledged: dict[str, str] = {}
        for one in story.acknowledged:
            known = self.acknowledged.setdefault(one.event, one.run_id)
            if known != one.run_id:
                self.wrong["O5"].append(f"{one.event} was acknowledged as {known} and as {one.run_id}")
        self.receipts = sorted(story.receipts, key=lambda receipt: receipt.at)
        self.runs = list(story.runs)
        self.by_event: defaultdict[str, list[RunRow]] = defaultdict(list)
        for run in self.runs:
            self.by_event[run.event].append(run)
        self.scheduled = self.by_event.keys() & set(story.schedule.due)
        self.of: defaultdict[tuple[str, int], list[Receipt]] = defaultdict(list)
        for receipt in self.receipts:
            self.of[receipt.event, receipt.step].append(receipt)

    def one_key_per_step(self) -> None:
        """O1: whatever the attempts, hosts and restarts, a step of an event has one key, a key one step and content.

        A service that knows a key compares what came with it, and refuses what differs.
        """
        for (event, step), receipts in self.of.items():
            if len({receipt.key for receipt in receipts}) > 1:
                self.wrong["O1"].append(f"step {step} of {event} came under several keys")
        owners = {(receipt.key, receipt.event, receipt.step) for receipt in self.receipts}
        shared = Counter(key for key, _, _ in owners)
        contents = Counter(key for key, _, _ in {(one.key, one.path, one.body) for one in self.receipts})
        for key in shared:
            if shared[key] > 1:
                self.wrong["O1"].append(f"{key} stands for several steps")
            if contents[key] > 1:
                self.wrong["O1"].append(f"{key} came with {contents[key]} contents")

    def no_stranger(self) -> None:
        """O2: what arrives belongs to an event that was offered or fell due and to a step of it, and has its key."""
        known = set(self.story.offered) | set(self.story.schedule.due)
        for (event, step), receipts in self.of.items():
            if event not in known or step not in self.story.steps:
                self.wrong["O2"].append(f"step {step} of {event} was never asked for")
            ours = {one.key for one in self.attempts_of(event, step)} - {None}
            if ours and ours != (keys := {receipt.key for receipt in receipts}):
                self.wrong["O2"].append(f"step {step} of {event} came under {keys}, our rows say {ours}")

    def attempts_of(self, event: str, step: int) -> list[Attempt]:
        """All that our rows have for a step."""
        return [one for run in self.by_event.get(event, ()) for one in run.attempts.get(step, ())]

    def explained(self) -> tuple[int, int]:
        """O3: each delivery of a step is an attempt's that may have arrived, and all but the last are reasons; counts.

        A reason comes before what it explains, so the last one that may have arrived excuses nothing.
        """
        unexplained = explained = 0
        for (event, step), receipts in self.of.items():
            attempts = self.attempts_of(event, step)
            arrived = [one for one in attempts if one.may_have_arrived]
            allowed = min(len(arrived), 1 + sum(one.is_reason for one in arrived[:-1]))
            surplus = max(len(receipts) - allowed, 0)
            unexplained += surplus
            explained += len(receipts) - 1 - min(surplus, len(receipts) - 1)
            if surplus:
                self.wrong["O3"].append(f"step {step} of {event}: {len(receipts)} deliveries, {_told(attempts)}")
        return unexplained, explained

    def order(self) -> None:
        """O4: a step's first arrival comes after that of the step before."""
        for (event, step), receipts in self.of.items():
            if step == min(self.story.steps):
                continue
            before = self.of.get((event, step - 1))
            if not before or before[0].at > receipts[0].at:
                self.wrong["O4"].append(f"step {step} of {event} came before step {step - 1}")

    def one_success_per_step(self) -> None:
        """D2: no step has two attempts that succeeded, whatever the database would have refused."""
        for run in self.runs:
            twice = [step for step, attempts in run.attempts.items() if _successes(attempts) > 1]
            if twice:
                self.wrong["D2"].append(f"{run.run_id} succeeded more than once in steps {twice}")

    def one_run_per_event(self) -> None:
        """O5: an acknowledged event has one run, the one that was named to its sender; nothing else has one."""
        for event, run_id in self.acknowledged.items():
            found = [run.run_id for run in self.by_event.get(event, ())]
            if found != [run_id]:
                self.wrong["O5"].append(f"{event} was acknowledged as {run_id}, and its runs are {found}")
        known = set(self.story.offered) | set(self.story.schedule.due)
        for event, runs in self.by_event.items():
            if len(runs) > 1 or event not in known:
                self.wrong["O5"].append(f"{event} has {len(runs)} runs")

    def nothing_left_over(self) -> None:
        """O6: after quiet nothing is unfinished but what waits for a person."""
        left = [run for run in self.runs if run.status not in OVER | {"needs_attention"}]
        if left:
            self.wrong["O6"] += [f"{run.run_id} is still {run.status}" for run in left]

    def schedule_accounts(self) -> None:
        """O7: every instant that fell due is a run or is counted by a skip."""
        missing = len(self.story.schedule.due) - len(self.scheduled) - self.story.schedule.skipped
        if missing:
            self.wrong["O7"].append(
                f"{len(self.story.schedule.due)} instants fell due: {len(self.scheduled)} runs,"
                f" {self.story.schedule.skipped} in skips"
            )

    def lost(self) -> int:
        """How many accepted events have no run, or one that says it succeeded and was not seen to."""
        lost = 0
        for event in self.acknowledged.keys() | self.scheduled:
            runs = self.by_event.get(event, ())
            done = [step for step in self.story.steps if (event, step) in self.of]
            if not runs or any(run.status == "succeeded" and len(done) < len(self.story.steps) for run in runs):
                lost += 1
                self.wrong["lost"].append(f"{event}: runs {[run.status for run in runs]}, steps seen {done}")
            elif any(run.status not in OVER | {"needs_attention"} for run in runs):
                lost += 1
                self.wrong["lost"].append(f"{event} is stuck: {[run.status for run in runs]}")
        return lost

    def work_was_done(self) -> None:
        """O8: a service that fails everything would pass the rest."""
        accepted = len(self.acknowledged) + len(self.scheduled)
        done = sum(run.status == "succeeded" for run in self.runs)
        if done < _enough * accepted or not accepted:
            self.wrong["O8"].append(f"{done} of {accepted} accepted runs succeeded")


def _successes(attempts: Iterable[Attempt]) -> int:
    return sum(attempt.status == "succeeded" for attempt in attempts)


def _told(attempts: Iterable[Attempt]) -> str:
    """Attempts as a line to read."""
    return f"attempts {[(one.status, one.sent, one.error_class) for one in attempts]}"
