"""How one request is brought through: who is asking, when to try again, when to give up. No I/O, no sleeping."""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import count

from taske_ray.errors import Unavailable
from taske_ray.schemas.auth import TokenPair
from taske_ray.sdk.problems import retry_after
from taske_ray.sdk.requests import Reply, Request, Wait, parse


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. `sent` says whether the request may have arrived all the same."""

    message: str
    sent: bool


Delivery = Generator[Request | Wait, Reply | Lost | None, Reply]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try again, and how long to wait: exponential with full jitter, or what `Retry-After` says.

    A service that asks for more than `longest_s` is not waited for: the error is raised, and says how long.
    """

    retries: int = 4
    base_s: float = 0.25
    longest_s: float = 30.0
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, request: Request, answer: Reply | Lost) -> float | None:
        """Seconds to wait before the next attempt; None: this answer stands."""
        if attempt > self.retries:
            return None
        backoff: float = min(self.longest_s, self.base_s * 2**attempt) * self.jitter()
        if isinstance(answer, Lost):
            return backoff if request.repeatable or not answer.sent else None
        if answer.status not in (429, 503):
            return None
        asked = retry_after(answer.headers)
        if asked is None:
            return backoff
        return float(asked) if asked <= self.longest_s else None


class Session:
    """Who is asking: an API key or an access token, and the refresh token that gives the next one."""

    def __init__(self, bearer: str | None = None) -> None:
        self.bearer = bearer
        self.refresh_token: str | None = None

    def keep(self, pair: TokenPair) -> None:
        """Use these tokens from now on."""
        self.bearer, self.refresh_token = pair.access_token, pair.refresh_token

    def forget(self) -> None:
        """Be nobody."""
        self.bearer = self.refresh_token = None

    def sign(self, request: Request) -> Request:
        """The request with its `Authorization`."""
        if not request.authorized or self.bearer is None:
            return request
        return request.with_header("Authorization", f"Bearer {self.bearer}")


def deliver(request: Request, session: Session, patience: Patience) -> Delivery:
    """Bring one request through, renewing an access token that has run out; raises Unavailable if nobody answers."""
    reply = yield from _insist(session.sign(request), patience)
    if reply.status != 401 or not request.authorized or session.refresh_token is None:  # noqa: PLR2004 - unauthenticated
        return reply
    renewal = Request("POST", "/auth/refresh", body={"refresh_token": session.refresh_token})
    renewed = yield from _insist(renewal, patience)
    if renewed.status != 200:  # noqa: PLR2004 - anything else: the session is over
        return reply
    session.keep(parse(TokenPair, renewed))
    return (yield from _insist(session.sign(request), patience))


def _insist(request: Request, patience: Patience) -> Delivery:
    for attempt in count(1):  # pragma: no branch - the patience ends it
        answer = yield request
        assert answer is not None
        pause = patience.pause(attempt, request, answer)
        if pause is not None:
            yield Wait(pause)
        elif isinstance(answer, Lost):
            raise Unavailable(answer.message, code="unreachable")
        else:
            return answer
    raise AssertionError
