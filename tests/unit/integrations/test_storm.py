"""A host that answers 500 to everything for two minutes: what it receives, and what becomes of the runs (12.4).

The rules themselves, in a time that does not pass: the client's pacing, and the engine's decision after each failure.
"""

import heapq
import itertools
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.retry import GiveUp, RetryPolicy, Tried, decide, is_counted, obeyed_wait_s
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.pacing import Pacing

STORM_S, PER_S, USERS, LATENCY_S = 120.0, 20, 4, 0.05
EPOCH = datetime(2027, 1, 1, tzinfo=UTC)


class Run:
    """A run of one step, as the engine counts its attempts."""

    def __init__(self, number, at):
        self.user, self.first_at = UUID(int=number % USERS), at
        self.number = self.counted = 0
        self.ordered_s = 0.0
        self.was_sent = False

    def tried(self, failure):
        """Its attempts, this failed one included."""
        self.number += 1
        self.counted += is_counted(failure)
        self.was_sent |= failure.sent
        return Tried(self.number, self.counted, EPOCH + timedelta(seconds=self.first_at), 0, self.ordered_s)


async def storm(per_s=PER_S):
    """Offer so many runs a second; receipts during the storm, offered, given up, when the last one succeeded."""
    rng, now, receipts, lost, done_at = random.Random(7), 0.0, 0, 0, 0.0
    pacing = Pacing(room=400, most=200, retries_per_s=1.0, monotonic=lambda: now)
    order = itertools.count()
    runs = [Run(n, n / per_s) for n in range(int(STORM_S * per_s))]
    events = [(run.first_at, next(order), run, None) for run in runs]
    heapq.heapify(events)
    while events:
        now, _, run, entered = heapq.heappop(events)
        if entered is None:
            place = pacing.place(run.user, "host", retry=run.was_sent)
            try:
                entered = (place, await place.__aenter__(), now)
            except NotSent as refusal:
                failure = Failed(refusal.error_class, refusal.code, "", sent=False, retry_after_s=refusal.retry_after_s)
                lost += wait(events, order, run, failure, now, rng)
                continue
            receipts += now < STORM_S
            heapq.heappush(events, (now + LATENCY_S, next(order), run, entered))
            continue
        place, held, sent_at = entered
        held.failed = sent_at < STORM_S
        await place.__aexit__(None, None, None)
        if held.failed:
            failure = Failed(ErrorClass.TRANSIENT, "http_error", "", http_status=500)
            lost += wait(events, order, run, failure, now, rng)
        else:
            done_at = now
    return receipts, len(runs), lost, done_at


def wait(events, order, run, failure, now, rng):
    """Put the run to sleep as the engine decides; whether it gave up."""
    decision = decide(run.tried(failure), failure, RetryPolicy(), EPOCH + timedelta(seconds=now), rng.random())
    if isinstance(decision, GiveUp):
        return True
    run.ordered_s += obeyed_wait_s(failure.retry_after_s) or 0.0
    heapq.heappush(events, ((decision.at - EPOCH).total_seconds(), next(order), run, None))
    return False


async def test_a_storm_is_survived_by_host_and_runs():
    """It sees no more than it was offered and the budget, every run succeeds afterwards, and soon."""
    receipts, offered, lost, done_at = await storm()
    assert receipts <= 1.1 * offered + STORM_S
    assert lost == 0
    assert done_at < STORM_S + 300


async def test_few_runs_have_a_budget_too():
    """Where no breaker opens, because there are too few calls, the budget alone holds."""
    receipts, offered, *_ = await storm(per_s=1)
    assert receipts <= 1.1 * offered + STORM_S
