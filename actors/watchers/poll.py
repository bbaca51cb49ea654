"""PollWatcher: asks a service what is new, and records events and cursor in one transaction.

Nothing of the cursor lives here between checks: each check begins with the trigger's row. Stopped between the answer
and the COMMIT, the page is fetched again and each of its items still becomes one run.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from actors.watchers.firing import fire_of
from actors.watchers.ports import Ports
from taske_ray.core.call import Call
from taske_ray.core.capability import Capability
from taske_ray.core.outcome import Failed, Fetched, Succeeded, Unknown
from taske_ray.core.polling import PollDecision, back_off, cursor_scope, decide, item_keys, needs_ledger, parse_state
from taske_ray.core.times import format_time, parse_duration
from taske_ray.crash_points import reach
from taske_ray.db.fire_values import PollFire
from taske_ray.db.triggers import WatchedTrigger

_timeout_s = 60.0
_look_again = timedelta(seconds=1)
Reload = Callable[[], Awaitable[WatchedTrigger | None]]


class PollWatcher:
    """The watcher of one polled list. `reload` reads the trigger's row again; None when it is no longer enabled."""

    def __init__(self, trigger: WatchedTrigger, capability: Capability, ports: Ports, *, reload: Reload) -> None:
        assert capability.poll is not None
        self._trigger = trigger
        self._capability = capability
        self._rules = capability.poll
        self._ports = ports
        self._reload = reload
        every = trigger.spec.get("every")
        self._every = parse_duration(every) if every else capability.poll.every
        self._next: datetime | None = ports.time.now()

    @property
    def due_at(self) -> float | None:
        """The next check, in seconds since the epoch; the first one is at once."""
        return None if self._next is None else self._next.timestamp()

    async def act(self) -> None:
        """Make one check, unless others may watch by now."""
        if not self._ports.time.is_trusted:
            self._next = self._ports.time.now() + _look_again
            return
        trigger = await self._reload()
        if trigger is None or trigger.version != self._trigger.version:
            # the supervisor ends or replaces this watcher, or it was switched off and on in between
            self._next = self._ports.time.now() + _look_again
            return
        self._trigger = trigger
        began_at = self._ports.time.now()
        outcome = await self._ports.calls.perform(self._call(began_at))
        match outcome:
            case Fetched():
                self._next = began_at + await self._digest(outcome, began_at)
            case Failed() | Unknown():
                self._next = began_at + await self._failed(outcome)
            case Succeeded():
                raise TypeError("a poll answered like an action")

    def _call(self, now: datetime) -> Call:
        trigger, state = self._trigger, parse_state(self._trigger.cursor)
        at = format_time(now)
        return Call(
            id=f"poll:{trigger.id}:{trigger.cursor_version}:{at}",
            user_id=trigger.user_id,
            capability=trigger.capability,
            version=trigger.capability_version,
            params=trigger.spec,
            now=at,
            connection_id=trigger.connection_id,
            timeout_s=_timeout_s,
            lease_ends_at=self._ports.time.ends_at,
            host=self._ports.time.host_id,
            cursor=cursor_scope(state, self._rules.cursor, at),
            validators=dict(state.validators),
            task_id=trigger.task_id,
        )

    async def _digest(self, fetched: Fetched, began_at: datetime) -> timedelta:
        known: set[tuple[str, str]] = set()
        if needs_ledger(fetched, self._rules):
            known = await self._ports.recorder.known_items(self._trigger.id, item_keys(fetched))
        state = parse_state(self._trigger.cursor)
        decision = decide(state, fetched, self._rules, began_at=began_at, every=self._every, known=known)
        reach("C6")
        recorded = await self._ports.recorder.fire_poll(self._written(decision))
        reach("C7")
        if recorded.lost:
            return timedelta()  # another check moved the cursor: begin again from there
        if recorded.full:
            return self._every  # nothing was taken: the same page comes again
        self._ports.runs.begin(recorded.fired)
        return decision.next_check_in

    def _written(self, decision: PollDecision) -> PollFire:
        trigger, runs = self._trigger, self._ports.runs
        return PollFire(
            trigger_id=trigger.id,
            cursor_version=trigger.cursor_version,
            cursor=decision.state.to_json(),
            candidates=tuple(
                (item.key, item.version_key, fire_of(trigger, item.fire_key, item.output, runs=runs))
                for item in decision.candidates
            ),
            seed=decision.seed,
            check=dict(decision.check),
        )

    async def _failed(self, outcome: Failed | Unknown) -> timedelta:
        retry_after_s = outcome.retry_after_s if isinstance(outcome, Failed) else None
        error = {"code": outcome.code, "message": outcome.message}
        await self._ports.recorder.poll_failed(self._trigger.id, {"error": error})
        return back_off(self._every, self._trigger.consecutive_errors + 1, retry_after_s)
