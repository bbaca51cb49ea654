"""What the watchdog takes for granted about Serve."""

from ray.serve._private.constants import SERVE_CONTROLLER_NAME
from ray.serve._private.constants import SERVE_NAMESPACE as NAMESPACE_OF_SERVE

from taske_ray.launcher.watchdog import SERVE_CONTROLLER, SERVE_NAMESPACE


def test_names_are_those_of_serve():
    """The watchdog does not load Serve, and must still find its actors."""
    assert (SERVE_NAMESPACE, SERVE_CONTROLLER) == (NAMESPACE_OF_SERVE, SERVE_CONTROLLER_NAME)
