"""A whole service whose crash points can be armed, and an outside world with doors that a test opens."""

import shutil
import tempfile
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
    place = Path(tempfile.mkdtemp(prefix="taske-c-"))
    with temporary(Stub(0, receiver.port), TASKE_RUN_HOSTS="2", TASKE_CRASH_DIR=str(place)) as found:
        found.crash_dir = place
        found.start()
        found.create_account()
        yield found
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def stand(service, receiver):
    """The service, whole again, for one test."""
    with Stand(service, receiver) as found:
        found.whole()
        yield found
        found.disarm()
