"""How a server hashes passwords: in threads, two at a time, with a short queue (security, 2.2).

Otherwise a flood of logins would take 19 MiB and a core each.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from taske_ray.errors import TooManyRequests
from taske_ray.security.passwords import hash_password, verify_password

at_once = 2
max_waiting = 32

Result = TypeVar("Result")


class PasswordHashing:
    """One per process. Raises TooManyRequests when the queue is full."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="hashing")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """As `hash_password`."""
        return await self._run(lambda: hash_password(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """As `verify_password`."""
        return await self._run(lambda: verify_password(hashed, password))

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= at_once + max_waiting:
            raise TooManyRequests(retry_after_s=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
