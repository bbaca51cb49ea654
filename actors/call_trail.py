"""What the audit trail says of calls: uses of credentials, and what the egress guard refused.

A run says once that it used a connection; a task that polls says it once a day (UTC) and connection, because its checks
are hundreds a day and all the same: who asks what used a connection finds each day, each task and each run.
"""

import logging
from collections import OrderedDict
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.call import Call
from taske_ray.core.ids import format_id
from taske_ray.core.outcome import Failed, Outcome
from taske_ray.db.audit import Entry
from taske_ray.services.trail import Trail

_remembered = 50_000
_log = logging.getLogger(__name__)


class CallTrail:
    """Looks at each outcome. What several clients, or one that was started again, have seen may be said twice."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._used: OrderedDict[tuple[str, UUID], None] = OrderedDict()
        self._day, self._polled = "", set[tuple[UUID, UUID]]()

    def saw(self, call: Call, outcome: Outcome) -> None:
        """Note what is to be noted of a call that has ended."""
        refused = isinstance(outcome, Failed) and outcome.code == "egress_denied"
        if refused:
            self._trail.count(_entry(call, "egress.refuse", call.capability, "refused"))
        if call.connection_id is None or _is_unsent(outcome):
            return
        if call.run_id:
            self._use(call, call.connection_id)
        elif call.task_id is not None:
            self._poll(call, call.task_id, call.connection_id)

    def _use(self, call: Call, connection_id: UUID) -> None:
        key = (call.run_id, connection_id)
        if key in self._used:
            return
        self._used[key] = None
        if len(self._used) > _remembered:
            self._used.popitem(last=False)
        self._trail.note(_entry(call, "connection.use", format_id("conn", connection_id), "ok"))

    def _poll(self, call: Call, task_id: UUID, connection_id: UUID) -> None:
        """The first check of its day; the day is that of the check, and the days before are forgotten."""
        day, key = call.now[:10], (task_id, connection_id)
        if day > self._day:
            self._day, self._polled = day, set()
        if key in self._polled or day < self._day:
            return
        if len(self._polled) >= _remembered:
            _log.warning("more tasks poll than the audit trail tells apart; the use of a connection was not noted")
            return
        self._polled.add(key)
        self._trail.note(_entry(call, "connection.use", format_id("conn", connection_id), "ok"))


def _entry(call: Call, action: str, object_: str, result: str) -> Entry:
    about = {"capability": call.capability}
    if call.run_id:
        about["run_id"] = call.run_id
    elif call.task_id is not None:
        about["task_id"] = format_id("task", call.task_id)
    return Entry(new_id(), action, call.user_id, object_, result, detail=about)


def _is_unsent(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and not outcome.sent
