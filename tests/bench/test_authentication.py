"""The measurement of authentication itself; its figures are for `python -m tests.bench.authentication`."""

import asyncio

import pytest

from tests.bench.authentication import measure


@pytest.mark.integration
def test_both_kinds_of_caller_are_measured(fresh_database_url, tmp_path):
    """A token, a key and a login are each answered and take some time."""
    found = asyncio.run(measure(fresh_database_url, tmp_path, calls=5, logins=2))
    assert {name: min(each) > 0 for name, each in found.items()} == dict.fromkeys(found, True)
    assert {"access token", "API key", "login"} <= set(found)
