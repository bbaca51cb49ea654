"""Placement: set arithmetic, bounds, and as few moves as possible."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.reconcile import Plan, plan, rendezvous

names = st.integers(0, 30).map(lambda number: f"trigger-{number}")
desired_sets = st.dictionaries(names, st.integers(1, 3), max_size=20)
live_sets = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.dictionaries(names, st.integers(1, 3), max_size=10), max_size=3
)


def carried_out(live: dict, desired: dict, decision: Plan) -> dict:
    """The live sets after doing what the plan says: stops, then starts."""
    after = {host: dict(watched) for host, watched in live.items()}
    for host, triggers in decision.stop.items():
        for trigger in triggers:
            del after[host][trigger]
    for host, triggers in decision.start.items():
        after[host].update({trigger: desired[trigger] for trigger in triggers})
    return after


@given(desired_sets, live_sets, st.integers(1, 8))
def test_one_plan_is_enough(desired, live, capacity):
    """Afterwards each desired trigger that fits is live once, in its version, nothing else is, and no host is over."""
    after = carried_out(live, desired, plan(desired, live, capacity))
    watched = Counter(trigger for host in after.values() for trigger in host)
    assert all(count == 1 for count in watched.values())
    assert len(watched) == min(len(desired), capacity * len(live))
    assert all(version == desired[trigger] for host in after.values() for trigger, version in host.items())
    assert all(len(host) <= capacity for host in after.values())


@given(desired_sets, live_sets, st.integers(1, 8))
def test_planning_twice_changes_nothing(desired, live, capacity):
    """A plan that was carried out leaves an empty plan."""
    after = carried_out(live, desired, plan(desired, live, capacity))
    again = plan(desired, after, capacity)
    assert (again.start, again.stop) == ({}, {})


@given(desired_sets, st.integers(1, 5))
def test_a_new_host_moves_nothing(desired, capacity):
    """What is well where it is stays there when a host joins."""
    before = carried_out({"a": {}, "b": {}}, desired, plan(desired, {"a": {}, "b": {}}, capacity))
    joined = plan(desired, {**before, "c": {}}, capacity)
    assert not joined.stop
    assert set(joined.start) <= {"c"}


@given(desired_sets)
def test_a_dead_host_moves_only_its_own(desired):
    """When a host dies only its triggers are started elsewhere."""
    live = {"a": {}, "b": {}, "c": {}}
    before = carried_out(live, desired, plan(desired, live, 20))
    lost = before.pop("c")
    decision = plan(desired, before, 20)
    assert not decision.stop
    assert sorted(trigger for triggers in decision.start.values() for trigger in triggers) == sorted(lost)


def test_a_new_version_is_replaced_in_place():
    """A changed trigger is stopped and started on the same host."""
    assert plan({"x": 2}, {"a": {"x": 1}, "b": {}}, 5) == Plan({"a": ["x"]}, {"a": ["x"]}, 1)


def test_one_trigger_a_process():
    """With a capacity of one there are as many hosts as triggers, and each takes one."""
    desired = {f"t{number}": 1 for number in range(4)}
    waiting = plan(desired, {"a": {}, "b": {}}, 1)
    assert waiting.hosts_needed == 4
    assert sorted(len(triggers) for triggers in waiting.start.values()) == [1, 1]
    full = plan(desired, {name: {} for name in "abcd"}, 1)
    assert sorted(len(triggers) for triggers in full.start.values()) == [1, 1, 1, 1]


def test_no_hosts_yet():
    """Without a host nothing starts, but the need is known."""
    assert plan({"x": 1}, {}, 10) == Plan({}, {}, 1)


def test_rendezvous_is_stable_and_even():
    """A name more takes its fair share of the keys and moves no other key."""
    keys = [f"connection-{number}" for number in range(3000)]
    three = {key: rendezvous(key, ["a", "b", "c"]) for key in keys}
    four = {key: rendezvous(key, ["d", "c", "b", "a"]) for key in keys}
    moved = [key for key in keys if three[key] != four[key]]
    assert all(four[key] == "d" for key in moved)
    assert all(650 < count < 850 for count in Counter(four.values()).values())
    assert rendezvous(b"connection-1", ["a", "b", "c"]) == three["connection-1"]


def test_rendezvous_needs_a_name():
    """Choosing from nobody is a mistake of the caller."""
    with pytest.raises(ValueError, match="nobody"):
        rendezvous("x", [])
