"""How the requests of calls go out: places, breakers, limits, the lease, and one deadline over a whole conversation."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from taske_ray.clock import Clock
from taske_ray.core.call import Call
from taske_ray.core.capability import Capability, idempotency_class
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.size import mib
from taske_ray.core.url import BadUrl, parse_url
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.limiter import Limit, Limiter
from taske_ray.integrations.limits import CallLimits, limits_of, pause_learned
from taske_ray.integrations.pacing import Pacing
from taske_ray.integrations.transport import Transport
from taske_ray.limits import Limits, profiles

patience_s = 1.0
own_timeout_s = 30.0
lease_margin_s = 1.0
_server_error = 500
_nowhere = ("", "", 0)


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a process keeps to beside what modules declare (durability, 12).

    `room` calls may be in flight; `retries_per_s` may go to one host, beside a tenth of the first attempts.
    `lease_end` is until when a call may send, in seconds of the database's clock, asked before each request; None: for
    ever.
    """

    limits: Limits = profiles["default"]
    room: int = 400
    retries_per_s: float = 1.0
    lease_end: Callable[[Call], float | None] = lambda call: call.lease_ends_at


@dataclass(slots=True)
class Sending:
    """What one call has used so far."""

    left_s: float
    host: str = ""
    began: bool = False
    received_bytes: int = 0


class Sender:
    """Sends the requests of one process. `database_time` estimates the database's clock, in seconds since the epoch.

    `pacing` is for calls that make no request: they take places, too.
    """

    def __init__(
        self, transport: Transport, *, clock: Clock, database_time: Callable[[], float], conduct: Conduct
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._database_time = database_time
        self._lease_end = conduct.lease_end
        self._limits = conduct.limits
        self._limiter = Limiter()
        self.pacing = Pacing(
            room=conduct.room,
            most=conduct.limits.calls_in_flight,
            retries_per_s=conduct.retries_per_s,
            monotonic=clock.monotonic,
        )

    def of(
        self, capability: Capability, call: Call, sending: Sending
    ) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
        """How the requests of one call go out; it raises NotSent, MaybeSent or Refused."""
        limits = limits_of(capability, call)
        careful = idempotency_class(capability, call.params, call.run_id, call.step) == "ask"
        sending.left_s = call.timeout_s

        def may_send() -> bool:
            return self.may_send(call)

        async def send(request: HttpRequest) -> HttpResponse:
            sending.host = _origin_of(request.url)[1]
            if call.run_id or call.depth:
                request = replace(request, depth=call.depth + 1)
            async with self.pacing.place(
                call.user_id, sending.host, first=not sending.began, retry=call.is_retry
            ) as place:
                await self._wait_for(limits, call.user_id, sending.host)
                response = await self._sent(self._bounded(request), sending, careful=careful, may_send=may_send)
                place.failed = response.status >= _server_error
            if (pause_s := pause_learned(capability, response, self._clock.now())) is not None:
                self.pause([limits.connection_key], pause_s)
            return response

        return send

    def may_send(self, call: Call) -> bool:
        """Whether the caller's lease still holds (durability, 5.4)."""
        ends_at = self._lease_end(call)
        return ends_at is None or self._database_time() < ends_at - lease_margin_s

    async def ask(
        self, owner: UUID | None, request: HttpRequest, may_send: Callable[[], bool] = lambda: True
    ) -> HttpResponse:
        """One request that belongs to no call of a run. Raises NotSent, MaybeSent or Refused."""
        async with self.pacing.place(owner, _origin_of(request.url)[1]) as place:
            response = await self._transport.send(
                request, timeout_s=min(request.timeout_s, own_timeout_s), may_send=may_send
            )
            place.failed = response.status >= _server_error
            return response

    def pause(self, keys: Iterable[object], seconds: float) -> None:
        """Nothing goes out for any of these keys for so long."""
        self._limiter.pause(list(keys), self._clock.monotonic() + seconds)

    async def close(self) -> None:
        """Close every connection to services."""
        await self._transport.close()

    async def _sent(
        self, request: HttpRequest, sending: Sending, *, careful: bool, may_send: Callable[[], bool]
    ) -> HttpResponse:
        if not may_send():
            raise NotSent("lease_over", lease_over().message)
        if sending.left_s <= 0:
            raise NotSent("timeout", "The time for the whole call is over.")
        started = self._clock.monotonic()
        timeout_s = min(request.timeout_s, sending.left_s)
        sending.began = True
        try:
            response = await self._transport.send(request, timeout_s=timeout_s, careful=careful, may_send=may_send)
        finally:
            sending.left_s -= self._clock.monotonic() - started
        sending.received_bytes += len(response.body)
        return response

    def _bounded(self, request: HttpRequest) -> HttpRequest:
        """The request, with no larger an answer than this service takes."""
        most = self._limits.response_mib * mib
        return request if request.max_bytes <= most else replace(request, max_bytes=most)

    async def _wait_for(self, limits: CallLimits, user_id: UUID, host: str) -> None:
        now, keys = self._clock.monotonic(), (limits.connection_key, *limits.asked_keys(host))
        wanted = limits.limits
        if self._limits.calls_per_s is not None:
            wanted = (*wanted, Limit(("user", user_id, host), self._limits.calls_per_s, 1.0))
        wait_s = self._limiter.reserve(wanted, keys, now=now, patience_s=patience_s)
        if wait_s > patience_s:
            message = "The service may not be called so often; the step waits."
            raise NotSent("rate_limited", message, ErrorClass.RATE_LIMITED, retry_after_s=wait_s)
        if wait_s > 0:
            await self._clock.sleep(wait_s)


def lease_over() -> Failed:
    """What comes of a call whose caller may no longer own the run."""
    return Failed(ErrorClass.TRANSIENT, "lease_over", "The run may have been taken over; nothing was sent.", sent=False)


def _origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    try:
        return parse_url(url).origin
    except BadUrl:
        return _nowhere  # the transport refuses it in a moment
