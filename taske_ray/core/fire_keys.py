"""Fire keys: what an occurrence is called within its trigger, so that it becomes one run (durability, 3.1).

Callers choose the keys of runs by hand, services those of deliveries and items. Each has names of its own: none is
taken for another's, and `db/sql/prune_events.sql` reads from a key whose it is. An instant's is in `core/schedule.py`.
"""

_by_hand, _replay, _outside = "manual:", "replay:", "outside:"


def key_by_hand(key: object) -> str:
    """Of a run by hand."""
    return f"{_by_hand}{key}"


def key_of_replay(key: object) -> str:
    """Of a replay."""
    return f"{_replay}{key}"


def key_from_outside(key: str) -> str:
    """Of a delivery or an item: its own id, but for one that looks like a name of ours."""
    return f"{_outside}{key}" if key.startswith((_by_hand, _replay, _outside)) else key
