"""What services answered to the `pre` requests of calls, for as long as their modules allow (`cache_s`), in memory.

Each entry belongs to one user, one version of one credential and one version of one capability, and nobody else finds
it. Those that were used last stay, within bounds of number and size.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from taske_ray.core.call import Call
from taske_ray.integrations.ports import OpenedConnection

most_kept = 10_000
most_bytes = 32 * 1024 * 1024
largest = 1024 * 1024
"""A longer answer would push out those of hundreds of others."""
overhead = 500
"""About what an entry takes besides its text."""


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    until: float

    @property
    def size(self) -> int:
        """About how many bytes it takes: JSON is written in ASCII."""
        return len(self.text) + overhead


class KeptAnswers:
    """The memory of one process. `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._bytes = 0

    def of(self, call: Call, opened: OpenedConnection | None) -> "KeptForCall":
        """What this call may find, and where its own answers go."""
        credential = (call.connection_id, opened.version) if opened is not None else None
        return KeptForCall(self, (call.user_id, credential, call.capability, call.version))

    def find(self, key: Hashable) -> str | None:
        """What is kept under a key and not too old."""
        found = self._answers.get(key)
        if found is None:
            return None
        if found.until <= self._monotonic():
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        return found.text

    def keep(self, key: Hashable, text: str, seconds: int) -> None:
        """Keep a text for so long; those that nobody used for longest make room."""
        self._drop(key)
        if len(text) > largest:
            return
        self._answers[key] = answer = _Answer(text, self._monotonic() + seconds)
        self._bytes += answer.size
        while len(self._answers) > most_kept or self._bytes > most_bytes:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: Hashable) -> None:
        dropped = self._answers.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size


@dataclass(frozen=True, slots=True)
class KeptForCall:
    """The part of the memory that one call sees."""

    answers: KeptAnswers
    whose: tuple[Hashable, ...]

    def find(self, name: str) -> str | None:
        """What is kept under a name."""
        return self.answers.find((self.whose, name))

    def keep(self, name: str, output: str, seconds: int) -> None:
        """Keep an output for so long, if there is room."""
        self.answers.keep((self.whose, name), output, seconds)
