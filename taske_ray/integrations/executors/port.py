"""What an executor is given, and what it can be asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from taske_ray.core.call import Call
from taske_ray.core.capability import Capability, ConnectionValues
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded
from taske_ray.core.redaction import Redactor
from taske_ray.core.url import BadUrl
from taske_ray.integrations.egress import EgressDenied
from taske_ray.integrations.failures import NotSent

unreachable_errors = (BadUrl, EgressDenied, NotSent, OSError)


@dataclass(frozen=True, slots=True)
class Job:
    """One call of an internal capability with its opened connection. `may_send` is false once the lease is over."""

    call: Call
    capability: Capability
    connection: ConnectionValues
    may_send: Callable[[], bool] = field(default=lambda: True)

    @property
    def params(self) -> Mapping[str, Any]:
        """The filled parameters; what was not given is None."""
        return self.capability.params.scope(self.call.params)


class Executor(Protocol):
    """Runs the capabilities of one kind. Every failure is an outcome; nothing is retried here."""

    async def perform(self, job: Job) -> Outcome:
        """Do it."""
        ...

    async def test(self, connection: ConnectionValues) -> Succeeded | Failed:
        """Whether the connection works; the output is `{"label": …}`."""
        ...


class Place:
    """Where a connection leads: its host and port, and a redactor of its secrets."""

    def __init__(self, connection: ConnectionValues, default_port: int) -> None:
        self.values: dict[str, Any] = {**connection.config, **connection.secret}
        self.host: str = self.values["host"]
        self.port: int = self.values.get("port") or default_port
        self.redactor = Redactor(connection.secret.values())

    def failed(self, error_class: ErrorClass, code: str, message: str, *, sent: bool = True) -> Failed:
        """A failure whose text tells no secret of the connection."""
        return Failed(error_class, code, self.redactor.text(message)[:500], sent=sent)

    def unreachable(self, error: Exception) -> Failed:
        """Nothing was sent (one of `unreachable_errors`): refused for good, or not there just now."""
        if isinstance(error, EgressDenied | BadUrl):
            denied = EgressDenied()  # what is no host at all looks like a host that may not be called
            return self.failed(ErrorClass.FATAL, denied.code, denied.message, sent=False)
        return self.failed(ErrorClass.TRANSIENT, "connect_failed", "No connection could be made.", sent=False)
