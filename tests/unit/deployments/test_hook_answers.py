"""What the hooks app sends back: JSON or plain text, protected, whatever a module's answer would like to be."""

from types import SimpleNamespace

import httpx
import pytest

from deployments.hooks_api.app import create_app
from taske_ray.clock import SystemClock
from taske_ray.services.deliveries import Received

TOKEN = "A" * 43


async def _post(received, path=f"/{TOKEN}", method="POST", headers=None):
    """The answer of an app whose every delivery is received like this."""
    seen = []

    async def accept(token, delivery):
        seen.append((token, delivery))
        return received

    app = create_app(SimpleNamespace(accept=accept), clock=SystemClock(), url="https://taske.example")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://taske.example") as client:
        return await client.request(method, path, content=b"{}", headers=headers), seen


@pytest.mark.parametrize(
    ("body", "headers", "kind"),
    [
        ({"a": 1}, None, "application/json"),
        ("challenge", None, "text/plain; charset=utf-8"),
        ("<script>alert(1)</script>", {"Content-Type": "text/html"}, "text/plain; charset=utf-8"),
        ({"a": "<b>"}, {"content-type": "image/svg+xml", "X-Hook-Secret": "s"}, "application/json"),
        (None, {"Set-Cookie": "a=b", "Location": "https://evil.example", "Refresh": "0"}, "application/json"),
        ("x", {"Content-Security-Policy": "default-src *", "X-Content-Type-Options": "x"}, "text/plain; charset=utf-8"),
    ],
)
async def test_answers_are_never_pages(body, headers, kind):
    """No HTML, no cookie, no redirect, `nosniff` and a sandboxing policy; other headers of a module pass."""
    answer, _ = await _post(Received(202, body, headers))
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not {"set-cookie", "location", "refresh"} & set(answer.headers)
    assert answer.headers.get("x-hook-secret") == (headers or {}).get("X-Hook-Secret")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_only_post_delivers(method):
    """Everything else is 405 and nobody hears of it."""
    answer, seen = await _post(Received(202, {}), method=method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert not seen


@pytest.mark.parametrize(
    "path",
    [f"/{TOKEN}/", f"//{TOKEN}", f"/%41{TOKEN[1:]}", f"/{TOKEN};a=b", f"/{TOKEN}%00", f"/{TOKEN}%20", "/",
     f"/{TOKEN[:20]}", f"/{TOKEN}{TOKEN}{TOKEN}", f"/{TOKEN}.json"],
)  # fmt: skip
async def test_no_other_spelling_reaches_a_hook(path):
    """The token is the whole route (security, 12.1)."""
    answer, seen = await _post(Received(202, {}), path)
    assert answer.status_code == 404
    assert not seen
    assert TOKEN[1:30] not in answer.text


async def test_a_run_sees_the_senders_headers_only():
    """What the front door says to the application is no part of a delivery."""
    headers = {"x-taske-taken-ms": "1", "x-request-disconnect-disabled": "?1", "x-mine": "2"}
    _, [(_, delivery)] = await _post(Received(202, {}), headers=headers)
    assert delivery.headers["x-mine"] == "2"
    assert not {"x-taske-taken-ms", "x-request-disconnect-disabled"} & delivery.headers.keys()
