"""The stopwatch of the campaign: what counts as standing still, and from when."""

import pytest

from tests.faults.oracle import Acknowledged, Receipt
from tests.faults.recovery import recoveries
from tests.faults.saboteur import Fault


def fault(at, kind="RunHost"):
    """A kill."""
    return Fault(at, at, kind, "kill", 1)


def arrivals(*ats, event="e"):
    """The first arrivals of the steps of one event."""
    return [Receipt(f"run_{event}:action{step}", event, step, at) for step, at in enumerate(ats, 1)]


def test_a_run_under_way_is_measured_from_its_last_fault():
    """Two faults between two signs of life: the second one is charged, the whole silence is kept beside it."""
    found = recoveries([Acknowledged("e", "run_e", 0.0)], arrivals(1.0, 11.0, 12.0), [fault(2.0), fault(5.0, "GCS")])
    assert found.resumed_s == {"GCS kill -9": [pytest.approx(6.0)]}
    assert found.longest_silence_s == pytest.approx(9.0)


def test_a_run_that_was_not_under_way_is_not_measured():
    """A fault before a run or after its last step says nothing about it."""
    found = recoveries([Acknowledged("e", "run_e", 10.0)], arrivals(11.0, 12.0, 13.0), [fault(2.0), fault(20.0)])
    assert not found.resumed_s
    assert found.slowest_s == 0.0


def test_a_repetition_is_no_sign_of_life():
    """Acknowledging a delivery again and delivering a step again move nothing: only a next step does."""
    again = [Acknowledged("e", "run_e", 0.0), Acknowledged("e", "run_e", 4.0)]
    repeated = [*arrivals(1.0, 9.0, 10.0), Receipt("run_e:action1", "e", 1, 5.0)]
    assert recoveries(again, repeated, [fault(2.0)]).slowest_s == pytest.approx(7.0)
