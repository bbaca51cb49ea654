"""Running the stand-ins: one server, in a thread of its own, Google under /google and Slack under /slack."""

import copy
import socket
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taske_ray.errors import StartRefused
from taske_ray.standins import drive, slack
from taske_ray.standins.played import services
from taske_ray.standins.world import Received, World, demo_world

# Members that look like addresses and are none, or that people follow.
_names = {"scopes", "base_scopes", "docs_url"}
# Where each provider's own addresses are played.
_places = {origin: f"/{name}" for name, service in services().items() for origin in service["origins"]}


class StandIns:
    """A running server. `world` can be changed while it runs; `received` holds every request in order."""

    def __init__(self, server: uvicorn.Server, thread: threading.Thread, url: str, world: World) -> None:
        self._server = server
        self._thread = thread
        self.url = url
        self.world = world

    @property
    def received(self) -> list[Received]:
        """Every request so far."""
        return self.world.received

    @property
    def allow(self) -> str:
        """The entry of TASKE_EGRESS_ALLOW that opens exactly this server."""
        return urlsplit(self.url).netloc

    def stop(self) -> None:
        """End the server and wait until it is gone."""
        self._server.should_exit = True
        self._thread.join()


def start(host: str = "127.0.0.1", port: int = 0, world: World | None = None) -> StandIns:
    """Serve the world (the demo's by default); port 0 takes a free one. Raises StartRefused when the port is taken."""
    world = world if world is not None else demo_world(datetime.now(UTC))
    listener = _listener(host, port)
    config = uvicorn.Config(
        build_app(world), log_config=None, lifespan="off", timeout_graceful_shutdown=1, server_header=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="stand-ins", daemon=True)
    thread.start()
    bound = listener.getsockname()[1]
    return StandIns(server, thread, f"http://{host}:{bound}", world)


def build_app(world: World) -> ASGIApp:
    """The providers as one ASGI application that writes down what it receives."""
    more = {
        "google": drive.routes(world.drive, world.players["google"].login),
        "slack": slack.routes(world.slack, world.players["slack"].login),
    }
    mounts = [Mount(f"/{name}", routes=[*player.routes, *more.get(name, ())]) for name, player in world.players.items()]
    return _Recorder(Starlette(routes=mounts), world)


def documents(docs: Iterable[dict[str, Any]], base_url: str) -> list[dict[str, Any]]:
    """The catalog's documents of the played modules, pointing at `base_url`; others are left out."""
    return [_redirected(copy.deepcopy(doc), base_url) for doc in docs if doc.get("module") in services()]


class _Recorder:
    """Passes requests on and keeps a copy of each."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole_body(receive)
        self._world.received.append(_as_received(scope, body))
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Message:
            return next(messages, None) or await receive()

        await self._app(scope, replay, send)


async def _whole_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _as_received(scope: Scope, body: bytes) -> Received:
    return Received(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


def _listener(host: str, port: int) -> socket.socket:
    """Bound and listening before the thread starts, so that nobody needs to wait for it."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise StartRefused(f"the demo's services cannot listen on {host}:{port}: {error.strerror}") from None


def _redirected(doc: dict[str, Any], base_url: str) -> dict[str, Any]:
    """The same document with the provider's addresses replaced."""
    moved: dict[str, Any] = _moved(doc, base_url)
    moved["allowed_hosts"] = [*doc.get("allowed_hosts", []), urlsplit(base_url).netloc]
    return moved


def _moved(value: Any, base_url: str) -> Any:
    if isinstance(value, dict):
        return {key: part if key in _names else _moved(part, base_url) for key, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, base_url) for part in value]
    if isinstance(value, str):
        for origin, prefix in _places.items():
            if value == origin or value.startswith(origin + "/"):
                return base_url + prefix + value.removeprefix(origin)
    return value
