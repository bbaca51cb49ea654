"""Options of every Serve deployment; without Ray, so that a test can look at them."""

from typing import Any


def options(name: str, *, at_once: int = 500) -> dict[str, Any]:
    """One replica that takes so many requests `at_once` and 1,000 more in its queue; beyond that callers get 503.

    One that has ended is noticed at Serve's next check, one that is frozen by our watchdog after 5 s, and one
    that is busy for ever by three checks in a row that took too long.
    """
    return {
        "name": name,
        "num_replicas": 1,
        "max_ongoing_requests": at_once,
        "max_queued_requests": 1000,
        "health_check_period_s": 2,
        "health_check_timeout_s": 10,
        "graceful_shutdown_wait_loop_s": 0.2,
        "graceful_shutdown_timeout_s": 4,
        "ray_actor_options": {"num_cpus": 0.1},
    }
