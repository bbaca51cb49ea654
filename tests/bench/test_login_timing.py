"""The measurement of what the clock tells; its figures are for `python -m tests.bench.login_timing`."""

import asyncio

import pytest

from tests.bench.login_timing import BOUND, HASH, measure, report


@pytest.mark.integration
def test_every_call_is_measured_for_every_kind_of_account(fresh_database_url, tmp_path):
    """Each answers, takes some time, and stands in the table beside a hash of the same turns."""
    found = asyncio.run(measure(fresh_database_url, tmp_path, rounds=1))
    assert len(found) == 5
    for of_kinds in found.values():
        assert {"unknown", "unverified", "social-only", HASH} <= set(of_kinds)
        assert min(took for each in of_kinds.values() for took in each) > 0
    assert all(name in report(found)[0] for name in found)


@pytest.mark.parametrize(("apart", "held"), [(0.9 * BOUND, True), (1.1 * BOUND, False)])
def test_the_verdict_is_about_medians_in_hashes(apart, held):
    """One outlier changes nothing, a median beyond the bound does."""
    found = {"unknown": [1.0, 1.0, 9.0], "active": [1 + apart] * 3, HASH: [1.0] * 3}
    assert report({"login": found})[1] is held
