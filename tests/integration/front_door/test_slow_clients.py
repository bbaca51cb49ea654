"""Slow clients and many at once: they cost what they cost, and others are served."""

import asyncio
import json
import signal
import time

import httpx
import pytest

from deployments.shared.problems import problem_of
from taske_ray.errors import TooManyRequests
from taske_ray.launcher import haproxy
from taske_ray.launcher.probe import Probe, is_full

pytestmark = pytest.mark.integration
JSON = {"content-type": "application/json"}
PLACES, ALL_PLACES = haproxy.USUAL_IN_FLIGHT // 10, 64
HALF = {
    "head": b"GET /seen HTTP/1.1\r\nhost: x\r\n",
    "short body": b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[1",
    "long body": b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    + b"[" * 200_000,
}


async def said(door, data):
    """What is answered to these bytes, and after how many seconds."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 40), time.monotonic() - began
    finally:
        writer.close()


@pytest.mark.parametrize("half", ["head", "short body"])
async def test_what_does_not_arrive_is_408(hasty, half):
    """A head and a body that stop half-way are given up after their time (here a tenth of it)."""
    answer, took = await said(hasty, HALF[half])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert took < 4
    assert half == "head" or b'"code":"request_timeout"' in answer


async def test_a_silent_answer_is_waited_for(hasty):
    """Time limits are about clients: an answer that takes longer than any of them still arrives."""
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.get(f"{hasty.url}/wait")
    assert answer.status_code == 200


@pytest.mark.parametrize("half", HALF)
async def test_five_hundred_half_open_connections_leave_others_served(door, half):
    """While 500 connections hold a head or a body half-way, everybody else is answered within a second."""
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", door.port) for _ in range(500)))
    for _, writer in opened:
        writer.write(HALF[half])
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            for _ in range(10):
                began = time.monotonic()
                answers = await asyncio.gather(
                    client.get(f"{door.url}/seen"), client.post(f"{door.url}/take", content=b"[1]", headers=JSON)
                )
                assert time.monotonic() - began < 1
                assert [answer.status_code for answer in answers] == [200, 200]
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def test_two_hundred_full_bodies_at_once_cost_little_memory(door):
    """200 bodies of 1 MiB at once: each is answered, by 200 or by 503, and memory grows by less than 100 MiB."""
    body = b"[" + b"1," * 49_999 + b'"' + b"x" * (2**20 - 100_001 - 3) + b'"]'
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        await asyncio.gather(*(client.get(f"{door.url}/seen") for _ in range(200)))
        before, peak = door.memory_mib(), 0.0
        sending = [asyncio.create_task(client.post(f"{door.url}/take", content=body, headers=JSON)) for _ in range(200)]
        while not all(each.done() for each in sending):
            peak = max(peak, door.memory_mib())
            await asyncio.sleep(0.02)
    statuses = [each.result().status_code for each in sending]
    assert statuses == [200] * 200
    assert peak - before < 100


async def test_a_flooded_hook_leaves_room_for_others(hasty):
    """Deliveries beyond the places of one hook are 429 at once; another hook is served; a free place is used."""
    wait, other = f"{hasty.url}/hooks/wait", f"{hasty.url}/hooks/other"
    async with httpx.AsyncClient(timeout=20) as client:
        flood = [asyncio.create_task(client.post(f"{wait}?{n}")) for n in range(PLACES + 5)]
        beside = await client.post(other)
        answers = await asyncio.gather(*flood)
        assert beside.status_code == 404
        assert sorted(answer.status_code for answer in answers) == [200] * PLACES + [429] * 5
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == str(haproxy.RETRY_AFTER_S)
        named = {"instance": "/hooks/…", "request_id": refused.json()["request_id"]}
        assert refused.json() == json.loads(problem_of(TooManyRequests(), **named).body)
        assert (await client.post(wait)).status_code == 200


async def test_a_full_door_is_not_taken_for_one_that_hangs(hasty):
    """With every place taken nobody is let in, and yet the launcher can tell it from a HAProxy that is frozen."""
    probe = Probe("127.0.0.1", hasty.port)
    holders = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", hasty.port) for _ in range(ALL_PLACES)))
    for _, writer in holders:
        writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    misses = await asyncio.to_thread(probe.door_misses)
    assert (misses, await asyncio.to_thread(is_full, hasty.folder.parent)) == (1, True)
    for reader, writer in holders:
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
    assert await asyncio.to_thread(probe.door_misses) == 0
    hasty.haproxy.send_signal(signal.SIGSTOP)
    try:
        assert await asyncio.to_thread(probe.door_misses) == 1
        assert not await asyncio.to_thread(is_full, hasty.folder.parent)
    finally:
        hasty.haproxy.send_signal(signal.SIGCONT)
