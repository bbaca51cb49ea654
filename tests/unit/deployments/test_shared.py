"""What all apps do alike: problems, permissions, the front, and starting late."""

import inspect
from dataclasses import replace
from typing import get_args
from uuid import UUID

import httpx
import pytest
from starlette.responses import Response

from deployments.console.app import document
from deployments.shared.application import Appearance, new_app, router
from deployments.shared.gate import Gate, Permission, needs
from deployments.shared.late import LateApp
from deployments.shared.problems import pointer, status_of, statuses
from deployments.shared.replicas import options
from taske_ray import errors
from taske_ray.errors import Forbidden, NotFound, TaskeError, TooManyRequests, Unauthenticated
from taske_ray.services.principal import Principal

somebody = UUID(int=1)
ERRORS = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, TaskeError)]


class FakeAuthentication:
    """Knows one token."""

    async def authenticate(self, authorization):
        """Who sends `Bearer good`."""
        if authorization != "Bearer good":
            raise Unauthenticated
        return Principal(somebody, "mina@example.com", "user", "en", None, somebody, ("read",))


shared = router()


@shared.get("/open", openapi_extra=needs("public"))
async def open_route():
    return Response("open")


@shared.get("/mine", openapi_extra=needs("read"))
async def mine():
    return Response("mine")


@shared.post("/mine", openapi_extra=needs("write"))
async def change():
    return Response("changed")


@shared.get("/late", openapi_extra=needs("public"))
async def later():
    raise TooManyRequests(retry_after_s=7)


@shared.get("/broken", openapi_extra=needs("public"))
async def broken():
    raise RuntimeError("secret detail")


def client(**more):
    appearance = Appearance("https://x.example", b"k", **more)
    app = new_app("test", gate=Gate(FakeAuthentication()), appearance=appearance, routers=[shared])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://x.example")


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: one.__name__)
def test_every_error_has_a_status(error):
    """Each class has a row of its own or an ancestor's, and private ones have a child that does."""
    assert error.__name__.startswith("_") or status_of(error.__new__(error)) in range(400, 600)


def test_only_faults_of_ours_are_500():
    """A refusal that users cause is never a 500."""
    assert {kind for kind, status in statuses.items() if status == 500} == {TaskeError, errors.StartRefused}


def test_pointers_are_escaped():
    """RFC 6901: ~ and / in names are written ~0 and ~1."""
    assert pointer(["a/b", 0, "c~d"]) == "/a~1b/0/c~0d"


async def test_permissions_are_checked_before_the_route():
    """No token is 401, a token without the scope 403, a good one passes; public routes need none."""
    async with client() as http:
        good = {"authorization": "Bearer good"}
        assert (await http.get("/open")).status_code == 200
        assert (await http.get("/mine")).status_code == 401
        assert (await http.get("/mine")).headers["www-authenticate"] == "Bearer"
        assert (await http.get("/mine", headers=good)).status_code == 200
        assert (await http.post("/mine", headers=good)).status_code == 403


async def test_answers_protect_browsers_and_say_when_to_come_back():
    """Security headers on everything, HSTS under https, Retry-After on 429."""
    async with client() as http:
        answer = await http.get("/late")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        for found in (answer, await http.get("/nothing")):
            assert found.headers["x-content-type-options"] == "nosniff"
            assert found.headers["strict-transport-security"]
            assert found.headers["cache-control"] == "no-store"


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


@pytest.mark.parametrize("origin", ["https://app.example.evil.test", "https://evil.test", "null", "http://app.example"])
async def test_other_origins_get_nothing(origin):
    """Only exactly the configured origins are named, never what was asked for, never `null`, never `*`."""
    async with client(cors_origins=("https://app.example",)) as http:
        refused = await http.options("/mine", headers=PREFLIGHT | {"origin": origin})
        assert (refused.status_code, refused.json()["code"]) == (400, "refused")
        for answer in (refused, await http.get("/open", headers={"origin": origin})):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


async def test_a_configured_origin_may_call_with_a_token():
    """Preflight and call name the origin, allow no cookies, and answers differ by origin and by caller."""
    headers = {"origin": "https://app.example"}
    async with client(cors_origins=("https://app.example",)) as http:
        asked = await http.options("/mine", headers=PREFLIGHT | headers)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://app.example")
        for answer in (
            await http.get("/open", headers=headers),
            await http.get("/mine", headers=headers),
            await http.get("/nothing", headers=headers),
        ):
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            assert "access-control-allow-credentials" not in answer.headers
            assert {"Origin", "Authorization"} <= {part.strip() for part in answer.headers["vary"].split(",")}
    async with client() as http:
        assert (await http.options("/mine", headers=PREFLIGHT | headers)).status_code == 405


async def test_head_is_get_without_a_body():
    """Status, headers and length of GET, no body; a path without GET names what it has."""
    async with client() as http:
        got, head = await http.get("/open"), await http.head("/open")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "4")
        assert head.headers.keys() == got.headers.keys()
        assert (await http.head("/mine")).status_code == 401
        assert (await http.put("/mine")).headers["allow"] == "GET, HEAD, POST"


async def test_identity_comes_from_the_token_alone():
    """Headers and parameters that claim to be somebody, as proxies of other products send them, change nothing."""
    claims = {
        name: str(somebody)
        for name in ("x-user-id", "x-forwarded-user", "x-remote-user", "remote-user", "x-tenant-id", "x-user-role")
    }
    async with client() as http:
        for query in ("", "?access_token=good", "?token=good", "?api_key=good", f"?user_id={somebody}"):
            assert (await http.get(f"/mine{query}", headers=claims)).status_code == 401
        assert (await http.get("/mine", headers=claims | {"cookie": "access_token=good"})).status_code == 401


async def test_what_breaks_tells_nothing():
    """An unexpected error is a generic 500 with the request id only."""
    async with client() as http:
        answer = await http.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_request_id_from_the_server_around_us_is_used_and_not_repeated():
    """Serve names requests and puts the name on the answer itself: ours is the same, and does not stand there twice."""
    async with client() as http:
        given = await http.get("/nothing", headers={"x-request-id": "9da33f02-53bc-4838-99ea-7c8d58d7e22c"})
        strange = await http.get("/nothing", headers={"x-request-id": "<script>"})
    assert given.json()["request_id"] == "9da33f02-53bc-4838-99ea-7c8d58d7e22c"
    assert "x-request-id" not in given.headers
    assert strange.json()["request_id"] == strange.headers["x-request-id"] != "<script>"


def test_a_route_without_a_permission_cannot_be_built():
    """Forgetting needs(…) fails at import, not at night."""
    with pytest.raises(RuntimeError, match="permission"):
        router().get("/x")(open_route)


def test_every_operation_names_its_permission():
    """The whole document: each operation has a permission and says so in its security."""
    for path, operations in document("http://x.example")["paths"].items():
        for method, operation in operations.items():
            assert operation["x-permission"] in get_args(Permission), path
            assert method == "get" or operation["x-permission"] != "read" or path.endswith("/plan"), path


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        (("user", True, ("read", "write")), {"read", "write", "session"}),
        (("user", False, ("read",)), {"read"}),
        (("admin", True, ("read", "write")), {"read", "write", "session", "operator", "admin"}),
        (("admin", False, ("read",)), {"read", "operator"}),
    ],
)
def test_who_may_do_what(principal, allowed):
    """Scopes, sessions and roles each open what they should and nothing else."""
    role, session, scopes = principal
    caller = Principal(somebody, "a@b.c", role, "en", somebody if session else None, None, scopes)
    for permission in ("read", "write", "session", "operator", "admin"):
        try:
            caller.require(permission)
        except Forbidden:
            assert permission not in allowed
        else:
            assert permission in allowed


def test_what_protects_an_account_needs_a_recent_proof():
    """A session may change the account's protection only soon after its user proved who they are; a key never may."""
    session = Principal(somebody, "a@b.c", "user", "en", somebody, None, ("read", "write"))
    with pytest.raises(Forbidden) as refused:
        session.require("recent")
    assert refused.value.code == "reauthentication_required"
    replace(session, recent=True).require("recent")
    with pytest.raises(Forbidden) as refused:
        replace(session, session_id=None, key_id=somebody).require("recent")
    assert refused.value.code == "session_required"


async def test_an_app_is_opened_at_the_start_and_closed_at_the_end():
    """The lifespan opens the app, passes requests on, and closes what was opened; a failure is told."""
    steps = []

    async def answering(_scope, _receive, send):
        await send({"type": "answered"})

    async def open_app(stack):
        stack.callback(lambda: steps.append("closed"))
        return answering

    app = LateApp(open_app)
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        return next(messages)

    async def send(message):
        steps.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            await app({"type": "http"}, receive, send)

    await app({"type": "lifespan"}, receive, send)
    assert steps == ["lifespan.startup.complete", "answered", "closed", "lifespan.shutdown.complete"]


async def test_an_app_that_cannot_open_says_so():
    """A failing start ends with startup.failed, so that the server gives up on this process."""
    sent = []

    async def open_app(_stack):
        raise NotFound("no database")

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    await LateApp(open_app)({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


def test_replicas_are_bounded():
    """Every replica has a bounded queue."""
    assert options("x")["max_queued_requests"] > 0
