"""`/auth` on Ray Serve."""

from contextlib import AsyncExitStack

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors.cluster_ports import connect_ports
from deployments.auth_api.app import create_app
from deployments.shared.late import LateApp
from deployments.shared.opening import appearance_of
from deployments.shared.replicas import options
from taske_ray import logs
from taske_ray.bootstrap import account_services, identity_providers, open_database
from taske_ray.services.master_key import open_keyring
from taske_ray.settings import Settings


async def open_app(stack: AsyncExitStack) -> ASGIApp:
    """The app with its database, and its way to the clients that say goodbye to providers."""
    logs.configure()
    settings = Settings.from_env()
    database = await open_database(settings, stack, rows=6, hot=2, role="taske_auth")
    keyring = open_keyring(settings, ["auth"])
    providers = identity_providers(settings, stack)
    ports = await connect_ports(database, settings.limits)
    stack.push_async_callback(ports.consents.close)
    services = account_services(settings, database, keyring, providers, farewells=ports.consents)
    return create_app(services, appearance_of(settings, keyring.derived("auth", "page cursors")))


def late_app() -> ASGIApp:
    """What a replica serves: put together when it starts."""
    return LateApp(open_app)


def build() -> Application:
    """The Serve application."""
    return serve.deployment(**options("AuthApi"))(serve.ingress(late_app)()).bind()
