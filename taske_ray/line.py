"""A line in which everybody takes turns: the first of each, then the second of each, and so on.

Who has a thousand things waiting delays another one's by one of theirs and not by a thousand (durability, D7).
"""

import time
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_several_s = 2.0
_nobody = object()


class Line(Generic[Item]):
    """What waits, by whose it is; the order of coming holds among the items of one."""

    __slots__ = ("_count", "_last", "_queues", "_shared_at")

    def __init__(self) -> None:
        self._last: Hashable = _nobody
        self._shared_at = 0.0
        self._queues: OrderedDict[Hashable, deque[Item]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def is_shared(self) -> bool:
        """Whether several have come in the last two seconds: large portions of one would make another wait."""
        return time.monotonic() - self._shared_at < _several_s

    def came(self, whose: Hashable) -> None:
        """Somebody is here, whether they have to wait or not."""
        if whose != self._last:
            if self._last is not _nobody:
                self._shared_at = time.monotonic()
            self._last = whose

    def add(self, whose: Hashable, item: Item) -> None:
        """Behind all others of the same."""
        self.came(whose)
        self._queues.setdefault(whose, deque()).append(item)
        self._count += 1

    def next(self) -> Item:
        """Take out whose turn it is; whoever has more goes to the end of the line. Raises KeyError when empty."""
        whose, queue = self._queues.popitem(last=False)
        self._count -= 1
        item = queue.popleft()
        if queue:
            self._queues[whose] = queue
        return item

    def remove(self, whose: Hashable, item: Item) -> bool:
        """Take one out that waits no longer; whether it was there."""
        queue = self._queues.get(whose)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        self._count -= 1
        if not queue:
            del self._queues[whose]
        return True
