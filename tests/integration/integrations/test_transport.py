"""The outgoing client against a server that misbehaves on purpose."""

import asyncio
import gzip
import socket
import ssl
import tracemalloc
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from taske_ray.core.http import HttpRequest
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused
from taske_ray.integrations.transport import Transport
from tests.integration.integrations.conftest import fixed, reply, serving

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def _send(transport, request, timeout_s=5.0):
    return await transport.send(request, timeout_s=timeout_s)


async def test_sends_and_reads(transport):
    """Method, path, query, headers and body arrive as written, and the answer comes back whole."""
    async with serving(fixed(reply(b'{"a":1}', "Content-Type: application/json", "X-Two: b"))) as server:
        response = await _send(
            transport, server.request("POST", "/p%2Fq?x=%201&y=%C3%A9", headers={"x-one": "é"}, body=b"hello")
        )
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /p%2Fq?x=%201&y=%C3%A9 HTTP/1.1")
    assert "x-one: é".encode() in head
    assert body == b"hello"
    assert (response.status, response.body, response.headers["x-two"]) == (200, b'{"a":1}', "b")


async def test_connections_are_kept(transport):
    """Two requests in a row use one connection."""
    async with serving(fixed(reply())) as server:
        for _ in range(3):
            await _send(transport, server.request())
    assert server.connections == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kept", [False, True])
async def test_closed_without_an_answer_is_unknown(transport, method, kept):
    """A server that reads the request and closes got it exactly once, and we say that we do not know."""
    answered = 0 if kept else 1

    async def answer(_, writer):
        nonlocal answered
        if answered:
            writer.close()
        else:
            writer.write(reply())
            answered = 1

    async with serving(answer) as server:
        if kept:
            await _send(transport, server.request())
        with pytest.raises(MaybeSent):
            await _send(transport, server.request(method, body=b"x" if method in ("POST", "PUT") else None))
    assert len(server.received) == (2 if kept else 1)


async def test_refused_connection_is_not_sent(transport):
    """Nobody listens: nothing left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent) as raised:
            await _send(transport, HttpRequest("POST", f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert raised.value.code == "connect_failed"


async def test_failed_tls_is_not_sent(transport):
    """A server that does not speak TLS never sees the request."""
    async with serving(fixed(reply())) as server:
        with pytest.raises(NotSent):
            await _send(transport, HttpRequest("POST", f"https://127.0.0.1:{server.port}/", body=b"secret"))
    assert not server.received


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a certificate of its for `api.example.com`: paths of the two, the second with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = _certificate("authority", None, folder / "ca.pem")
    _certificate("api.example.com", authority, folder / "api.pem")
    return folder / "ca.pem", folder / "api.pem"


def _certificate(name, issuer, path):
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (own, key)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name, own, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + text)
    return own, key


@pytest.mark.parametrize(
    ("name", "trusted", "reached"),
    [("api.example.com", True, True), ("other.example.com", True, False), ("api.example.com", False, False)],
)
async def test_tls_is_for_the_name_in_the_url(certificates, name, trusted, reached):
    """The certificate must be for the host of the URL and from somebody trusted, wherever the name leads."""
    authority, own = certificates

    async def lookup(_host, _port):
        return ["127.0.0.1"]

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own)
    async with serving(fixed(reply()), ssl=context) as server:
        transport = Transport(guard=EgressGuard(["127.0.0.0/8"]), lookup=lookup)
        if trusted:
            transport._usual.ssl_context.load_verify_locations(authority)
        request = HttpRequest("GET", f"https://{name}:{server.port}/")
        if reached:
            assert (await _send(transport, request)).status == 200
        else:
            with pytest.raises(NotSent) as raised:
                await _send(transport, request)
            assert raised.value.code == "tls_failed"
        await transport.close()
    assert len(server.received) == reached


async def test_a_hang_ends_at_the_deadline(transport):
    """No answer at all is unknown once the time is over."""

    async def answer(_, __):
        await asyncio.Event().wait()

    async with serving(answer) as server:
        with pytest.raises(MaybeSent):
            await _send(transport, server.request("POST"), timeout_s=0.2)


async def test_a_trickle_ends_at_the_deadline(transport):
    """A byte now and then does not move the deadline."""

    async def answer(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(answer) as server:
        started = asyncio.get_running_loop().time()
        with pytest.raises(MaybeSent):
            await _send(transport, server.request(), timeout_s=0.3)
    assert asyncio.get_running_loop().time() - started < 2


async def test_a_cut_body_is_unknown(transport):
    """A body shorter than announced is no complete answer."""

    async def answer(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        writer.close()

    async with serving(answer) as server:
        with pytest.raises(MaybeSent):
            await _send(transport, server.request("POST"))


async def test_garbage_is_unknown(transport):
    """Bytes that are not HTTP are no answer."""
    async with serving(fixed(b"220 mail.example ESMTP\r\n\r\n")) as server:
        with pytest.raises(MaybeSent):
            await _send(transport, server.request())


@pytest.mark.parametrize("declared", [True, False])
async def test_a_huge_body_is_refused(transport, declared):
    """More than max_bytes is refused, whether announced or not, and the connection is not used again."""

    async def answer(_, writer):
        length = "Content-Length: 100000000" if declared else "Transfer-Encoding: chunked"
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        for _ in range(200):
            writer.write(b"x" * 1000 if declared else b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await writer.drain()

    async with serving(answer) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request(max_bytes=100_000))
    assert raised.value.code == "response_too_large"


async def test_gzip_is_decoded(transport):
    """A gzip body, also of two members, is read as its text."""
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    async with serving(fixed(reply(body, "Content-Encoding: gzip"))) as server:
        assert (await _send(transport, server.request())).body == b"one two"


async def test_a_gzip_bomb_is_refused_in_little_memory(transport):
    """64 MiB of zeros behind 64 KiB are refused at the cap, without being built."""
    body = gzip.compress(bytes(64 * 1024 * 1024))
    async with serving(fixed(reply(body, "Content-Encoding: gzip"))) as server:
        tracemalloc.start()
        try:
            with pytest.raises(Refused) as raised:
                await _send(transport, server.request(max_bytes=1024 * 1024))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert raised.value.code == "response_too_large"
    assert peak < 6 * 1024 * 1024


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip"])
async def test_other_codings_are_refused(transport, coding):
    """We asked for gzip; anything else is not read."""
    async with serving(fixed(reply(b"x", f"Content-Encoding: {coding}"))) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request())
    assert raised.value.code == "unsupported_encoding"


async def test_broken_gzip_is_refused(transport):
    """Data that is not gzip, or ends early, is refused."""
    for body in (b"not gzip", gzip.compress(b"x" * 1000)[:-10]):
        async with serving(fixed(reply(body, "Content-Encoding: gzip"))) as server:
            with pytest.raises(Refused) as raised:
                await _send(transport, server.request())
        assert raised.value.code == "bad_encoding"


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-{i}: {'v' * 1000}" for i in range(80)],
        [f"X-One: {'v' * 70_000}"],
        [f"X-{i}: v" for i in range(600)],
    ],
)
async def test_too_many_header_bytes_are_refused(transport, headers):
    """Response headers of more than 64 KiB are not taken, as many or as one; the service did answer."""
    async with serving(fixed(reply(b"x", *headers))) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request())
    assert raised.value.code == "headers_too_large"


async def test_large_headers_are_taken(transport):
    """What is within the limit is read, in one header or in many."""
    async with serving(fixed(reply(b"x", f"X-One: {'v' * 40_000}", *[f"X-{i}: {i}" for i in range(100)]))) as server:
        response = await _send(transport, server.request())
    assert len(response.headers["x-one"]) == 40_000
    assert response.headers["x-99"] == "99"


async def test_headers_without_end_are_given_up(transport):
    """A server that never stops sending headers is left, long before they fill the memory."""
    sent = 0

    async def answer(_, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing() and sent < 64 * 1024 * 1024:
            writer.write(b"X-More: " + b"v" * 1000 + b"\r\n")
            sent += 1010
            await writer.drain()

    async with serving(answer) as server:
        with pytest.raises((Refused, MaybeSent)):
            await _send(transport, server.request())
    assert sent < 16 * 1024 * 1024


async def test_headers_that_trickle_end_at_the_deadline(transport):
    """A header line now and then does not move the deadline."""

    async def answer(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-More: v\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(answer) as server:
        started = asyncio.get_running_loop().time()
        with pytest.raises(MaybeSent):
            await _send(transport, server.request(), timeout_s=0.3)
    assert asyncio.get_running_loop().time() - started < 2


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "x-gzip, chunked", "deflate, chunked"])
async def test_transfer_codings_are_refused(transport, coding):
    """Chunks are taken, nothing that would have to be decoded under another name."""
    body = gzip.compress(b"hidden")
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"

    async def answer(_, writer):
        writer.write(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\nConnection: close\r\n\r\n".encode() + chunked)
        writer.close()

    async with serving(answer) as server:
        with pytest.raises((Refused, MaybeSent)) as raised:
            await _send(transport, server.request())
    assert raised.value.code in ("unsupported_encoding", "unknown_outcome")


async def test_what_was_packed_twice_is_unpacked_once(transport):
    """Gzip inside gzip, announced once, stays the inner bytes: nothing unpacks further than it was told."""
    inner = gzip.compress(bytes(1024 * 1024))
    async with serving(fixed(reply(gzip.compress(inner), "Content-Encoding: gzip"))) as server:
        assert (await _send(transport, server.request())).body == inner


async def test_codings_in_two_headers_are_nested(transport):
    """Said twice is said as a list."""
    body = gzip.compress(gzip.compress(b"x"))
    async with serving(fixed(reply(body, "Content-Encoding: gzip", "Content-Encoding: gzip"))) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request())
    assert raised.value.code == "unsupported_encoding"


async def test_a_huge_request_is_not_sent(transport):
    """A request of more than 6 MiB never leaves."""
    async with serving(fixed(reply())) as server:
        with pytest.raises(NotSent) as raised:
            await _send(transport, server.request("POST", body=bytes(6 * 1024 * 1024)))
    assert raised.value.code == "request_too_large"
    assert not server.received


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "HOST", "Connection", "Content-Length", "Transfer-Encoding", "Forwarded", "TE", "Upgrade", "Trailer"),
        *("X-Forwarded-For", "x-forwarded-anything", "Proxy-Authorization", "Expect", "a b", "a:b", "a\r\nb", "", "é"),
    ],
)
async def test_headers_of_ours_cannot_be_set(transport, name):
    """Framing and forwarding headers, and names that are none, are refused before anything is sent."""
    with pytest.raises(NotSent) as raised:
        await _send(transport, HttpRequest("GET", "http://127.0.0.1:1/", headers={name: "x"}))
    assert raised.value.code == "header_not_allowed"


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\nb", "a\rb", "a\0b", "\x7f", "\ud800"])
async def test_header_values_stay_on_their_line(transport, value):
    """A line break, another control character or half of a character in a value is refused."""
    with pytest.raises(NotSent) as raised:
        await _send(transport, HttpRequest("GET", "http://127.0.0.1:1/", headers={"x-a": value}))
    assert raised.value.code == "header_not_allowed"


async def test_our_headers_come_once(transport):
    """Whatever is asked for, the codings are ours; user agent and accept are the request's own."""
    given = {"Accept-Encoding": "br, zstd", "User-Agent": "mine", "ACCEPT": "a/b"}
    async with serving(fixed(reply())) as server:
        await _send(transport, server.request(headers=given))
    head = server.received[0].lower()
    assert head.count(b"accept-encoding: gzip\r\n") == 1
    assert head.count(b"accept-encoding") == head.count(b"user-agent: mine") == head.count(b"accept: a/b") == 1
    assert head.count(b"\r\nhost: ") == 1


async def test_no_cookie_is_kept(transport):
    """A cookie of one answer is not sent with the next request."""
    async with serving(fixed(reply(b"", "Set-Cookie: who=alice; Path=/"))) as server:
        await _send(transport, server.request())
        await _send(transport, server.request())
    assert b"cookie" not in server.received[1].lower()


async def test_proxies_of_the_environment_are_ignored(transport, monkeypatch):
    """HTTP_PROXY changes nothing."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(fixed(reply())) as server:
        assert (await _send(transport, server.request())).status == 200


async def test_redirects_are_followed_only_when_asked(transport):
    """Without max_redirects the 302 itself is the answer; with it, where it leads."""

    async def answer(request, writer):
        writer.write(reply(b"there") if b"/b" in request else reply(b"", "Location: /b", status="302 Found"))

    async with serving(answer) as server:
        assert (await _send(transport, server.request(path="/a"))).status == 302
        followed = await _send(transport, server.request(path="/a", max_redirects=5, headers={"x-key": "k"}))
    assert (followed.body, followed.url) == (b"there", server.url("/b"))
    assert b"x-key: k" in server.received[-1]


async def test_our_own_addresses_are_told_how_deep_it_is_wherever_a_redirect_leads():
    """A redirect to ourselves says how many runs stand behind it, one away from us does not, and no user says it."""
    forged = {"taske-depth": "0"}
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(serving(fixed(reply(b"here"))))
        theirs = await stack.enter_async_context(serving(fixed(reply(b"there"))))
        to_us = reply(b"", f"Location: {ours.url('/hooks')}", status="302 Found")
        to_them = reply(b"", f"Location: {theirs.url('/x')}", status="302 Found")
        shortener = await stack.enter_async_context(serving(fixed(to_us)))
        leaving = await stack.enter_async_context(serving(fixed(to_them)))
        own = [ours.url("/"), leaving.url("/")]
        transport = Transport(guard=EgressGuard(["127.0.0.0/8"]), own_urls=own)
        stack.push_async_callback(transport.close)
        await _send(transport, shortener.request(max_redirects=2, depth=3, headers=forged))
        await _send(transport, ours.request(depth=2, headers=forged))
        await _send(transport, leaving.request(max_redirects=2, depth=1))
        said = [one.received[-1].lower() for one in (shortener, theirs)]
        heard = [received.lower() for received in (*ours.received, leaving.received[0])]
    assert [b"taske-depth" in each for each in said] == [False, False]
    assert [each.partition(b"taske-depth: ")[2][:3] for each in heard] == [b"3\r\n", b"2\r\n", b"1\r\n"]
    assert [each.count(b"taske-depth") for each in heard] == [1, 1, 1]


async def test_redirects_end(transport):
    """A circle of redirects ends after max_redirects with the last 302."""
    async with serving(fixed(reply(b"", "Location: /again", status="302 Found"))) as server:
        assert (await _send(transport, server.request(max_redirects=50))).status == 302
    assert len(server.received) == 6


async def test_another_origin_gets_no_credentials(transport):
    """A redirect to another port loses every header that may carry a secret, and the body."""
    async with serving(fixed(reply(b"other"))) as other:
        redirect = reply(b"", f"Location: {other.url('/x')}", status="307 Temporary Redirect")
        async with serving(fixed(redirect)) as server:
            headers = {"authorization": "Bearer s", "x-api-key": "s", "accept": "a/b", "cookie": "s=1"}
            await _send(
                transport, server.request("POST", max_redirects=2, headers=headers, body=b"s", credentialed=True)
            )
    head, _, body = other.received[0].lower().partition(b"\r\n\r\n")
    assert b"accept: a/b" in head
    assert not any(word in head for word in (b"authorization", b"x-api-key", b"cookie"))
    assert body == b""


async def test_a_303_becomes_a_get(transport):
    """See Other is fetched without the body."""

    async def answer(request, writer):
        writer.write(reply() if request.startswith(b"GET") else reply(b"", "Location: /r", status="303 See Other"))

    async with serving(answer) as server:
        await _send(transport, server.request("POST", max_redirects=1, body=b"x", headers={"content-type": "a/b"}))
    assert server.received[1].startswith(b"GET /r")
    assert b"content-type" not in server.received[1].lower()


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://10.0.0.1/", "egress_denied"),
        ("http://[::ffff:127.0.0.1]/", "egress_denied"),
        ("file:///etc/passwd", "redirect_refused"),
        ("http://a@127.0.0.1/", "redirect_refused"),
        ("gopher://127.0.0.1/", "redirect_refused"),
    ],
)
async def test_every_hop_is_checked(transport, location, code):
    """A redirect to a denied place is refused after the answer, and nothing is sent there."""
    async with serving(fixed(reply(b"", f"Location: {location}", status="302 Found"))) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request(max_redirects=5))
    assert raised.value.code == code


async def test_a_hop_outside_the_binding_is_refused(transport):
    """A redirect may not leave the hosts of the module."""
    async with serving(fixed(reply(b"", "Location: http://127.0.0.2:9/", status="302 Found"))) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request(max_redirects=5, allowed_hosts=(f"127.0.0.1:{server.port}",)))
    assert raised.value.code == "host_not_allowed"


async def test_a_dead_hop_is_known(transport):
    """When the first hop was answered, a refused connection of the next is a failure and not "nothing sent"."""
    async with serving(fixed(reply(b"", "Location: http://127.0.0.1:1/", status="302 Found"))) as server:
        with pytest.raises(Refused) as raised:
            await _send(transport, server.request(max_redirects=5))
    assert raised.value.code == "connect_failed"


@pytest.mark.parametrize(
    ("addresses", "code"),
    [
        (["127.0.0.1"], "egress_denied"),
        (["93.184.215.14", "10.0.0.7"], "egress_denied"),
        (["::1"], "egress_denied"),
        (["64:ff9b::7f00:1"], "egress_denied"),
        ([], "egress_denied"),
    ],
)
async def test_every_answer_of_a_look_up_is_checked(addresses, code):
    """One denied address among the answers refuses the name, without connecting anywhere."""

    async def lookup(_host, _port):
        return addresses

    transport = Transport(guard=EgressGuard(), lookup=lookup)
    with pytest.raises(NotSent) as raised:
        await _send(transport, HttpRequest("GET", "http://example.com/"))
    await transport.close()
    assert raised.value.code == code


async def test_a_name_that_changes_its_address_is_caught():
    """The check is on the address connected to: a second look-up that leads inside is refused."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def lookup(_host, _port):
        return answers.pop(0)

    async def answer(_, writer):
        writer.write(reply(b"", "Connection: close"))
        writer.close()

    async with serving(answer) as server:
        transport = Transport(guard=EgressGuard(["127.0.0.0/8"]), lookup=lookup)
        request = HttpRequest("GET", f"http://rebind.example.com:{server.port}/")
        assert (await _send(transport, request)).status == 200
        with pytest.raises(NotSent) as raised:
            await _send(transport, request)
        await transport.close()
    assert raised.value.code == "egress_denied"


async def test_literal_addresses_are_checked_at_the_socket():
    """Even if the check of the URL were passed, no socket is made for a denied address."""

    class Open(EgressGuard):
        def check_host(self, host, port):
            """Let everything pass, as a bug would."""

    async with serving(fixed(reply())) as server:
        transport = Transport(guard=Open())
        with pytest.raises(NotSent) as raised:
            await _send(transport, server.request())
        await transport.close()
    assert raised.value.code == "egress_denied"
    assert server.connections == 0


async def test_an_allowed_name_goes_wherever_it_resolves():
    """`host:port` of the operator opens that name at that port, and only there."""

    async def lookup(_host, _port):
        return ["127.0.0.1"]

    async with serving(fixed(reply())) as server:
        transport = Transport(guard=EgressGuard([f"drive.internal:{server.port}"]), lookup=lookup)
        good = HttpRequest("GET", f"http://Drive.internal:{server.port}/", credentialed=True)
        assert (await _send(transport, good)).status == 200
        for url in (f"http://other.internal:{server.port}/", "http://drive.internal:81/", server.url()):
            with pytest.raises(NotSent) as raised:
                await _send(transport, HttpRequest("GET", url))
            assert raised.value.code == "egress_denied"
        await transport.close()


async def test_missing_and_existing_private_names_look_alike():
    """With a network allowed, a private name is looked up; unknown or denied, the answer is the same."""

    async def lookup(host, _port):
        if host == "db.internal":
            return ["192.168.0.9"]
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    transport = Transport(guard=EgressGuard(["10.0.0.0/8"]), lookup=lookup)
    seen = set()
    for host in ("db.internal", "nope.internal", "nope"):
        with pytest.raises(NotSent) as raised:
            await _send(transport, HttpRequest("GET", f"http://{host}/"))
        seen.add((raised.value.code, raised.value.message, raised.value.error_class))
    await transport.close()
    assert len(seen) == 1


async def test_a_credential_needs_https():
    """A secret goes over plain http only where the operator allowed the host."""
    guarded = Transport(guard=EgressGuard())
    with pytest.raises(NotSent) as raised:
        await _send(guarded, HttpRequest("GET", "http://example.com/", credentialed=True))
    await guarded.close()
    assert raised.value.code == "host_not_allowed"


async def test_cancelling_releases_the_connection(transport):
    """A cancelled request closes its connection, and the next one works."""
    first = asyncio.Event()

    async def answer(request, writer):
        if b"/slow" in request:
            first.set()
            await asyncio.Event().wait()
        writer.write(reply())

    async with serving(answer) as server:
        slow = asyncio.create_task(_send(transport, server.request(path="/slow")))
        await first.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await _send(transport, server.request(path="/next"))).body == b"ok"
