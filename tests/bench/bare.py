"""The limit: a bare asyncio program that does the same two POSTs for every webhook, and keeps nothing.

What somebody would write in twenty lines with aiohttp, and lose with the process. `python -m tests.bench.bare URL`
prints `listening on PORT`; nothing of ours runs in it.
"""

import asyncio
import sys
from uuid import uuid4

import aiohttp
import orjson
import uvloop
from aiohttp import web


class Bare:
    """Answers 202 and then calls the receiver twice, the second time with the first answer."""

    def __init__(self, receiver: str, session: aiohttp.ClientSession) -> None:
        self._receiver = receiver
        self._session = session
        self._running: set[asyncio.Task[None]] = set()

    async def accept(self, request: web.Request) -> web.Response:
        """One webhook."""
        body = orjson.loads(await request.read())
        run_id = f"run_{uuid4().hex}"
        run = asyncio.create_task(self._run(run_id, body))
        self._running.add(run)
        run.add_done_callback(self._running.discard)
        return web.Response(status=202, body=orjson.dumps({"run_id": run_id}), content_type="application/json")

    async def _run(self, run_id: str, body: dict[str, int]) -> None:
        first = await self._post("/first", f"{run_id}:action1", {"n": body["n"]})
        await self._post("/second", f"{run_id}:action2", {"receipt": first["receipt"]})

    async def _post(self, path: str, key: str, body: dict[str, int]) -> dict[str, int]:
        headers = {"idempotency-key": key, "content-type": "application/json"}
        async with self._session.post(self._receiver + path, data=orjson.dumps(body), headers=headers) as answer:
            found: dict[str, int] = orjson.loads(await answer.read())
            return found


async def listen(receiver: str) -> None:
    """Listen on a free port of this machine until the process is ended."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=400)) as session:
        app = web.Application()
        app.router.add_post("/hooks/bare", Bare(receiver, session).accept)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        sys.stdout.write(f"listening on {runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(listen(sys.argv[1]))
