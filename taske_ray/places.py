"""Places for work under way: so many at once; the next one waits a moment in line, where everybody takes turns."""

import asyncio
from collections.abc import Hashable

from taske_ray.line import Line


class Places:
    """So many places. Taken with `enter`, given back with `leave`: then whoever's turn it is has it.

    While several want places there may be fewer of them, `shared`, so that nobody waits long for another's.
    """

    __slots__ = ("_line", "_most", "_shared", "taken")

    def __init__(self, most: int, *, shared: int | None = None) -> None:
        self._most = most
        self._shared = most if shared is None else shared
        self._line: Line[asyncio.Future[None]] = Line()
        self.taken = 0

    async def enter(self, patience_s: float | None = None, *, whose: Hashable = None) -> bool:
        """Take a place, or wait in line for one; False when none came in time (None: for as long as it takes)."""
        self._line.came(whose)
        if self.taken < self._limit and not self._line:
            self.taken += 1
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.add(whose, turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # it came in the moment in which nobody waited for it any more
            else:
                self._line.remove(whose, turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def squeeze_in(self) -> None:
        """Take a place beyond the last one."""
        self.taken += 1

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1
        self._let_in()

    def resize(self, most: int) -> None:
        """So many places from now on; who holds one beyond them keeps it."""
        self._most = self._shared = most
        self._let_in()

    @property
    def _limit(self) -> int:
        return self._shared if self._line.is_shared else self._most

    def _let_in(self) -> None:
        while self._line and self.taken < self._limit:
            turn = self._line.next()
            if not turn.done():
                turn.set_result(None)
                self.taken += 1
