"""Hands the applications to Serve and ends: what building them loads (50 MB and more) need not stay in memory.

It loads while Ray starts, then gets the address on standard input, and says at the end that it has deployed. Serve's
controller keeps the applications running.
"""

import os
import sys
from typing import Final

from taske_ray import logs
from taske_ray.launcher.plan import Plan, load
from taske_ray.settings import Settings

DEPLOYED: Final = "deployed"
"""What it says last, if all went well."""


def main(plan_name: str) -> None:
    """Read one line, `RAY-ADDRESS REPLICA-HOST`, connect, deploy, say so, leave."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is for the log
    from ray import serve
    from ray.serve.config import HTTPOptions
    from ray.serve.schema import LoggingConfig

    from actors import cluster

    plan: Plan = load(plan_name)
    settings = Settings.from_env()
    quiet = LoggingConfig(encoding="JSON", log_level="WARNING", enable_access_log=False)
    applications = [
        serve.RunTarget(load(each.build)(), name=each.name, route_prefix=each.route_prefix, logging_config=quiet)
        for each in plan.applications
    ]
    address, _, host = sys.stdin.readline().strip().partition(" ")
    if not address:
        return  # Ray could not be started
    cluster.connect(address)
    serve.start(http_options=HTTPOptions(host=host, port=settings.port), logging_config=quiet)
    serve.run_many(applications)
    with answer:
        answer.write(f"{DEPLOYED}\n")


if __name__ == "__main__":
    logs.configure()
    main(sys.argv[1])
