"""`/api/v1`: catalog, connections, tasks and runs. `create_app` knows nothing of Ray."""

from fastapi import FastAPI

from deployments.shared.application import Appearance, new_app
from deployments.shared.gate import Gate
from deployments.shared.intake import Intake
from deployments.task_api.routes import (
    audit,
    authorizations,
    catalog,
    connections,
    instance_connections,
    oauth_clients,
    runs,
    tasks,
)
from taske_ray.bootstrap import TaskServices

prefix = "/api/v1"
routers = (
    audit.router,
    catalog.router,
    oauth_clients.router,
    instance_connections.router,
    authorizations.router,  # before connections: `callback` is no id
    connections.router,
    tasks.router,
    runs.router,
)


def create_app(services: TaskServices, appearance: Appearance) -> FastAPI:
    """The app, to be served under `prefix`."""
    gate = Gate(services.authentication, services.idempotency, Intake(appearance.limits.body_kib * 1024))
    app = new_app("Taske tasks", gate=gate, appearance=appearance, routers=routers)
    app.state.services = services
    app.state.secure = appearance.url.startswith("https:")
    return app
