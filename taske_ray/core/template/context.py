"""What a template sees while it is evaluated: the scope, its own local names, and the work counter.

Unlike Liquid's own context this one has no clock: `now` and `today` exist only if the scope holds them. A name that a
template assigns anywhere is local everywhere in it, so that the paths found without running it are the paths it reads.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, FalsyStrictUndefined, RenderContext
from liquid.token import Token
from liquid.utils import ReadOnlyChainMap

from taske_ray.core.template.json_text import missing, step
from taske_ray.core.template.limits import (
    Work,
    assign_units,
    longest_text,
    loop_units,
    most_elements,
    over_limit,
    round_units,
)


def is_missing(value: object) -> bool:
    """Whether a value is Liquid's undefined (by type: its class is abstract, and `isinstance` with one is slow)."""
    return type(value) is FalsyStrictUndefined


class Buffer(StringIO):
    """Rendered text of at most so many bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def write(self, text: str) -> int:
        """Add text; `template_limit` when the bytes do not fit."""
        self.left -= len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if self.left < 0:
            raise over_limit("The text is longer than 1 MiB")
        return super().write(text)


class Context(RenderContext):
    """A Liquid context over one scope that reads paths by our rules and counts the work."""

    __slots__ = ("body_weight", "local_sizes", "work")

    def __init__(self, template: BoundTemplate, scope: Mapping[str, Any], work: Work, hidden: frozenset[str]) -> None:
        super().__init__(template)
        visible = {name: scope[name] for name in scope if name not in hidden} if hidden else scope
        self.globals = visible
        self.scope = ReadOnlyChainMap(self.locals, visible)
        self.work = work
        self.body_weight = 0
        self.local_sizes: dict[str, int] = {}

    def get(self, path: Sequence[Any], *, token: Token | None, default: object = missing) -> object:
        """The value at a path, or an undefined that knows the path's name."""
        root = path[0]
        value = self.scope.get(root, missing) if type(root) is str else missing
        for key in path[1:]:
            if value is missing or is_missing(value):
                break
            # The common step, without a call: a member of an object
            if type(value) is dict and type(key) is str and key in value:
                value = value[key]
            else:
                value = step(value, None if is_missing(key) else key)
        if value is missing or is_missing(value):
            return self.undefined(path, token) if default is missing else default
        return value

    def undefined(self, path: Sequence[Any], token: Token | None) -> object:
        """The undefined for a path that leads nowhere."""
        return self.env.undefined(str(path[0]), hint=f"'{shown(path)}' is missing", token=token)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:  # noqa: ARG002 - Liquid's signature
        """The guarded filter of that name; unknown names were refused when the template was compiled."""
        return partial(self.env.filters[name], self.work)

    def assign(self, key: str, val: Any) -> None:
        """Set a local name; the sizes of all of them together are limited."""
        self.local_sizes[key] = sys.getsizeof(val, 64)
        self.locals[key] = val
        limit = self.env.local_namespace_limit
        if limit and (len(self.local_sizes) > most_elements or self._local_size() > limit):
            raise over_limit("The variables of a template hold more than 1 MiB")

    def _local_size(self) -> int:
        self.work.charge(assign_units + 10 * len(self.local_sizes))
        return sum(self.local_sizes.values())

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """A buffer for text, or for a part of the text that goes to `buf`."""
        return Buffer(buf.left if isinstance(buf, Buffer) else longest_text)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Refuse a loop that is too long (nested: the product), and charge all its rounds."""
        super().raise_for_loop_limit(length)
        self.work.charge(loop_units + length * (round_units + self.body_weight))


def shown(path: Sequence[Any]) -> str:
    """A path for people: `a.b[0]['c d']`."""
    rest = (f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]" for key in path[1:])
    text = f"{path[0]}{''.join(rest)}"
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - a line of text
