"""The campaign, for seconds: a fixed seed, cheap faults, the whole oracle. `make faults` is the long one."""

import sys

import pytest

from tests.faults.campaign import render, run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]


async def test_nothing_is_lost_or_repeated_without_a_reason(capsys):
    """Forty-five seconds of load with a process killed every two to four: nothing lost, every run on within 45 s."""
    campaign = await run(seconds=45, seed=8, rate=10, pause_s=(2.0, 4.0))
    with capsys.disabled():
        sys.stdout.write(f"\n{render(campaign)}\n")
    assert len(campaign.faults) >= 5
    assert campaign.holds, campaign.verdict.wrong
