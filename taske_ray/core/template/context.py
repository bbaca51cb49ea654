"""What a template sees while it is evaluated: the scope, its own local names, and the work counter.

Unlike Liquid's own context this one has no clock: `now` and `today` exist only if the scope holds them. A name that a
template assigns anywhere is local everywhere in it, so that the paths found without running it are the paths it reads.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from liquid import BoundTemplate, RenderContext
from liquid.token import Token
from liquid.utils import ReadOnlyChainMap

from taske_ray.core.template.json_text import missing, step
from taske_ray.core.template.limits import Work, most_elements, over_limit, step_units


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
        value = self.scope.get(root, missing) if isinstance(root, str) else missing
        for key in path[1:]:
            if value is missing or self._is_undefined(value):
                break
            value = step(value, self._plain(key))
        if value is not missing and not self._is_undefined(value):
            return value
        return self.undefined(path, token) if default is missing else default

    def undefined(self, path: Sequence[Any], token: Token | None) -> object:
        """The undefined for a path that leads nowhere."""
        return self.env.undefined(str(path[0]), hint=f"'{shown(path)}' is missing", token=token)

    def _is_undefined(self, value: object) -> bool:
        return isinstance(value, self.env.undefined)

    def _plain(self, key: object) -> object:
        return None if self._is_undefined(key) else key

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
        self.work.charge(10 * len(self.local_sizes))
        return sum(self.local_sizes.values())

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Refuse a loop that is too long (nested: the product), and charge all its rounds."""
        super().raise_for_loop_limit(length)
        self.work.charge(length * (step_units + self.body_weight))


def shown(path: Sequence[Any]) -> str:
    """A path for people: `a.b[0]['c d']`."""
    rest = (f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]" for key in path[1:])
    text = f"{path[0]}{''.join(rest)}"
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - a line of text
