"""The machine's clock, as everything that counts seconds of a lease reads it."""

import time

from taske_ray.clock import SystemClock


def test_seconds_count_while_the_machine_sleeps(monkeypatch):
    """A lease is measured with CLOCK_BOOTTIME: the monotonic clock stands still in a suspend."""
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0}.__getitem__)
    assert SystemClock().monotonic() == 7.0


def test_the_clock_goes_on():
    """It is the boot clock of this machine, and never goes back."""
    before, read, after = time.clock_gettime(time.CLOCK_BOOTTIME), SystemClock().monotonic(), SystemClock().monotonic()
    assert before <= read <= after
