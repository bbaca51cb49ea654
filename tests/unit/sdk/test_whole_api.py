"""The SDK offers what the service has: every operation of the OpenAPI document, on both faces."""

import asyncio
import inspect
import re
from datetime import UTC, datetime

import httpx
import pytest

from deployments.console.app import document
from taske_ray import AsyncTaske, Taske
from taske_ray.errors import TaskeError

FOR_BROWSERS = {
    "GET /auth/login/{provider}",
    "GET /auth/login/{provider}/callback",
    "GET /api/v1/connections/callback",
}
FOR_PROGRAMS_THAT_VERIFY = {"GET /auth/jwks.json"}
OF_A_MAIL = {"POST /auth/not-me"}
"""Its link opens a page."""
BY_ITSELF = {"POST /auth/refresh"}
OPERATIONS = {
    f"{verb.upper()} {path}"
    for path, verbs in document("http://taske.test")["paths"].items()
    for verb in verbs
    if path.startswith(("/auth", "/api/v1"))
}
INSTANT = datetime(2027, 1, 1, tzinfo=UTC)
FACES = [
    "account", "api_keys", "app_webhooks", "audit", "capabilities", "connections", "instance_connections", "modules",
    "oauth_clients", "runs", "tasks", "users",
]  # fmt: skip


def given(parameter):
    """A value for a parameter that has no default."""
    if "datetime" in str(parameter.annotation):
        return INSTANT
    if parameter.name == "decision":
        return "fail"
    if parameter.name == "version":
        return 1
    plain = parameter.annotation is str or "str" in str(parameter.annotation)[:12]
    return "x" if plain else {"module": "x", "name": "x"}


def arguments(method):
    """What a method has to be called with; more than that where only that sends another request."""
    wanted = inspect.signature(method).parameters.values()
    found = {one.name: given(one) for one in wanted if one.default is one.empty and one.kind is not one.VAR_KEYWORD}
    return found | ({"module": "x"} if method.__name__ == "authorize" else {})


def calls(taske):
    """Every method of every face, and once more the one whose address depends on what is asked."""
    for face in FACES:
        for name, method in inspect.getmembers(getattr(taske, face), inspect.ismethod):
            if not name.startswith("_"):
                yield method, arguments(method)
    yield taske.audit.list, {"everybody": True}


class Refusing:
    """A service that writes down what it is asked, and refuses."""

    def __init__(self):
        self.asked = set()

    def __call__(self, request):
        """Write it down."""
        self.asked.add(f"{request.method} {request.url.path}")
        return httpx.Response(400, json={})


def of_the_synchronous_face():
    service = Refusing()
    with Taske("http://taske.test", "k", transport=httpx.MockTransport(service), retries=0) as taske:
        for method, values in calls(taske):
            try:
                answer = method(**values)
                if inspect.isgenerator(answer):
                    list(answer)
            except TaskeError:
                pass
    return service.asked


async def of_the_asynchronous_face():
    service = Refusing()
    async with AsyncTaske("http://taske.test", "k", transport=httpx.MockTransport(service), retries=0) as taske:
        for method, values in calls(taske):
            try:
                answer = method(**values)
                if inspect.isasyncgen(answer):
                    [one async for one in answer]
                else:
                    await answer
            except TaskeError:
                pass
    return service.asked


def operations(asked):
    """The operations that these requests are, most literal first; what is none stays as it is."""
    patterns = {op: re.sub(r"\{\w+\}", "[^/]+", op) for op in sorted(OPERATIONS, key=lambda op: op.count("{"))}
    return {next((op for op, like in patterns.items() if re.fullmatch(like, one)), one) for one in asked}


@pytest.mark.parametrize("face", ["synchronous", "asynchronous"])
def test_every_operation_has_a_call(face):
    """What the service offers to programs the SDK has, and it asks for nothing that the service does not know."""
    asked = of_the_synchronous_face() if face == "synchronous" else asyncio.run(of_the_asynchronous_face())
    assert operations(asked) == OPERATIONS - FOR_BROWSERS - FOR_PROGRAMS_THAT_VERIFY - OF_A_MAIL - BY_ITSELF


@pytest.mark.parametrize("face", FACES)
def test_both_faces_offer_the_same(face):
    """Every method of a synchronous face exists, with the same parameters, on the asynchronous one."""

    def shape(taske):
        public = inspect.getmembers(getattr(taske, face), inspect.ismethod)
        return {name: [*inspect.signature(one).parameters] for name, one in public if not name.startswith("_")}

    assert shape(Taske("http://taske.test", "k")) == shape(AsyncTaske("http://taske.test", "k"))


def test_no_face_is_left_out():
    """A face that a client gets is tried here."""
    faces = {name for name in vars(Taske("http://taske.test", "k")) if not name.startswith("_")} - {"url"}
    assert faces == set(FACES)
