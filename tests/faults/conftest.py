"""A whole service whose crash points can be armed, and an outside world with doors that a test opens."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.cluster.receiver import Receiver
from tests.faults.stand import Stand


@pytest.fixture(scope="session")
def receiver():
    """Any other service."""
    with Receiver() as found:
        yield found


@pytest.fixture(scope="session")
def service(receiver):
    """One service for all crash points: a process that dies there is replaced before the next one."""
    with _started(receiver, TASKE_RUN_HOSTS="2") as found:
        yield found


@pytest.fixture(scope="module")
def service_of_one_host(receiver):
    """The same, but where a run host dies, no other is there until it was replaced."""
    with _started(receiver, TASKE_RUN_HOSTS="1") as found:
        yield found


@contextmanager
def _started(receiver, **settings):
    place = Path(tempfile.mkdtemp(prefix="taske-c-"))
    with temporary(Stub(0, receiver.port), TASKE_CRASH_DIR=str(place), **settings) as found:
        found.crash_dir = place
        found.start()
        found.create_account()
        yield found
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def stand(request, receiver):
    """The service, whole again, for one test; another than `service` where a test's parameter names it."""
    with Stand(request.getfixturevalue(getattr(request, "param", "service")), receiver) as found:
        found.whole()
        yield found
        found.disarm()
