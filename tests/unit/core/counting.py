"""What something costs, counted in calls: a clock on a shared machine would say something else each time."""

import sys


def counted(act):
    """The result of `act`, and how many calls it makes."""
    count = 0

    def count_calls(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_calls)
    try:
        return act(), count
    finally:
        sys.setprofile(None)
