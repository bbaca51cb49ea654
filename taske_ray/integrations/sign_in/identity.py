"""What a provider says of a person, and what every provider can be asked."""

from dataclasses import dataclass, field
from typing import Protocol

from taske_ray.errors import Unauthenticated, Unavailable


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as a provider knows them: `(issuer, subject)` never changes, `email` may and counts only if verified."""

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """What goes into the address that a browser is sent to."""

    redirect_uri: str
    state: str = field(repr=False)
    challenge: str
    nonce: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Return:
    """What came back, and what only the one who began it knows. `answered_by` is the `iss` of the answer (RFC 9207)."""

    redirect_uri: str
    code: str = field(repr=False)
    answered_by: str | None
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)


class ProviderAway(Unavailable):
    """The provider does not answer; try again shortly."""

    code = "provider_unavailable"


class SignInRefused(Unauthenticated):
    """The provider did not confirm who you are; begin again."""

    code = "sign_in_refused"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class IdentityProvider(Protocol):
    """A provider, whatever its dialect."""

    async def address(self, visit: Visit) -> str:
        """Where the browser goes. Raises ProviderAway."""
        ...

    async def identify(self, returned: Return) -> Identity:
        """Who came back. Raises ProviderAway, SignInRefused, BadIdToken."""
        ...
