"""`/auth`: accounts, sessions and API keys. `create_app` knows nothing of Ray."""

from fastapi import FastAPI

from deployments.auth_api import routes
from deployments.auth_api.parts import AuthServices
from deployments.shared.application import Appearance, new_app
from deployments.shared.gate import Gate

_max_bytes = 4096  # nothing longer is ever hashed


def create_app(services: AuthServices, appearance: Appearance) -> FastAPI:
    """The app, to be served under `/auth`."""
    gate = Gate(services.authentication, services.idempotency, _max_bytes)
    app = new_app("Taske accounts", gate=gate, appearance=appearance, routers=[routes.router])
    app.state.services = services
    app.state.origin = appearance.url
    app.state.secure_cookie = appearance.url.startswith("https:")
    return app
