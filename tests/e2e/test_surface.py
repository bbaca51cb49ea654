"""The service as strangers see it: what answers where, with which headers, to whom, and how often."""

import contextlib
import json
import socket

import httpx
import pytest

from deployments.shared.headers import protecting_headers
from tests.cluster.engine import MANUAL
from tests.cluster.listeners import all_refuse, listeners
from tests.e2e.instance import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120, func_only=True)]
WEBHOOK = {"capability": "system.webhook"}
OURS = protecting_headers(https=False)


def test_every_listener_refuses_strangers(service):
    """Each socket on which a process of the service listens, tried beyond loopback without the token: refused.

    `taske status` names the same sockets.
    """
    found = listeners(service.processes())
    tried = all_refuse(found)
    assert service.port in tried
    seen = json.loads(service.taske("status", "-o", "json").stdout)
    named = {int(place.rpartition(":")[2]) for part in seen["parts"] for place in part["listens"]}
    assert named >= {each.port for each in found}
    assert seen["database"] == "embedded, by a Unix socket"
    opened = {int(place.rpartition(":")[2]) for part in seen["parts"] for place in part["open_to"]}
    assert opened >= {each.port for each in found if each.is_open}


def test_answers_of_every_part_look_alike(service, user):
    """Pages, health, accounts, tasks, hooks, errors, HAProxy's pages: the same headers, one request id, no server."""
    token = {"authorization": f"Bearer {user.key}"}
    with httpx.Client(base_url=service.url) as http:
        for method, path, status in (
            ("GET", "/healthz", 200),
            ("GET", "/docs", 200),
            ("GET", "/openapi.json", 200),
            ("HEAD", "/readyz", 200),
            ("GET", "/nothing", 404),
            ("GET", "/-/routes", 404),
            ("GET", "/-/healthz", 404),
            ("GET", "/metrics", 403),
            ("GET", "/auth/me", 200),
            ("GET", "/auth/nothing", 404),
            ("POST", "/auth/login", 422),
            ("GET", "/api/v1/tasks", 200),
            ("HEAD", "/api/v1/tasks", 200),
            ("DELETE", "/api/v1/tasks", 405),
            ("GET", "/api/v1/runs/run_x", 404),
            ("GET", "/hooks/nothing", 405),
            ("POST", "/hooks/nothing", 404),
            ("GET", "/healthz?" + "x" * 9000, 431),
        ):
            answer = http.request(method, path, headers=token)
            assert answer.status_code == status, (method, path, answer.text)
            different = {name for name, value in OURS.items() if answer.headers.get(name) != value}
            assert different <= {"cache-control", "content-security-policy"}, (path, answer.headers)
            assert answer.headers["content-security-policy"].startswith(OURS["content-security-policy"])
            assert answer.headers["cache-control"] == ("no-cache" if path == "/docs" else "no-store")
            assert "server" not in answer.headers
            assert len(answer.headers.get_list("x-request-id")) == 1
            if status >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_what_clients_say_of_themselves_reaches_nobody(service):
    """A forged address is in no session, no audit and no count; the true one is, also of one of several addresses."""
    service.account("forger@example.com")
    body = json.dumps({"email": "forger@example.com", "password": PASSWORD}).encode()
    request = (
        b"POST /auth/login HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n"
        b"x-request-timeout-seconds: 0.001\r\nx-session-id: \xff\xfe\r\nuser-agent: forged\r\n"
        b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    ) + body
    with contextlib.closing(socket.create_connection(("127.0.0.1", service.port), 20, ("127.0.0.7", 0))) as sent:
        sent.sendall(request)
        answer = b"".join(iter(lambda: sent.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    token = json.loads(answer.partition(b"\r\n\r\n")[2])["access_token"]
    sessions = httpx.get(f"{service.url}/auth/sessions", headers={"authorization": f"Bearer {token}"}).json()["items"]
    [mine] = [each for each in sessions if each["device"] == "forged"]
    assert mine["address"] == "127.0.0.7"


def test_an_address_has_its_count_and_a_token_its_own(service, user):
    """From one address 600 requests a minute without a token; another address and a token go on; deliveries always."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.8")) as stranger:
        statuses = [stranger.get(f"{service.url}/openapi.json").status_code for _ in range(700)]
        assert statuses[:600] == [200] * 600
        assert 429 in statuses
        assert all(stranger.get(f"{service.url}/healthz").status_code == 200 for _ in range(5))
        task = user.task(WEBHOOK, {"capability": "system.delay", "params": {"for": "PT1S"}})
        assert stranger.post(task["trigger"]["hook_url"], json={}).status_code == 202
    assert httpx.get(f"{service.url}/openapi.json").status_code == 200
    assert user.task(MANUAL, {"capability": "system.delay", "params": {"for": "PT1S"}})
