"""Places for calls in flight: so many at once, the next one waits a moment in line, in the order of coming."""

import asyncio
from collections import deque


class Places:
    """So many places. Taken with `enter`, given back with `leave`: then the first in line has it."""

    __slots__ = ("_line", "_most", "taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self._line: deque[asyncio.Future[None]] = deque()
        self.taken = 0

    async def enter(self, patience_s: float) -> bool:
        """Take a place, or wait in line for one; False when none came in time."""
        if self.taken < self._most and not self._line:
            self.taken += 1
            return True
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # it came in the moment in which nobody waited for it any more
            elif turn in self._line:
                self._line.remove(turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def squeeze_in(self) -> None:
        """Take a place beyond the last one."""
        self.taken += 1

    def leave(self) -> None:
        """Give a place back."""
        while self._line and self.taken <= self._most:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken -= 1
