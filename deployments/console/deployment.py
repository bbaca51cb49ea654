"""`/` on Ray Serve."""

import secrets
from contextlib import AsyncExitStack

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors.cluster_ports import connect_ports
from deployments.console.app import ConsoleServices, create_app
from deployments.shared.late import LateApp
from deployments.shared.opening import appearance_of
from deployments.shared.replicas import options
from taske_ray import logs
from taske_ray.bootstrap import authentication_of, open_database
from taske_ray.services.health import Health
from taske_ray.settings import Settings


async def open_app(stack: AsyncExitStack) -> ASGIApp:
    """The app with its database and its way to the actors."""
    logs.configure()
    settings = Settings.from_env()
    database = await open_database(settings, stack, rows=1, hot=1, role="taske_api")
    engine = await open_database(settings, stack, rows=1, hot=1, role="taske_engine")
    ports = await connect_ports(engine, settings.limits)
    stack.push_async_callback(ports.run_hosts.close)
    services = ConsoleServices(Health(engine, ports.readiness), authentication_of(settings, database))
    return create_app(services, appearance_of(settings, secrets.token_bytes(32)))  # it has no pages to sign


def late_app() -> ASGIApp:
    """What a replica serves: put together when it starts."""
    return LateApp(open_app)


def build() -> Application:
    """The Serve application."""
    return serve.deployment(**options("Console"))(serve.ingress(late_app)()).bind()
