"""HAProxy as it stands before the applications: its pages, its limits, and whom it believes."""

import contextlib
import csv
import json
import signal
import socket
import time

import httpx
import pytest

from deployments.shared.headers import protecting_headers
from taske_ray.launcher import haproxy
from tests.cluster.launcher_service import free_port
from tests.facts import wait_until
from tests.integration.front_door.door import Door

pytestmark = pytest.mark.integration
OURS = protecting_headers(https=False)
JSON = {"content-type": "application/json"}
PLACE = ("http-console", "replica")


def said(door, data, source="127.0.0.1", within_s=10.0):
    """What the door answers to these bytes, until it closes or falls silent."""
    answer = b""
    with contextlib.closing(socket.create_connection(("127.0.0.1", door.port), within_s, (source, 0))) as connection:
        connection.sendall(data)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
                head, separator, body = answer.partition(b"\r\n\r\n")
                length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"")
                if separator and length and len(body) >= int(length.partition(b":")[2]):
                    break
    return answer


def is_ours(answer, status, code):
    """A problem with every protecting header, the request's id in both places, and no server's name."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert OURS.items() <= dict(answer.headers).items()
    assert "server" not in answer.headers
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"/problems/{code}")
    assert problem["instance"] == answer.request.url.raw_path.decode()
    assert problem["request_id"]
    return problem


def test_answers_of_every_origin_look_alike(door):
    """The application, our rules and Serve's own lines of text: the same headers, the same kind of problem."""
    seen = httpx.get(f"{door.url}/seen")
    assert (seen.status_code, OURS.items() <= dict(seen.headers).items()) == (200, True)
    assert "server" not in seen.headers
    is_ours(httpx.get(f"{door.url}/nothing"), 404, "not_found")
    is_ours(httpx.get(f"{door.url}/-/routes"), 404, "not_found")
    is_ours(httpx.get(f"{door.url}/%2d/healthz"), 404, "not_found")
    is_ours(httpx.get(f"{door.url}/serve/404"), 404, "not_found")
    is_ours(httpx.get(f"{door.url}/serve/408"), 408, "request_timeout")
    is_ours(httpx.get(f"{door.url}/serve/500"), 500, "internal")
    overloaded = httpx.get(f"{door.url}/serve/503")
    assert is_ours(overloaded, 503, "unavailable")["request_id"] == overloaded.headers["x-request-id"]
    assert overloaded.headers["retry-after"] == str(haproxy.RETRY_AFTER_S)


def test_without_a_replica_the_page_says_when_to_come_back(tmp_path):
    """A replica that has gone is 503 with Retry-After and a request id, with HSTS where the public address is https."""
    door = Door(tmp_path, free_port(), free_port(), TASKE_PUBLIC_URL="https://taske.example").open()
    try:
        door.replica.kill()
        door.replica.wait()
        answer = httpx.get(f"{door.url}/a%22b", timeout=30)
        is_ours(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == str(haproxy.RETRY_AFTER_S)
        assert answer.headers["strict-transport-security"] == haproxy.HSTS
        hook = httpx.post(f"{door.url}/hooks/very-secret-token", timeout=30)
        assert (hook.status_code, hook.json()["instance"]) == (503, "/hooks/…")
        assert "very-secret" not in hook.text
    finally:
        door.close()


def test_a_replica_that_hangs_keeps_nobody_waiting(tmp_path):
    """It is left out after two missed checks: who waits is cut off by then, who comes later gets the page."""
    door = Door(tmp_path, free_port(), free_port()).open(short_waits=True)
    try:
        assert httpx.get(f"{door.url}/seen").status_code == 200
        door.replica.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{door.url}/seen", timeout=30)
        assert time.monotonic() - began < 10
        is_ours(httpx.get(f"{door.url}/seen", timeout=30), 503, "unavailable")
        door.replica.send_signal(signal.SIGCONT)
        wait_until(lambda: httpx.get(f"{door.url}/seen", timeout=30).status_code == 200, 10, "being served again")
    finally:
        door.close()


def test_the_real_configuration_repeats_only_what_was_not_delivered(door):
    """What Serve rendered and HAProxy runs on says so once, for every backend."""
    lines = (line.strip() for line in (door.folder / "haproxy.cfg").read_text().splitlines())
    assert [line for line in lines if line.startswith("retry-on")] == ["retry-on conn-failure"]


def test_the_application_knows_how_long_a_request_took_to_arrive(door):
    """A head and a body that were waited for count, also of a client that says otherwise; a later request's do not."""
    from deployments.shared import intake

    assert intake._taken_ms == haproxy.TAKEN_MS
    pieces = (b"GET /seen HTTP/1.1\r\nx-taske-taken-ms: 0\r\nho", b"st: x\r\ncontent-length: 2\r\n\r\n{", b"}")
    with contextlib.closing(socket.create_connection(("127.0.0.1", door.port), 10)) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.3)  # what is measured
        slow = _taken(connection)
        connection.sendall(b"".join(pieces))
        assert slow >= 600 > _taken(connection) + 300


def _taken(connection):
    """What the next answer says the application was told."""
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
        answer += connection.recv(65536)
    return int(json.loads(answer.partition(b"\r\n\r\n")[2])["headers"][haproxy.TAKEN_MS])


def test_pages_and_applications_agree():
    """What HAProxy puts on its pages is what the applications put on their answers."""
    assert protecting_headers(https=True) == haproxy.PROTECTING | {"strict-transport-security": haproxy.HSTS}


@pytest.mark.parametrize(
    ("fields", "target", "status"),
    [
        ([("a", "b")] * 96, "/seen", 200),  # with host, accept, accept-encoding, user-agent: 100
        ([("a", "b")] * 97, "/seen", 431),
        ([("a", "b")] * 900, "/seen", 431),
        ([("a", "b" * 32_000)], "/seen", 200),
        ([("a", "b" * 33_000)], "/seen", 431),
        ([("a", "b" * 100_000)], "/seen", 431),
        ([], "/seen?" + "x" * 8_100, 200),
        ([], "/seen?" + "x" * 8_200, 431),
        ([], "/seen?" + "x" * 100_000, 431),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, list | str) else value,
)
def test_heads_are_bounded(door, fields, target, status):
    """32 KiB and 100 fields, 8 KiB of target; beyond that 431, which says what the bounds are."""
    with httpx.Client(headers={"accept-encoding": "identity", "connection": "keep-alive"}) as client:
        del client.headers["connection"]
        request = client.build_request("GET", door.url + target.partition("?")[0], headers=fields)
        answer = said(
            door,
            f"GET {target} HTTP/1.1\r\n".encode()
            + b"".join(name + b": " + value + b"\r\n" for name, value in request.headers.raw)
            + b"\r\n",
        )
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:300]
    if status == 431:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "headers_too_large"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST /take HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"POST /take HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /se\x00en HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /seen HTTP/1.1\r\nhost: x\r\na: \x00\r\n\r\n",
    ],
)
def test_what_is_not_http_goes_no_further(door, request_):
    """Broken heads, ambiguous lengths and other protocols are 400, and the replica hears nothing of them."""
    assert said(door, request_).startswith(b"HTTP/1.1 400 ")


def test_a_second_request_cannot_hide_in_the_first(door):
    """With both lengths given the chunks count, and the connection is not used for what follows."""
    smuggled = (
        b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n"
        b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /seen HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    answer = said(door, smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'"client"' not in answer


def test_forged_addresses_are_ignored_and_the_true_one_arrives(door):
    """Whatever a client says about itself, the application sees where it is; also one of several on this machine."""
    forged = "".join(
        f"{name}: 6.6.6.6\r\n"
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "x_forwarded_for", "X-Client-IP")
    )
    request = f"GET /seen HTTP/1.1\r\nhost: x\r\n{forged}X-Request-Timeout-Seconds: 0.001\r\nUpgrade: websocket\r\n\r\n"
    for source in ("127.0.0.1", "127.0.0.2"):
        answer = said(door, request.encode(), source)
        seen = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert seen["client"] == source
        assert "6.6.6.6" not in json.dumps({**seen["headers"], "x_forwarded_for": ""})
        assert not {"x-request-timeout-seconds", "upgrade"} & seen["headers"].keys()


def test_a_trusted_proxy_speaks_for_its_clients(tmp_path):
    """The last address that a trusted proxy wrote is believed, and only from there."""
    environ = {haproxy.TRUSTED_PROXIES: "127.0.0.3", "FORWARDED_ALLOW_IPS": "127.0.0.1,127.0.0.3"}
    door = Door(tmp_path, free_port(), free_port(), **environ).open()
    request = b"GET /seen HTTP/1.1\r\nhost: x\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n\r\n"
    try:
        clients = [
            json.loads(said(door, request, source).partition(b"\r\n\r\n")[2])["client"]
            for source in ("127.0.0.3", "127.0.0.2")
        ]
    finally:
        door.close()
    assert clients == ["203.0.113.7", "127.0.0.2"]


def test_only_deliveries_name_themselves(door):
    """A request is named by us; a delivery keeps its own name, unless that is no name but an attack."""
    own = {"x-request-id": "delivery-4711"}
    assert httpx.get(f"{door.url}/seen", headers=own).json()["headers"]["x-request-id"] != "delivery-4711"
    assert httpx.get(f"{door.url}/hooks/x", headers=own).json()["request_id"] == "delivery-4711"
    for name in (b"\xff\xff\xff\xff\xff\xff\xff\xff", b"<script>alert(1)</script>", b"x" * 65, b"short"):
        answer = httpx.get(f"{door.url}/hooks/x", headers={"x-request-id": name})
        assert answer.status_code == 404
        assert answer.json()["request_id"].encode() != name


def test_head_answers_like_get_without_the_body(door):
    """HEAD has the status, the length and the headers of GET; where there is no GET it is 405."""
    got, head = httpx.get(f"{door.url}/nothing"), httpx.head(f"{door.url}/nothing")
    assert (head.status_code, head.content) == (404, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert httpx.head(f"{door.url}/seen").status_code == 200
    assert httpx.head(f"{door.url}/take").headers["allow"] == "POST"
    assert httpx.post(f"{door.url}/seen").headers["allow"] == "GET, HEAD"


def test_bodies_are_bounded_however_they_come(door):
    """1 MiB and not a byte more, whether the length is stated or the body comes in chunks; nothing compressed."""

    def chunks(size):
        yield from (b"1" * 1000 for _ in range(size // 1000))

    exact = b'"' + b"x" * (2**20 - 2) + b'"'
    assert httpx.post(f"{door.url}/take", content=exact, headers=JSON).json() == {"bytes": 2**20}
    for content in (exact + b" ", b"x" * 5_000_000, chunks(1_100_000)):
        answer = httpx.post(f"{door.url}/take", content=content, headers=JSON, timeout=20)
        is_ours(answer, 413, "too_large")
    packed = httpx.post(f"{door.url}/take", content=b"{}", headers=JSON | {"content-encoding": "gzip"})
    is_ours(packed, 415, "unsupported_media_type")


def made(door):
    """How many connections HAProxy has made to the replica of the console."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(door.folder / "a"))
        admin.sendall(b"show stat\n")
        text = b"".join(iter(lambda: admin.recv(65536), b"")).decode().removeprefix("# ")
    [row] = [row for row in csv.DictReader(text.splitlines()) if (row["pxname"], row["svname"]) == PLACE]
    return int(row["connect"])


def test_connections_to_a_replica_are_kept_however_many_senders_there_are(hasty):
    """With most of the door's places taken by senders that rest, thirty requests make hardly a new connection."""
    with contextlib.ExitStack() as resting:
        for _ in range(50):
            sender = resting.enter_context(httpx.Client(base_url=hasty.url))
            assert sender.get("/seen").status_code == 200
        before = made(hasty)
        for _ in range(30):
            assert sender.get("/seen").status_code == 200
        assert made(hasty) - before <= 3
