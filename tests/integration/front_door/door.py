"""The front door without Ray: the real HAProxy, on the configuration that Serve writes and we rewrite, and a replica.

`python -m tests.integration.front_door.door PORT` is the replica: an app of ours on the server that Serve uses.
"""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
from starlette.requests import Request
from starlette.responses import Response

from deployments.shared.answers import answer
from deployments.shared.application import Appearance, new_app, router
from deployments.shared.gate import Gate, needs
from taske_ray.errors import Unauthenticated
from taske_ray.launcher import haproxy
from taske_ray.launcher.environment import TUNING
from taske_ray.limits import Limits
from tests.facts import wait_until

ROOT = Path(__file__).parents[3]
routes = router()


@routes.get("/seen", openapi_extra=needs("public"))
async def seen(request: Request) -> Response:
    """Who the application thinks is calling."""
    return answer({"client": request.client.host, "headers": dict(request.headers)})


@routes.post("/take", openapi_extra=needs("public"))
async def take(request: Request) -> Response:
    """Take a JSON body."""
    return answer({"bytes": len(await request.body())})


@routes.post("/hooks/wait", openapi_extra=needs("public"))
@routes.get("/wait", openapi_extra=needs("public"))
async def wait() -> Response:
    """Answer after three seconds in which nothing is said."""
    await asyncio.sleep(3)
    return answer({})


class Nobody:
    """Knows nobody."""

    async def authenticate(self, _authorization):
        """No."""
        raise Unauthenticated


def app():
    """What Serve would mount; everybody here has one address, so that it may ask as often as it likes."""
    appearance = Appearance("http://x", b"k", limits=Limits(address_per_min=None))
    return new_app("door", gate=Gate(Nobody()), appearance=appearance, routers=[routes])


def as_serve_answers(inner):
    """The replica around the application: a line of plain text when it cannot ask the application."""

    async def served(scope, receive, send):
        if scope["path"] == "/-/healthz":
            await Response("success")(scope, receive, send)
        elif scope["path"].startswith("/serve/"):
            status = int(scope["path"].rpartition("/")[2])
            await Response("Request dropped due to backpressure", status, media_type="text/plain")(scope, receive, send)
        else:
            await inner(scope, receive, send)

    return served


class Door:
    """HAProxy before one replica, each a process of its own."""

    def __init__(self, folder, port, replica_port, **environ):
        self.folder, self.port, self.replica_port = folder, port, replica_port
        self.url = f"http://127.0.0.1:{port}"
        self._environ = {**os.environ, haproxy.BIND_HOST: "127.0.0.1", "FORWARDED_ALLOW_IPS": "127.0.0.1", **environ}
        self.replica = self.haproxy = None

    def open(self, *, short_waits=False):
        """Start both; `short_waits`: a tenth of the patience, and far fewer places."""
        self.start_replica()
        config = self.folder / "haproxy.cfg"
        config.write_text(configuration(self.folder, self.port, self.replica_port))
        if short_waits:
            self._rewrite_with_short_waits(config)
        program = [sys.executable, "-I", "-S", haproxy.__file__, haproxy.real_binary()]
        self.haproxy = subprocess.Popen(
            [*program, "-db", "-f", config], env=self._environ, stderr=(self.folder / "haproxy.log").open("wb")
        )
        self._until_open(self.port)
        return self

    def start_replica(self):
        """The process behind the door."""
        self.replica = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.front_door.door", str(self.replica_port)],
            env=self._environ,
            cwd=ROOT,
        )
        self._until_open(self.replica_port)

    def close(self):
        """End both."""
        for process in (self.haproxy, self.replica):
            if process is not None:
                process.kill()
                process.wait()

    def memory_mib(self):
        """What both hold, in MiB."""
        return sum(psutil.Process(each.pid).memory_info().rss for each in (self.haproxy, self.replica)) / 2**20

    def _rewrite_with_short_waits(self, config):
        text = haproxy.rewrite(config.read_text(), host="127.0.0.1", trusted=())
        for waits, short in (
            (f"timeout http-request {haproxy.SLOWEST_HEAD_S}s", "timeout http-request 1s"),
            (f"wait-for-body time {haproxy.SLOWEST_BODY_S}s", "wait-for-body time 2s"),
            (f"timeout client {haproxy.SLOWEST_READER_S}s", "timeout client 2s"),
            (f"timeout check {haproxy.CHECK_LIMIT_S}s", "timeout check 1s"),
            (f"sc0_conn_cur gt {haproxy.USUAL_IN_FLIGHT}", f"sc0_conn_cur gt {haproxy.USUAL_IN_FLIGHT // 10}"),
            ("maxconn 4096", "maxconn 64"),
        ):
            assert waits in text
            text = text.replace(waits, short)
        config.write_text(text)

    def _until_open(self, port):
        def listens():
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True

        wait_until(listens, 20, lambda: f"the door: {(self.folder / 'haproxy.log').read_text()}", despite=OSError)


def configuration(folder, port, replica_port):
    """What Serve writes for one application at `/`, by its own code."""
    from ray.serve._private.common import RequestProtocol
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    backends = {
        name: BackendConfig(
            name=name,
            path_prefix=prefix,
            app_name=name,
            servers=[ServerConfig(name="replica", host="127.0.0.1", port=replica_port)],
            protocol=RequestProtocol.HTTP,
        )
        for name, prefix in (("http-console", "/"), ("http-hooks", "/hooks"))
    }
    config = HAProxyConfig(
        socket_path=str(folder / "a"),
        server_state_base=str(folder),
        server_state_file=str(folder / "state"),
        nbthread=1,
        metrics_enabled=False,
        bufsize=haproxy.BUFFER_BYTES,
        health_check_inter=TUNING["RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER"],
        observe_mark_down_enabled=TUNING["RAY_SERVE_HAPROXY_OBSERVE_MARK_DOWN_ENABLED"] == "1",
        retry_on=haproxy.RETRY_ON,
        retries=int(TUNING["RAY_SERVE_HAPROXY_RETRIES"]),
        timeout_connect_s=int(TUNING["RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S"]),
        timeout_server_s=int(TUNING["RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"]),
        http_options=HTTPOptions(host="127.0.0.1", port=port),
        has_received_routes=True,
        has_received_servers=True,
        is_head=True,
    )
    api = HAProxyApi(config, backends, config_file_path=str(folder / "written.cfg"))
    api._generate_config_file_internal()
    return (folder / "written.cfg").read_text()


if __name__ == "__main__":
    import uvicorn

    place = {"host": "127.0.0.1", "port": int(sys.argv[1])}
    uvicorn.run(as_serve_answers(app()), **place, lifespan="off", log_config=None, timeout_keep_alive=90)
