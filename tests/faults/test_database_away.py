"""The database stops answering or is gone: nothing is acknowledged meanwhile, nobody hangs, nothing is lost (9.5)."""

import random
import time

import httpx
import pytest

from tests.faults.oracle import STEPS
from tests.faults.saboteur import Saboteur

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240, func_only=True)]

ANSWER_S = 7.0
"""Five seconds (9.5), and what a machine under test needs on top."""


@pytest.fixture
def saboteur(stand):
    """What may be done to this service's processes."""
    found = Saboteur(stand.service.data_dir, random.Random(1))
    yield found
    found.close()


def test_a_database_that_hangs_is_answered_with_503(stand, saboteur):
    """Stopped with SIGSTOP: each delivery is refused with 503 and Retry-After in time; afterwards each runs once.

    Also where the hook is not in memory and the database is asked for it: the driver waits longer than we do.
    """
    unknown, hook = stand.hook(), stand.hook()
    stand.deliver(hook, "before")
    [postmaster] = saboteur.find("postmaster")
    saboteur.do("postmaster", "stop", postmaster)
    refused = []
    for number, path in enumerate((unknown, hook, hook)):
        began = time.monotonic()
        answer = stand.http.post(path, json={"event": f"a{number}"}, headers={"webhook-id": f"a{number}"})
        refused.append((answer.status_code, "retry-after" in answer.headers, time.monotonic() - began < ANSWER_S))
    saboteur.close()
    assert refused == [(503, True, True)] * 3
    for event in ("a0", "a1", "after"):
        stand.deliver(hook, event)
    for one in stand.acknowledged:
        assert stand.ended(one.run_id)["status"] == "succeeded"
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


def test_a_database_restarted_again_and_again_loses_nothing(stand, saboteur):
    """Three immediate shutdowns a few runs apart: the launcher starts it again, every acknowledged delivery runs."""
    hook = stand.hook()
    for number in range(12):
        if number % 4 == 1:
            for postmaster in saboteur.find("postmaster"):
                saboteur.do("postmaster", "immediate", postmaster)
        stand.deliver(hook, f"b{number}")
    for one in stand.acknowledged:
        assert stand.ended(one.run_id)["status"] == "succeeded"
    assert all(stand.count(event, step) >= 1 for event in stand.offered for step in STEPS)
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


def test_a_killed_front_door_is_back_within_15_seconds(stand, saboteur):
    """HAProxy killed: connections are refused or broken, not hung, and the first 2xx is 15 s later at most."""
    hook = stand.hook()
    [haproxy, *_] = saboteur.find("HAProxy")
    saboteur.do("HAProxy", "kill", haproxy)
    began = time.monotonic()
    tries = stand.deliver(hook, "door")
    assert time.monotonic() - began < 15
    assert httpx.ReadTimeout.__name__ not in tries
    assert stand.ended(stand.acknowledged[0].run_id)["status"] == "succeeded"
    assert stand.judged().holds
