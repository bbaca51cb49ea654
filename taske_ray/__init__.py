"""Taske on Ray: When-Then automation that survives.

The public names are resolved on first use, so that importing this package loads neither Ray nor a database driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taske_ray.sdk.authoring import action, cron, every, manual, on, poll, task, webhook
    from taske_ray.sdk.client import AsyncTaske, Taske

__all__ = ["AsyncTaske", "Taske", "action", "cron", "every", "manual", "on", "poll", "task", "webhook"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """A public name of the SDK."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "taske_ray.sdk.client" if name.endswith("Taske") else "taske_ray.sdk.authoring"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
