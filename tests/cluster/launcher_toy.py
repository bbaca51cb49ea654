"""A service of the real shape that does nothing: what the launcher starts in its own tests."""

import sys
from pathlib import Path

from taske_ray.launcher.plan import Application, Plan
from taske_ray.settings import Settings

PLAN = Plan(
    applications=(
        Application("auth", "/auth", "launcher_toy:build"),
        Application("console", "/", "launcher_toy:build"),
    ),
    supervisor="launcher_toy:Supervisor",
    upgrade="launcher_toy:upgrade",
    prepare="launcher_toy:prepare",
)


class Supervisor:
    """Starts, and leaves a file when it was asked to stop."""

    async def start(self):
        """Nothing to begin."""

    async def stop(self):
        """Say so in the data directory."""
        (Settings.from_env().data_dir / "drained").touch()


def upgrade(url):
    """Proves that the database answers."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS starts (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO starts DEFAULT VALUES")


def prepare(settings):
    """Nothing to prepare."""


def build():
    """Healthy, ready, and telling what reached it."""
    from fastapi import FastAPI, Request
    from ray import serve

    def app():
        web = FastAPI()

        @web.api_route("/{path:path}", methods=["GET", "POST"])
        async def tell(path: str, request: Request):
            return {"path": path, "client": request.client.host, "headers": dict(request.headers)}

        return web

    deployment = serve.deployment(max_ongoing_requests=500, ray_actor_options={"num_cpus": 0.01})
    return deployment(serve.ingress(app())(type("Toy", (), {}))).bind()


if __name__ == "__main__":
    from taske_ray.cli.up import run_instance

    options = dict(part.split("=", 1) for part in sys.argv[1:])
    settings = Settings.from_env().with_options(
        data_dir=Path(options["data_dir"]), port=int(options["port"]), host=options.get("host", "127.0.0.1")
    )
    raise SystemExit(run_instance(settings, address=options.get("address"), plan="launcher_toy:PLAN"))
