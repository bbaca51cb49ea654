"""Which limits and pauses apply to a call, from what its capability and module declare (format, section 5). Pure."""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taske_ray.core.call import Call
from taske_ray.core.capability import Capability, RateLimit, learned_wait
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Outcome
from taske_ray.errors import TemplateError
from taske_ray.integrations.limiter import Limit

longest_pause_s = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits that must all grant, and what a pause may hold: the whole connection, or just calls like this one."""

    limits: tuple[Limit, ...]
    connection_key: Hashable
    own_key: Hashable

    def asked_keys(self, host: str) -> tuple[Hashable, ...]:
        """What stops when a service says "slow down": this capability at that host, and every limit it declares."""
        return ((self.own_key, host), *(limit.key for limit in self.limits))


def limits_of(capability: Capability, call: Call) -> CallLimits:
    """Everything that bounds how often this call may be made. A call without a connection counts for its user."""
    who = call.connection_id or call.user_id
    limits = tuple(_limit(rule, capability, call, who) for rule in capability.rate_limits)
    return CallLimits(limits, ("connection", who), ("capability", who, capability.id))


def pause_asked_for(outcome: Outcome) -> float | None:
    """How many seconds a service that answered wants to be left alone."""
    if isinstance(outcome, Failed) and outcome.sent and outcome.error_class is ErrorClass.RATE_LIMITED:
        return min(outcome.retry_after_s, longest_pause_s) if outcome.retry_after_s else None
    return None


def pause_learned(capability: Capability, response: HttpResponse, now: datetime) -> float | None:
    """How long the counters in a response say that nothing is left."""
    wait = learned_wait(response.headers, capability.rate_headers, now)
    return min(wait, longest_pause_s) if wait else None


def _limit(rule: RateLimit, capability: Capability, call: Call, who: Hashable) -> Limit:
    return Limit(
        _key(rule.scope, capability, call, who), rule.limit, rule.per.total_seconds(), _weight(rule, capability, call)
    )


def _key(scope: str, capability: Capability, call: Call, who: Hashable) -> Hashable:
    if scope == "module":
        return "module", capability.module.id
    if scope == "connection":
        return "connection", who
    if scope == "capability":
        return "capability", who, capability.id
    name = scope.removeprefix("param:")
    return "param", who, capability.id, name, json.dumps(call.params.get(name), sort_keys=True)


def _weight(rule: RateLimit, capability: Capability, call: Call) -> int:
    try:
        weight: Any = rule.weight.evaluate({"params": capability.params.scope(call.params)})
        return max(1, int(weight))
    except (TemplateError, TypeError, ValueError):
        return 1
