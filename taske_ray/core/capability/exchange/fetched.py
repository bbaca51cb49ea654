"""The items of a poll whose service is asked by an executor instead of a request: the same reading of each item."""

from collections.abc import Mapping, Sequence
from typing import Any

from taske_ray.core.capability.exchange.context import CallContext
from taske_ray.core.capability.exchange.polled import read_items
from taske_ray.core.capability.module import Capability
from taske_ray.core.outcome import Fetched


def fetched(
    capability: Capability, context: CallContext, items: Sequence[Mapping[str, Any]], *, truncated: bool
) -> Fetched:
    """What a check saw, from items as the executor found them, oldest first."""
    config = context.connection.config if context.connection is not None else {}
    seen = {
        "params": capability.params.scope(context.params),
        "conn": {"config": config},
        "now": context.now,
        "cursor": context.cursor or {"from": None, "value": None},
        "response": None,
        "page": {"number": 1, "count": len(items), "truncated": truncated},
    }
    page = read_items(capability, seen, list(items))
    return Fetched(
        tuple(page.items), truncated=truncated, invalid=page.invalid, filtered=page.filtered, passed=tuple(page.passed)
    )
