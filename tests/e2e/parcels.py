"""A service that nobody coded for: it gives tokens that end, lists by pages, limits, and signs webhooks."""

import base64
import hashlib
import hmac
import json
import socket
import threading
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "taske", "c1ient-s3cret-of-parcels"
_page = 2


class Parcels:
    """What it knows: `tokens` counts those it gave, `parcels` are listed, `made` were made, `hooks` are registered."""

    def __init__(self):
        self.tokens = 0
        self.live = ""
        self.busy_next = 0
        self.busy = 0
        self.parcels = []
        self.made = []
        self.hooks = {}

    @property
    def allow(self):
        """The entry of TASKE_EGRESS_ALLOW that opens it."""
        return f"127.0.0.1:{self.port}"

    def end_token(self):
        """The token that is out there is worth nothing any more."""
        self.live = ""

    def ship(self, number):
        """Say by webhook that a parcel was shipped; the answers."""
        body = json.dumps({"event": "shipped", "id": f"ev-{number}", "parcel": number}).encode()
        answers = []
        for hook in self.hooks.values():
            signature = hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
            headers = {"x-parcels-signature": signature, "content-type": "application/json"}
            answers.append(httpx.post(hook["url"], content=body, headers=headers, timeout=20).status_code)
        return answers

    async def token(self, request):
        """Client credentials, by Basic."""
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {wanted}":
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens += 1
        self.live = f"t0ken-number-{self.tokens}"
        return JSONResponse({"access_token": self.live, "token_type": "bearer", "expires_in": 3600})

    def refused(self, request: Request) -> Response | None:
        """401 without the token that is good now; 429 while it is busy."""
        if not self.live or request.headers.get("authorization") != f"Bearer {self.live}":
            return JSONResponse({"error": "invalid_token"}, 401)
        if self.busy_next:
            self.busy_next -= 1
            self.busy += 1
            return JSONResponse({"error": "slow down"}, 429, {"retry-after": "1"})
        return None

    async def list(self, request):
        """A page of the parcels from a moment on."""
        if (refused := self.refused(request)) is not None:
            return refused
        found = [one for one in self.parcels if one["at"] >= request.query_params["since"]]
        start = int(request.query_params.get("start", 0))
        following = start + _page if start + _page < len(found) else None
        return JSONResponse({"parcels": found[start : start + _page], "next": following})

    async def make(self, request):
        """A parcel."""
        if (refused := self.refused(request)) is not None:
            return refused
        self.made.append((request.headers["idempotency-key"], await request.json()))
        return JSONResponse({"number": len(self.made)}, 201)

    async def register(self, request):
        """A webhook."""
        if (refused := self.refused(request)) is not None:
            return refused
        number = str(len(self.hooks) + 1)
        self.hooks[number] = await request.json()
        return JSONResponse({"id": number}, 201)

    async def forget(self, request):
        """A webhook's end."""
        if (refused := self.refused(request)) is not None:
            return refused
        self.hooks.pop(request.path_params["id"], None)
        return Response(status_code=204)


@contextmanager
def parcels():
    """The service, in a thread of its own."""
    found = Parcels()
    routes = [
        Route("/token", found.token, methods=["POST"]),
        Route("/parcels", found.list, methods=["GET"]),
        Route("/parcels", found.make, methods=["POST"]),
        Route("/hooks", found.register, methods=["POST"]),
        Route("/hooks/{id}", found.forget, methods=["DELETE"]),
    ]
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    found.port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield found
    server.should_exit = True
    thread.join()


def document(base):
    """Its module: everything that Taske knows of it."""
    return {
        "module": "parcels",
        "name": "Parcels",
        "base_url": base,
        "auth": [
            {
                "id": "app",
                "type": "oauth2_client_credentials",
                "oauth": {"token_url": f"{base}/token", "client_auth": "basic"},
            }
        ],
        "capabilities": [
            {
                "capability": "parcels.make",
                "kind": "action",
                "name": "Make a parcel",
                "params": {
                    "type": "object",
                    "required": ["to"],
                    "additionalProperties": False,
                    "properties": {"to": {"type": "string"}},
                },
                "request": {"method": "POST", "path": "/parcels", "body": {"to": "{{ params.to }}"}},
                "response": {"output": {"number": "{{ response.body.number }}"}},
                "idempotency": {"class": "keyed"},
            },
            {
                "capability": "parcels.new",
                "kind": "trigger",
                "name": "New parcel",
                "request": {"path": "/parcels", "query": {"since": "{{ cursor.from }}"}},
                "pagination": {
                    "type": "cursor",
                    "next": "{{ response.body.next }}",
                    "send": {"in": "query", "name": "start"},
                },
                "response": {"items": "{{ response.body.parcels }}", "item": {"number": "{{ item.number }}"}},
                "poll": {
                    "min_every": "PT1S",
                    "key": "{{ item.number }}",
                    "cursor": {"type": "timestamp", "value": "{{ item.at }}", "lookback": "PT1H", "order": "asc"},
                },
            },
            {
                "capability": "parcels.shipped",
                "kind": "trigger",
                "name": "Shipped",
                "webhook": {
                    "mode": "subscribe",
                    "subscribe": {
                        "generate": {"secret": {"type": "hex", "bytes": 32}},
                        "request": {
                            "method": "POST",
                            "path": "/hooks",
                            "body": {"url": "{{ hook.url }}", "secret": "{{ generated.secret }}"},
                        },
                        "save": {"id": "{{ response.body.id }}", "secret": "{{ generated.secret }}"},
                    },
                    "unsubscribe": {
                        "request": {
                            "method": "DELETE",
                            "path": "/hooks/{id}",
                            "path_params": {"id": "{{ hook.state.id }}"},
                        }
                    },
                    "verify": [
                        {
                            "type": "hmac",
                            "secret": "{{ hook.state.secret }}",
                            "signed": [{"raw": True}],
                            "signature": {"value": "{{ req.headers['x-parcels-signature'] }}"},
                        }
                    ],
                    "dedupe_key": "{{ req.body.id }}",
                    "output": {"parcel": "{{ req.body.parcel }}"},
                },
            },
        ],
    }
