"""From a host name to addresses that may be connected to: looked up once, every answer checked (security 10)."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from taske_ray.integrations.egress import EgressDenied, EgressGuard, is_private_name
from taske_ray.places import Places

connect_timeout_s = 5.0
_threads = 64
_threads_of_one = 8
_does_not_exist = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY})

asked_for: ContextVar[Hashable] = ContextVar("asked_for", default=None)
"""Whose names are looked up in this context."""

Lookup = Callable[[str, int], Awaitable[list[str]]]


class CheckingResolver(AbstractResolver):
    """Looks a name up once and returns its addresses only if every one of them may be connected to.

    A name that does not exist is refused like one that leads inside, so that nobody can ask which inner names exist.
    """

    def __init__(self, guard: EgressGuard, lookup: Lookup, *, http: bool = True) -> None:
        self._guard = guard
        self._lookup = lookup
        self._http = http

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises EgressDenied, and OSError when the name cannot be looked up just now."""
        addresses = await self._looked_up(host, port)
        for address in addresses:
            self._guard.check_address(host, address, port, http=self._http)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET)
        ]

    async def _looked_up(self, host: str, port: int) -> list[str]:
        # The dot keeps the machine's search domains out: `example.com` is never `example.com.corp.example`.
        name = host if self._guard.looks_up_as_written(host, port) else f"{host}."
        try:
            async with asyncio.timeout(connect_timeout_s):
                addresses = await self._lookup(name, port)
        except (TimeoutError, UnicodeError) as error:
            raise OSError(socket.EAI_AGAIN, "no answer") from error
        except socket.gaierror as error:
            if error.errno in _does_not_exist or is_private_name(host):
                raise EgressDenied from None
            raise  # the name service is away or broken, or this machine is short of something
        if not addresses:
            raise EgressDenied
        return addresses

    async def close(self) -> None:
        """Nothing is held open."""


class SystemLookup:
    """The system's resolver, in threads of its own: slow names delay nothing else, and only those of the same user.

    `ask` is what blocks: `socket.getaddrinfo` for streams.
    """

    def __init__(self, ask: Callable[[str, int], list[tuple[Any, ...]]] | None = None) -> None:
        self._ask = ask or _addresses_of
        self._pool = ThreadPoolExecutor(max_workers=_threads, thread_name_prefix="lookup")
        self._of_users: dict[Hashable, Places] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Each address once. Raises socket.gaierror, UnicodeError."""
        whose = asked_for.get()
        places = self._of_users.setdefault(whose, Places(_threads_of_one))
        await places.enter()
        loop = asyncio.get_running_loop()

        def leave() -> None:
            places.leave()
            if not places.taken:
                self._of_users.pop(whose, None)

        def ended(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(leave)

        asked = self._pool.submit(self._ask, host, port)
        asked.add_done_callback(ended)  # not when the caller gives up: nothing ends a thread that waits for an answer
        return list(dict.fromkeys(str(answer[4][0]) for answer in await asyncio.wrap_future(asked)))


def _addresses_of(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
