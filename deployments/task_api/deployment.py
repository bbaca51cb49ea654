"""`/api/v1` on Ray Serve."""

from contextlib import AsyncExitStack

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors.cluster_ports import connect_ports
from deployments.shared.late import LateApp
from deployments.shared.opening import appearance_of
from deployments.shared.replicas import options
from deployments.task_api.app import create_app
from taske_ray import logs
from taske_ray.bootstrap import open_database, open_store, task_services
from taske_ray.services.master_key import open_keyring
from taske_ray.settings import Settings


async def open_app(stack: AsyncExitStack) -> ASGIApp:
    """The app with its database and its way to the actors."""
    logs.configure()
    settings = Settings.from_env()
    database = await open_database(settings, stack, rows=4, hot=4, role="taske_api")
    engine = await open_database(settings, stack, rows=1, hot=3, role="taske_engine")
    ports = await connect_ports(engine, settings.limits)
    stack.push_async_callback(ports.run_hosts.close)
    keyring = open_keyring(settings, ["hooks", "credentials"])
    store = open_store(settings, engine, stack)
    services = task_services(settings, database, keyring, ports, store)
    return create_app(services, appearance_of(settings, keyring.derived("hooks", "page cursors")))


def late_app() -> ASGIApp:
    """What a replica serves: put together when it starts."""
    return LateApp(open_app)


def build() -> Application:
    """The Serve application."""
    return serve.deployment(**options("TaskApi"))(serve.ingress(late_app)()).bind()
