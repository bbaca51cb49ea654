"""What the audit trail says of calls: the first use of a credential in each run, and what the egress guard refused."""

from collections import OrderedDict
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.call import Call
from taske_ray.core.ids import format_id
from taske_ray.core.outcome import Failed, Outcome
from taske_ray.db.audit import Entry
from taske_ray.services.trail import Trail

_remembered = 50_000


class CallTrail:
    """Looks at each outcome. A run whose steps are made by several clients may say twice that it used a connection.

    A check of a poll belongs to no run: its task says which connection it uses, again and again.
    """

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._used: OrderedDict[tuple[str, UUID], None] = OrderedDict()

    def saw(self, call: Call, outcome: Outcome) -> None:
        """Note what is to be noted of a call that has ended."""
        refused = isinstance(outcome, Failed) and outcome.code == "egress_denied"
        if refused:
            self._trail.count(_entry(call, "egress.refuse", call.capability, "refused"))
        if call.connection_id is not None and call.run_id and not _is_unsent(outcome):
            self._use(call, call.connection_id)

    def _use(self, call: Call, connection_id: UUID) -> None:
        key = (call.run_id, connection_id)
        if key in self._used:
            return
        self._used[key] = None
        if len(self._used) > _remembered:
            self._used.popitem(last=False)
        self._trail.note(_entry(call, "connection.use", format_id("conn", connection_id), "ok"))


def _entry(call: Call, action: str, object_: str, result: str) -> Entry:
    about = {"capability": call.capability, "run_id": call.run_id} if call.run_id else {"capability": call.capability}
    return Entry(new_id(), action, call.user_id, object_, result, detail=about)


def _is_unsent(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and not outcome.sent
