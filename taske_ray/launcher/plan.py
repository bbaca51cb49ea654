"""What an instance consists of, by name: the launcher starts it without importing it."""

import importlib
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Application:
    """One Serve application; `build` names the function that makes it (`module:function`)."""

    name: str
    route_prefix: str
    build: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The applications behind the address, the supervisor's class, and what brings the database up to date.

    `shared` names modules that most workers need and that neither load Ray nor start a thread (`nursery.py`).
    """

    applications: tuple[Application, ...]
    supervisor: str
    upgrade: str
    prepare: str
    shared: tuple[str, ...] = ()


SERVICE: Final = Plan(
    applications=(
        Application("auth", "/auth", "deployments.auth_api.deployment:build"),
        Application("task", "/api/v1", "deployments.task_api.deployment:build"),
        Application("hooks", "/hooks", "deployments.hooks_api.deployment:build"),
        Application("console", "/", "deployments.console.deployment:build"),
    ),
    supervisor="actors.supervisor:TriggerSupervisor",
    upgrade="taske_ray.db.migrate:upgrade",
    prepare="taske_ray.bootstrap:prepare",
    shared=(
        "taske_ray.bootstrap",
        "taske_ray.core.reconcile",
        "taske_ray.db.runs",
        "taske_ray.db.triggers",
        "taske_ray.integrations.client",
        "deployments.auth_api.app",
        "deployments.task_api.app",
        "deployments.hooks_api.app",
        "deployments.console.app",
    ),
)


def load(name: str) -> Any:
    """The object that `module:attribute` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
