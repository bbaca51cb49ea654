"""Slow clients and many at once: they cost what they cost, and others are served."""

import asyncio
import time

import httpx
import pytest

pytestmark = pytest.mark.integration
JSON = {"content-type": "application/json"}
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
