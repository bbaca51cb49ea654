"""How large a JSON value is, without writing it: a walk that stops as soon as the answer is known."""

from typing import Any

mib = 1024 * 1024


def is_larger(value: Any, limit: int) -> bool:
    """Whether `value` takes more than about `limit` bytes as compact JSON (escapes are not counted)."""
    left, todo = limit, [value]
    while todo and left >= 0:
        item = todo.pop()
        if isinstance(item, str):
            left -= 2 + (len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass")))
        elif isinstance(item, dict):
            left -= 2 + 2 * len(item)
            todo.extend(item.keys())
            todo.extend(item.values())
        elif isinstance(item, (list, tuple)):
            left -= 2 + len(item)
            todo.extend(item)
        else:
            left -= len(str(item))
    return left < 0
