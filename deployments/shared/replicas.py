"""Options of every Serve deployment; without Ray, so that a test can look at them."""

from typing import Any


def options(name: str) -> dict[str, Any]:
    """One replica that takes 500 requests at once and 1,000 more in its queue; beyond that callers get 503.

    One that hangs is left out by HAProxy after 5 s and replaced by Serve after three checks of 4 s.
    """
    return {
        "name": name,
        "num_replicas": 1,
        "max_ongoing_requests": 500,
        "max_queued_requests": 1000,
        "health_check_period_s": 2,
        "health_check_timeout_s": 4,
        "graceful_shutdown_wait_loop_s": 0.2,
        "graceful_shutdown_timeout_s": 4,
        "ray_actor_options": {"num_cpus": 0.1},
    }
