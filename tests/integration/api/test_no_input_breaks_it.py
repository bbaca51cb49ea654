"""Schemathesis over the whole document: whatever comes in, an answer comes out that is no fault of ours.

The examples are the same each time; `TASKE_TEST_EXAMPLES` asks for more of them.
"""

import asyncio
import os
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from deployments.console.app import document

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]
URL = "http://taske.test"
EXAMPLES = int(os.environ.get("TASKE_TEST_EXAMPLES", "6"))
LAST = ("/auth/me", "/auth/logout", "/auth/not-me", "/auth/password", "/auth/sessions/{session_id}/not-me")
"""What may end the session that asks."""
DOCUMENT = document(URL)
API = schemathesis.openapi.from_dict(DOCUMENT)
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def operations():
    """Every operation, those that end the session at the end."""
    found = [each.ok() for each in API.get_all_operations()]
    return sorted(found, key=lambda each: (each.path.startswith(LAST), each.path, each.method))


@pytest.fixture
async def ask(auth, api, hooks, console, admin):
    """Send a case to the app that its path belongs to, as an administrator, from a thread; the answer."""
    loop = asyncio.get_running_loop()
    places = (("/auth", auth), ("/api/v1", api), ("/hooks", hooks), ("", console))

    def send(method, path, **kwargs):
        client = next(client for prefix, client in places if path.startswith(prefix))
        headers = {**(kwargs.pop("headers", None) or {}), **admin["headers"]}
        sent = client.request(method, f"{URL}{path}", headers=headers, **kwargs)
        return asyncio.run_coroutine_threadsafe(sent, loop).result(60)

    return send


def case_of(case):
    """A generated case in the words of our client."""
    kwargs = case.as_transport_kwargs(base_url=URL)
    headers = {
        name: value.encode("utf-8", "replace") if isinstance(value, str) else value
        for name, value in (kwargs.get("headers") or {}).items()
        if name.lower() not in ("authorization", "content-length", "transfer-encoding")
    }
    body = {name: kwargs[name] for name in ("json", "data") if kwargs.get(name) is not None}
    if isinstance(body.get("data"), bytes | str):
        body = {"content": body["data"]}
    elif not isinstance(body.get("data", {}), dict):
        body = {}
    path = kwargs["url"].removeprefix(URL)
    return {"path": path, "params": kwargs.get("params"), "headers": headers, **body}


def tried(operation, ask, broken):
    """A test of one operation: what it answers with a fault of ours goes to `broken`."""

    @seed(20260101)
    @BOUNDED
    @given(case=operation.as_strategy())
    def holds(case):
        answer = ask(operation.method.upper(), **case_of(case))
        if answer.status_code >= 500:
            broken.append((operation.method, operation.path, answer.status_code, case_of(case)))

    return holds


async def test_no_generated_input_is_our_fault(ask):
    """Every operation with valid and invalid parameters and bodies: never a 5xx, never an exception."""
    broken = []

    def run():
        for operation in operations():
            tried(operation, ask, broken)()

    await asyncio.to_thread(run)
    assert broken == []


ODD = (
    "\0",
    "%",
    "'",
    '"',
    "\\",
    "\uffff",
    "\u202e",
    "\U0001f600",
    "../..",
    "a" * 5000,
    "-1",
    "9" * 400,
    "NaN",
    "\r\nx: y",
)


async def test_odd_text_in_paths_and_queries_is_our_fault_nowhere(ask):
    """Each path and query parameter of each operation with text that breaks parsers: refused, or taken, never a 5xx."""
    broken = []

    def run():
        for operation in operations():
            named = DOCUMENT["paths"][operation.path][operation.method].get("parameters", ())
            for parameter in (each for each in named if each["in"] in ("path", "query")):
                for odd in ODD:
                    path, params = operation.path, {}
                    for each in named:
                        if each["in"] == "path":
                            value = odd if each is parameter else "x"
                            path = path.replace(f"{{{each['name']}}}", quote(value, safe=""))
                    if parameter["in"] == "query":
                        params = {parameter["name"]: odd}
                    if operation.method in ("get", "delete", "head"):
                        answer = ask(operation.method.upper(), path, params=params)
                    else:
                        answer = ask(operation.method.upper(), path, params=params, json={})
                    if answer.status_code >= 500:
                        broken.append((operation.method, operation.path, parameter["name"], odd, answer.status_code))

    await asyncio.to_thread(run)
    assert broken == []
