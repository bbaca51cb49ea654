"""What services need from the actors, as four small promises; `actors/cluster_ports.py` keeps them, tests use fakes."""

from typing import Any, Protocol
from uuid import UUID

from taske_ray.core.call import Call
from taske_ray.core.outcome import Outcome
from taske_ray.db.fire_values import AssignedRun


class RunHosts(Protocol):
    """The live run hosts, as this process last saw them."""

    def pick(self, key: bytes) -> UUID | None:
        """The host that should take a run, or None: then the run is queued and any host claims it."""
        ...

    def assigned(self, run: AssignedRun) -> None:
        """Nudge the run's host to start it. Losing the nudge costs two seconds, never the run."""
        ...

    def queued(self) -> None:
        """Nudge the hosts to claim queued runs now."""
        ...


class Watchers(Protocol):
    """The supervisor and its watchers."""

    def changed(self) -> None:
        """Nudge the supervisor: triggers were created, changed, enabled, disabled or deleted."""
        ...


class Calls(Protocol):
    """The pool of IntegrationClients, for calls that a person waits for."""

    async def perform(self, call: Call) -> Outcome:
        """Do it now and return its outcome."""
        ...

    async def test_connection(self, user_id: UUID, connection_id: UUID) -> Outcome:
        """Make the connection's test request; Succeeded.output is `{"label": …}`."""
        ...


class Consents(Protocol):
    """The same pool, for what only a process that may open credentials can do besides calls."""

    async def connect(self, user_id: UUID, connection_id: UUID, consent_id: UUID) -> Outcome:
        """Exchange a consent's code; Succeeded.output is `{"connection": …, "label": …}`."""
        ...

    async def authorize_url(self, user_id: UUID, consent_id: UUID, *, state: str, challenge: str) -> Outcome:
        """Where to send a user to a provider whose parameters read secrets; Succeeded.output is the address."""
        ...

    async def revoke(self, user_id: UUID, connection_id: UUID) -> bool:
        """Have the provider forget a connection's tokens; False where that was not possible."""
        ...


class Farewells(Protocol):
    """The same pool, for an account that is about to go."""

    async def revoke_all(self, user_id: UUID) -> int:
        """Have the providers forget the tokens of all connections of a user; how many did, in bounded time."""
        ...


class Readiness(Protocol):
    """Whether the parts behind the API answer."""

    async def parts(self) -> dict[str, bool]:
        """Supervisor, run hosts and integration clients, each with yes or no."""
        ...

    async def figures(self) -> dict[str, Any]:
        """Live counts for `/metrics`: watchers, live runs, calls in flight, queue lengths."""
        ...
