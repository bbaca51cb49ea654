"""Open doors to the databases of `tests/conftest.py`."""

import pytest

from taske_ray.db.database import Database, engine_role


@pytest.fixture
async def database(database_url):
    """The database that the tests of one file share, opened for one test."""
    opened = await Database(database_url, row_connections=8, hot_connections=4).open()
    yield opened
    await opened.close()


@pytest.fixture
async def engine_database(database_url):
    """The same, as hosts and hooks open it: in their role."""
    opened = await Database(database_url, row_connections=2, hot_connections=4, role=engine_role).open()
    yield opened
    await opened.close()


@pytest.fixture
async def api_database(database_url):
    """The same, as `/api/v1` opens it: the rows of whom a transaction names."""
    opened = await Database(database_url, row_connections=8, hot_connections=4, role="taske_api").open()
    yield opened
    await opened.close()


@pytest.fixture
async def auth_database(database_url):
    """The same, as `/auth` opens it: accounts and nothing else."""
    opened = await Database(database_url, row_connections=8, hot_connections=4, role="taske_auth").open()
    yield opened
    await opened.close()


@pytest.fixture
async def fresh_database(fresh_database_url):
    """A database of this test's own, opened."""
    opened = await Database(fresh_database_url, row_connections=8, hot_connections=4).open()
    yield opened
    await opened.close()


class FakeHosts:
    """Run hosts that take nothing: every run is queued, every nudge is written down."""

    def __init__(self):
        self.nudges = []

    def pick(self, _key):
        """None: no host is up."""
        return

    def assigned(self, run):
        """Write the nudge down."""
        self.nudges.append(("assigned", run))

    def queued(self):
        """Write the nudge down."""
        self.nudges.append(("queued", None))


class FakeWatchers:
    """A supervisor that counts its nudges."""

    def __init__(self):
        self.nudges = 0

    def changed(self):
        """Count the nudge."""
        self.nudges += 1


class FakeCalls:
    """Integration clients that answer what a test puts in `outcomes`, and write down what they were asked."""

    def __init__(self):
        self.outcomes = []
        self.asked = []

    async def perform(self, call):
        """The next outcome that the test wants."""
        self.asked.append(call)
        return self.outcomes.pop(0)

    async def test_connection(self, user_id, connection_id):
        """The next outcome that the test wants."""
        self.asked.append((user_id, connection_id))
        return self.outcomes.pop(0)


class FakeConsents:
    """Integration clients that answer what a test puts in `outcomes`, and write down which consents they were given."""

    def __init__(self):
        self.outcomes = []
        self.asked = []
        self.revoked = []

    async def connect(self, user_id, connection_id, consent_id):
        """The next outcome that the test wants."""
        self.asked.append((user_id, connection_id, consent_id))
        return self.outcomes.pop(0)

    async def revoke(self, user_id, connection_id):
        """Write it down."""
        self.revoked.append((user_id, connection_id))
        return True


class FakeReadiness:
    """Parts that answer as a test says."""

    def __init__(self):
        self.answers = {"supervisor": True, "run_hosts": True}

    async def parts(self):
        """As the test says."""
        return self.answers

    async def figures(self):
        """One host with some counts."""
        return {"run-1": {"live": 3, "outbox": {"length": 0}}}


@pytest.fixture
def readiness():
    return FakeReadiness()


@pytest.fixture
def hosts():
    return FakeHosts()


@pytest.fixture
def watchers():
    return FakeWatchers()


@pytest.fixture
def calls():
    return FakeCalls()


@pytest.fixture
def consents():
    return FakeConsents()
