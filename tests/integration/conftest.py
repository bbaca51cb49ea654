"""Open doors to the databases of `tests/conftest.py`."""

import pytest

from taske_ray.db.database import Database


@pytest.fixture
async def database(database_url):
    """The database that the tests of one file share, opened for one test."""
    opened = await Database(database_url, row_connections=8, hot_connections=4).open()
    yield opened
    await opened.close()


@pytest.fixture
async def fresh_database(fresh_database_url):
    """A database of this test's own, opened."""
    opened = await Database(fresh_database_url, row_connections=8, hot_connections=4).open()
    yield opened
    await opened.close()
