"""Where a request may go: redirects, look-ups and addresses, each of them checked."""

import socket
from contextlib import AsyncExitStack

import pytest

from taske_ray.core.http import HttpRequest
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.failures import NotSent, Refused
from taske_ray.integrations.transport import Transport
from tests.integration.integrations.conftest import fixed, reply, send, serving


async def test_redirects_are_followed_only_when_asked(transport):
    """Without max_redirects the 302 itself is the answer; with it, where it leads."""

    async def answer(request, writer):
        writer.write(reply(b"there") if b"/b" in request else reply(b"", "Location: /b", status="302 Found"))

    async with serving(answer) as server:
        assert (await send(transport, server.request(path="/a"))).status == 302
        followed = await send(transport, server.request(path="/a", max_redirects=5, headers={"x-key": "k"}))
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
        await send(transport, shortener.request(max_redirects=2, depth=3, headers=forged))
        await send(transport, ours.request(depth=2, headers=forged))
        await send(transport, leaving.request(max_redirects=2, depth=1))
        said = [one.received[-1].lower() for one in (shortener, theirs)]
        heard = [received.lower() for received in (*ours.received, leaving.received[0])]
    assert [b"taske-depth" in each for each in said] == [False, False]
    assert [each.partition(b"taske-depth: ")[2][:3] for each in heard] == [b"3\r\n", b"2\r\n", b"1\r\n"]
    assert [each.count(b"taske-depth") for each in heard] == [1, 1, 1]


async def test_redirects_end(transport):
    """A circle of redirects ends after max_redirects with the last 302."""
    async with serving(fixed(reply(b"", "Location: /again", status="302 Found"))) as server:
        assert (await send(transport, server.request(max_redirects=50))).status == 302
    assert len(server.received) == 6


async def test_another_origin_gets_no_credentials(transport):
    """A redirect to another port loses every header that may carry a secret, and the body."""
    async with serving(fixed(reply(b"other"))) as other:
        redirect = reply(b"", f"Location: {other.url('/x')}", status="307 Temporary Redirect")
        async with serving(fixed(redirect)) as server:
            headers = {"authorization": "Bearer s", "x-api-key": "s", "accept": "a/b", "cookie": "s=1"}
            await send(
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
        await send(transport, server.request("POST", max_redirects=1, body=b"x", headers={"content-type": "a/b"}))
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
            await send(transport, server.request(max_redirects=5))
    assert raised.value.code == code


async def test_a_hop_outside_the_binding_is_refused(transport):
    """A redirect may not leave the hosts of the module."""
    async with serving(fixed(reply(b"", "Location: http://127.0.0.2:9/", status="302 Found"))) as server:
        with pytest.raises(Refused) as raised:
            await send(transport, server.request(max_redirects=5, allowed_hosts=(f"127.0.0.1:{server.port}",)))
    assert raised.value.code == "host_not_allowed"


async def test_a_dead_hop_is_known(transport):
    """When the first hop was answered, a refused connection of the next is a failure and not "nothing sent"."""
    async with serving(fixed(reply(b"", "Location: http://127.0.0.1:1/", status="302 Found"))) as server:
        with pytest.raises(Refused) as raised:
            await send(transport, server.request(max_redirects=5))
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
        await send(transport, HttpRequest("GET", "http://example.com/"))
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
        assert (await send(transport, request)).status == 200
        with pytest.raises(NotSent) as raised:
            await send(transport, request)
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
            await send(transport, server.request())
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
        assert (await send(transport, good)).status == 200
        for url in (f"http://other.internal:{server.port}/", "http://drive.internal:81/", server.url()):
            with pytest.raises(NotSent) as raised:
                await send(transport, HttpRequest("GET", url))
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
            await send(transport, HttpRequest("GET", f"http://{host}/"))
        seen.add((raised.value.code, raised.value.message, raised.value.error_class))
    await transport.close()
    assert len(seen) == 1
