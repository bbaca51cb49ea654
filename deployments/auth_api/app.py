"""`/auth`: accounts, sessions and API keys. `create_app` knows nothing of Ray."""

from fastapi import FastAPI

from deployments.auth_api.routes import accounts, audit, identities, logins, protection, social, users
from deployments.shared.application import Appearance, new_app
from deployments.shared.gate import Gate
from deployments.shared.intake import Intake
from taske_ray.bootstrap import AccountServices

prefix = "/auth"
routers = tuple(one.router for one in (accounts, audit, logins, social, identities, protection, users))
_max_bytes = 4096  # nothing longer is ever hashed


def create_app(services: AccountServices, appearance: Appearance) -> FastAPI:
    """The app, to be served under `prefix`."""
    gate = Gate(services.authentication, services.idempotency, Intake(_max_bytes))
    app = new_app("Taske accounts", gate=gate, appearance=appearance, routers=routers, sign_ups=["/signup"])
    app.state.services = services
    app.state.origin = "/".join(appearance.url.split("/")[:3])  # as browsers send it: without a path
    app.state.secure_cookie = appearance.url.startswith("https:")
    return app
