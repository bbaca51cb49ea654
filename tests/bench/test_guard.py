"""The measurement of the egress guard itself; its figures are for `python -m tests.bench.guard`."""

import asyncio

from tests.bench.guard import measure, receiving


def test_both_kinds_of_client_call():
    """With and without the guard every call succeeds and costs something."""
    with receiving() as port:
        found = asyncio.run(measure(port, calls=40, rounds=1, at_once=8))
    assert {name: min(each) > 0 for name, each in found.items()} == {"with": True, "without": True}
