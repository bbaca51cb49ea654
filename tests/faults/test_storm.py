"""A service that answers everything with 500 for a while, at a real receiver (durability, 12.3 and 12.4)."""

import sys
import time

import pytest

from tests.bench.load import Plan, generate
from tests.cluster.receiver import Answer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400, func_only=True)]

STORM_S, RATE = 60.0, 10.0
BUDGET, BUDGET_PER_S = 0.1, 1.0
"""Repeated calls to one host: a tenth of the first ones, and one a second."""


async def test_a_storm_is_not_made_worse_and_nothing_is_lost_in_it(stand):
    """The service hears at most the offered calls and the budget for repeats; afterwards every run succeeds."""
    hook = stand.hook(answers={1: [Answer({"error": "storm"}, status=500)]})
    began = time.monotonic()
    plan = Plan(stand.service.url + hook, ('{"event": "storm-%d"}',), clients=8, seconds=STORM_S, rate=RATE)
    sent = await generate(plan)
    heard, offered, lasted_s = len(stand.received(1)), len(sent.accepted), time.monotonic() - began
    stand.receiver.answer(stand.urls[1], Answer())
    calm = time.monotonic()
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 180, "every run's success")
    sys.stdout.write(
        f"\n{offered} runs, {heard} calls in {lasted_s:.0f} s of 500s; over {time.monotonic() - calm:.0f} s later\n"
    )
    assert sent.statuses.keys() == {202}
    assert len(stand.runs()) == offered
    assert heard <= offered * (1 + BUDGET) + lasted_s * BUDGET_PER_S
    assert {stand.count(f"storm-{number}", 3) for number in range(offered)} == {1}
