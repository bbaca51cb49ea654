"""`/hooks` on Ray Serve."""

from contextlib import AsyncExitStack

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors.cluster_ports import connect_ports
from deployments.hooks_api.app import create_app
from deployments.shared.late import LateApp
from deployments.shared.replicas import options
from taske_ray import logs
from taske_ray.bootstrap import deliveries, open_database, open_store, open_trail
from taske_ray.clock import SystemClock
from taske_ray.services.master_key import open_keyring
from taske_ray.settings import Settings


async def open_app(stack: AsyncExitStack) -> ASGIApp:
    """The app with its database and its way to the run hosts."""
    logs.configure()
    settings = Settings.from_env()
    database = await open_database(settings, stack, rows=1, hot=4, role="taske_engine")
    ports = await connect_ports(database, settings.limits)
    stack.push_async_callback(ports.run_hosts.close)
    store, trail = open_store(settings, database, stack), open_trail(database, stack)
    found = deliveries(settings, database, open_keyring(settings, ["hooks"]), ports.run_hosts, store, trail)
    return create_app(found, clock=SystemClock(), url=settings.url, body_bytes=settings.limits.body_kib * 1024)


def late_app() -> ASGIApp:
    """What a replica serves: put together when it starts."""
    return LateApp(open_app)


def build() -> Application:
    """The Serve application; a queue of Serve's would be one line for all users, and here they take turns."""
    return serve.deployment(**options("HooksApi", at_once=4000))(serve.ingress(late_app)()).bind()
