"""How long somebody who failed often has to wait: doubling, never for ever (security, 2.8 and 6.2)."""

import math
from datetime import datetime

longest_s = 900
_steepest = 10


def wait_s(failures: int, last_at: datetime | None, *, free: int, now: datetime) -> int:
    """Whole seconds until the next try: 0 while fewer than `free` failed, then 1, 2, 4 … 900 after the last."""
    if failures < free or last_at is None:
        return 0
    delay: int = min(longest_s, 2 ** min(failures - free, _steepest))
    return max(0, math.ceil(delay - (now - last_at).total_seconds()))
