"""A service that takes registrations of webhooks and signs what it sends, and the module that speaks to it."""

import hashlib
import hmac
import json
import socket
import threading
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

BODY = json.dumps({"kind": "order", "id": "o-1"}).encode()


class Shop:
    """A service that takes registrations: `hooks` are those it knows, `asked` what it was sent, in order.

    `once_each`: it refuses an address that it has already.
    """

    def __init__(self):
        self.hooks = {}
        self.asked = []
        self.status = 201
        self.once_each = False

    def routes(self):
        """Register, ask, forget."""
        return [
            Route("/hooks", self.register, methods=["POST"]),
            Route("/hooks", self.list, methods=["GET"]),
            Route("/hooks", self.clear, methods=["DELETE"]),
            Route("/hooks/{id}", self.one, methods=["GET", "DELETE"]),
            Route("/orders", lambda _: JSONResponse([]), methods=["GET"]),
        ]

    async def register(self, request):
        """Keep a registration."""
        wanted = await request.json()
        self.asked.append(("POST", wanted))
        if self.status != 201:
            return JSONResponse({"error": "not now"}, self.status)
        if self.once_each and any(one["url"] == wanted["url"] for one in self.hooks.values()):
            return JSONResponse({"error": "this address is registered"}, 422)
        number = str(len(self.asked))
        self.hooks[number] = wanted
        return JSONResponse({"id": number, "until": wanted.get("until")}, 201)

    async def list(self, _):
        """All that are registered."""
        self.asked.append(("LIST", None))
        return JSONResponse([{"id": number, "url": wanted["url"]} for number, wanted in self.hooks.items()])

    async def clear(self, _):
        """Remove all there are."""
        self.asked.append(("CLEAR", None))
        self.hooks.clear()
        return Response(status_code=204)

    async def one(self, request):
        """Ask for one, or remove it."""
        number = request.path_params["id"]
        self.asked.append((request.method, number))
        if number not in self.hooks:
            return Response(status_code=404)
        if request.method == "DELETE":
            del self.hooks[number]
        return Response(status_code=204 if request.method == "DELETE" else 200)


@contextmanager
def serving(shop):
    """The service's port, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=shop.routes()), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def document(module, port, secrets=("token",), **webhook):
    """The module of that service; its connections hold these secrets."""
    block = {
        "mode": "subscribe",
        "subscribe": {
            "generate": {"secret": {"type": "hex", "bytes": 32}},
            "request": {
                "method": "POST",
                "path": "/hooks",
                "body": {"url": "{{ hook.url }}", "secret": "{{ generated.secret }}", "kind": "{{ params.kind }}"},
            },
            "save": {"id": "{{ response.body.id }}", "secret": "{{ generated.secret }}"},
        },
        "check": {"request": {"path": "/hooks/{id}", "path_params": {"id": "{{ hook.state.id }}"}}},
        "unsubscribe": {
            "request": {"method": "DELETE", "path": "/hooks/{id}", "path_params": {"id": "{{ hook.state.id }}"}}
        },
        "verify": [
            {
                "type": "hmac",
                "secret": "{{ hook.state.secret }}",
                "signed": [{"raw": True}],
                "signature": {"value": "{{ req.headers['x-signature'] }}"},
            }
        ],
        "dedupe_key": "{{ req.body.id }}",
        "output": {"id": "{{ req.body.id }}"},
    }
    return {
        "module": module,
        "name": "Shop",
        "base_url": f"http://127.0.0.1:{port}",
        "auth": [
            {
                "id": "token",
                "type": "bearer",
                "fields": {
                    "type": "object",
                    "required": list(secrets),
                    "properties": {name: {"type": "string", "x-secret": True} for name in secrets},
                },
            }
        ],
        "capabilities": [
            {
                "capability": f"{module}.order",
                "kind": "trigger",
                "name": "Order",
                "params": {"type": "object", "properties": {"kind": {"type": "string"}}},
                "webhook": block | webhook,
            },
            {
                "capability": f"{module}.order.new",
                "kind": "trigger",
                "name": "New order",
                "request": {"path": "/orders"},
                "response": {"items": "{{ response.body }}"},
                "poll": {"key": "{{ item.id }}"},
            },
        ],
    }


def signed(secret, body=BODY):
    """The service's signature."""
    return {
        "x-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "content-type": "application/json",
    }
