"""A meter that never strikes proves nothing: with one promise of the product taken out, the oracle must say so (13.3).

The product has no switch for any of it: `sabotage/sitecustomize.py` breaks it from outside, in the service's processes.
"""

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.cluster.receiver import Answer
from tests.faults.oracle import Schedule
from tests.faults.stand import Stand

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SABOTAGE = Path(__file__).parent / "sabotage"


@contextmanager
def broken(receiver, what):
    """A service in which one promise is false."""
    with TemporaryDirectory(prefix="taske-n-") as place:
        settings = {"SABOTAGE": what, "PYTHONPATH": str(SABOTAGE), "TASKE_CRASH_DIR": place}
        with temporary(Stub(0, receiver.port), **settings) as service:
            service.crash_dir = Path(place)
            service.start()
            service.create_account()
            with Stand(service, receiver) as stand:
                yield stand


def test_a_202_before_the_commit_is_caught(receiver):
    """Acknowledged first and recorded afterwards, a delivery is lost with its process: O5, and `lost` counts it."""
    with broken(receiver, "acknowledge_first") as stand:
        hook = stand.hook()
        stand.arm("C2")
        assert stand.deliver(hook, "early") == [202]
        stand.died("C2")
        stand.whole()
        verdict = stand.judged()
    assert verdict.lost == 1
    assert "O5" in verdict.wrong


def test_calls_without_an_intent_are_caught(receiver):
    """Without the attempt that is recorded before a call, nothing explains the second delivery of a killed one: O3."""
    with broken(receiver, "no_intent") as stand:
        hook = stand.hook()
        stand.arm("C11.client")
        stand.deliver(hook, "blind")
        stand.died("C11.client")
        stand.ended(stand.acknowledged[0].run_id)
        verdict = stand.judged()
    assert verdict.unexplained >= 1
    assert "O3" in verdict.wrong


def test_a_new_key_for_each_attempt_is_caught(receiver):
    """A repetition that does not carry the first one's key can be told from it by nobody: O1."""
    with broken(receiver, "new_keys") as stand:
        hook = stand.hook()
        stand.arm("C11.client")
        stand.deliver(hook, "anew")
        stand.died("C11.client")
        stand.ended(stand.acknowledged[0].run_id)
        verdict = stand.judged()
    assert "O1" in verdict.wrong


def test_a_cursor_saved_before_its_items_is_caught(receiver):
    """Killed between the cursor and the runs, the page's items are neither runs nor skips, and never come again: O7."""
    with broken(receiver, "cursor_first") as stand:
        listed = receiver.serve(Answer([{"id": "old"}]))
        poll = {"capability": "http.poll", "params": {"url": listed, "key": "id", "every": "PT1S"}}
        stand.task(poll, "{{ trigger.output.item.id }}")
        stand.until(lambda: len(receiver.at(listed)) >= 2, 30, "polling")
        stand.arm("between")
        receiver.answer(listed, Answer([{"id": name} for name in ("old", "new", "newer")]))
        stand.died("between")
        seen = len(receiver.at(listed))
        stand.until(lambda: len(receiver.at(listed)) >= seen + 3, 60, "polling again")
        verdict = stand.judged("new", "newer", schedule=Schedule(["new", "newer"], 0))
    assert "O7" in verdict.wrong
