"""The benchmark, for seconds: its figures say nothing, its verdict does."""

import sys

import pytest

from tests.bench.report import render
from tests.bench.run import SHORT, bench

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


async def test_nothing_is_lost_or_sent_twice(capsys):
    """Under full load every accepted run makes its two calls, once each and in order, and the tables can be printed."""
    results = await bench(SHORT)
    with capsys.disabled():
        sys.stdout.write(f"\n{render(results)}\n")
    for measured in results.pipelines:
        assert measured.sent.accepted
        assert not measured.verdict.lost
        assert not measured.verdict.duplicated
        assert not measured.verdict.disordered
