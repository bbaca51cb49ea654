"""A Ray of our own with nothing in it that we do not use: a third of the memory, half the time to start, fewer ports.

Ray has no switches for this; the seams below are internal to the one version that `pyproject.toml` allows, and
`tests/cluster/test_launcher.py` counts the processes. On a cluster, which others set up, nothing of this applies.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from taske_ray.launcher import agent, worker

_AGENTS: Final = ("dashboard_agent", "runtime_env_agent")


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Within the block `ray.init(address="local")` starts GCS, raylet and a stand-in for their helpers, no more."""
    from ray._private import node, services

    class LeanNode(node.Node):
        def __init__(self, ray_params: Any, **options: Any) -> None:
            # No autoscaler on one machine, and the logs are read where they are written.
            ray_params.update(include_log_monitor=False, no_monitor=True, setup_worker_path=worker.__file__)
            super().__init__(ray_params, **options)

        def start_api_server(self, **_: Any) -> None:
            """No dashboard: whoever reaches one runs code."""

    build = services._build_python_executable_command_memory_profileable  # noqa: SLF001 - see above

    def command(component: str, *arguments: Any, **options: Any) -> Any:
        if component in _AGENTS:
            # What follows is Ray's own command line, path first: the stand-in reads the options it needs.
            return [sys.executable, "-I", "-S", str(Path(agent.__file__).resolve())]
        return build(component, *arguments, **options)

    with _replaced(node, "Node", LeanNode), _replaced(services, build.__name__, command):
        yield


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)
