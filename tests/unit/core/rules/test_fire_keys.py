"""Fire keys: names that others chose and names of ours are never the same."""

from hypothesis import example, given
from hypothesis import strategies as st

from taske_ray.core.fire_keys import key_by_hand, key_from_outside, key_of_replay

ours = st.sampled_from(["manual:", "replay:", "outside:"])
names = st.one_of(st.text(), st.builds("".join, st.lists(ours | st.text(max_size=2), max_size=4)))


def test_ordinary_ids_stay_as_they_are():
    """Keys that are on record already go on to be found."""
    for key in ("evt_1", "7", "manual", "Manual:1", "2027-11-07T05:30:00Z", '["a", "b"]'):
        assert key_from_outside(key) == key


@given(names, names)
@example("manual:1", "1")
@example("outside:manual:1", "manual:1")
def test_no_two_occurrences_share_a_name(one, other):
    """By hand, replay and delivery differ for any names; deliveries differ where their ids do."""
    assert len({key_by_hand(one), key_of_replay(one), key_from_outside(one)}) == 3
    assert key_from_outside(one) not in {key_by_hand(other), key_of_replay(other)}
    assert (key_from_outside(one) == key_from_outside(other)) == (one == other)
