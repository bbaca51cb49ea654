"""Serve without its stand-in for absent replicas: 85 MB for a proxy that would only keep requests waiting.

Serve calls `without_fallback_proxy` in its controller's process, because `RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH`
names it. While an application has no replica up, HAProxy then answers 503 with `Retry-After` at once.
"""

from typing import Any


def without_fallback_proxy() -> None:
    """In the controller's process, before it starts any proxy."""
    from ray.serve._private.proxy_state import ProxyStateManager

    def none_needed(*_: Any, **__: Any) -> None:
        pass

    start = "_start_fallback_proxy_if_needed"  # there is no switch
    if not hasattr(ProxyStateManager, start):
        raise RuntimeError(f"Serve has changed: there is no {start}")
    setattr(ProxyStateManager, start, none_needed)
