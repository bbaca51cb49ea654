"""One Ray for the session, started as the launcher starts it, on a real PostgreSQL; an outside world that listens."""

import contextlib
import os
import shutil
import tempfile
from contextlib import AsyncExitStack

import pytest

from tests.cluster.launcher_service import free_port
from tests.cluster.receiver import Receiver
from tests.facts import until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


@pytest.fixture(scope="session")
def receiver():
    """The outside world."""
    with Receiver() as found:
        yield found


class Postbox:
    """An SMTP server's mails, as they came; its address is `url`."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd calls it by this name
        """Take a mail."""
        self.mails.append(envelope.content.decode("utf-8", "replace"))
        return "250 OK"

    def about(self, subject):
        """The mails with this in them."""
        return [mail for mail in self.mails if subject in mail]


@pytest.fixture(scope="session")
def postbox():
    """An SMTP server."""
    from aiosmtpd.controller import Controller

    box = Postbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    box.url = f"smtp://127.0.0.1:{server.port}"
    yield box
    server.stop()


@pytest.fixture(scope="session")
def settings(tmp_path_factory, clone_database, receiver, postbox):
    """How this session's engine runs."""
    from taske_ray.security.vault import new_master_key
    from taske_ray.settings import Density, Settings

    return Settings(
        tmp_path_factory.mktemp("data"),
        port=free_port(),
        database_url=clone_database(),
        master_key=new_master_key(),
        smtp_url=postbox.url,
        egress_allow=(receiver.place,),
        density=Density(run_hosts=2),
    )


@pytest.fixture(scope="session")
def ray(settings):
    """A Ray of this session's own, in which every process has the environment that the launcher gives."""
    from actors import cluster
    from taske_ray.launcher import environment, lean_ray
    from taske_ray.launcher.processes import MARK
    from taske_ray.launcher.runtime import LOGICAL_CPUS, OBJECT_STORE_BYTES

    place = tempfile.mkdtemp(prefix="taske-r-")  # short: Ray puts sockets into it
    values = {**environment.TUNING, **settings.to_env(), MARK: str(settings.data_dir), "PYTHONPATH": ROOT}
    with environ(values), lean_ray.lean():
        cluster.connect(
            "local",
            num_cpus=LOGICAL_CPUS,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=place,
        )
    yield
    import ray

    ray.shutdown()
    shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def environ(values):
    """The environment with these values, for what is started meanwhile."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
async def started(ray, settings):  # noqa: ARG001 - started first
    """The whole engine without its HTTP face."""
    from actors import cluster
    from actors.supervisor import TriggerSupervisor
    from taske_ray.catalog.registry import load_documents
    from taske_ray.services.catalog_cache import CapabilityCache
    from taske_ray.services.modules import Modules
    from tests.cluster.engine import open_engine

    async with AsyncExitStack() as stack:
        found = await open_engine(settings, stack)
        await Modules(found.database, CapabilityCache(found.database)).sync_catalog(load_documents())
        supervisor = await cluster.spawn_supervisor(TriggerSupervisor)
        await until(found.complete, 120, "the engine")
        yield found
        supervisor = await cluster.find(cluster.SUPERVISOR)
        await cluster.call(supervisor, "stop", timeout_s=30)


@pytest.fixture(scope="session")
async def every_minute(started, receiver):
    """A task on the minute, made with the engine: what the other tests do must not cost it one."""
    from tests.cluster.engine import post

    cron = {"capability": "system.schedule.cron", "params": {"cron": "* * * * *"}}
    return await started.task(post(receiver.serve()), trigger=cron)


@pytest.fixture
async def engine(started, every_minute):  # noqa: ARG001 - made first
    """The engine, complete: whatever the test before has killed is back."""
    await until(started.complete, 90, "a complete engine")
    return started
