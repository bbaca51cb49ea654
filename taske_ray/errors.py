"""Every error that Taske raises on purpose, in one tree.

An error's docstring is its default message and its `code` is stable for clients. No HTTP numbers live here:
`deployments/shared/problems.py` maps classes to statuses and `taske_ray/sdk` maps them back.

    TaskeError
    ├── Invalid                 input that breaks a rule; carries one FieldError per broken rule
    │   └── TemplateError       a template or condition that does not parse or cannot be evaluated
    ├── NotFound                no such thing, or not yours
    ├── Conflict                the thing is in another state than the request assumes
    │   └── VersionConflict     a stated version is neither the current nor the next one
    ├── PreconditionFailed      `If-Match` names an older version
    ├── Unauthenticated         nobody we know
    │   └── SecondFactorRequired    the password is right, a code is still due; raised by the SDK alone
    ├── Forbidden               known, but not allowed
    ├── TooLarge                more bytes than we take
    ├── RequestTimeout          a request that arrives too slowly
    ├── UnsupportedMediaType    a body that is not JSON
    ├── TooManyRequests         slow down; carries `retry_after_s`
    ├── Unavailable             the database or a part of the service is away; carries `retry_after_s`
    └── StartRefused            the service cannot start like this (settings, data directory, database)
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule: where (`pointer`, RFC 6901), which (`code`, stable) and what to do (`message`)."""

    pointer: str
    code: str
    message: str


class TaskeError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        if code is not None:
            self.code = code
        super().__init__(self.message)


class Invalid(TaskeError):
    """The input breaks a rule."""

    code = "invalid"

    def __init__(
        self, message: str | None = None, *, errors: Iterable[FieldError] = (), code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.errors = tuple(errors)

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "Invalid":
        """An error about one field."""
        return cls(message, errors=[FieldError(pointer, code, message)])


class TemplateError(Invalid):
    """A template or condition does not parse or cannot be evaluated."""

    code = "template_syntax"

    def __init__(self, code: str, message: str, pointer: str = "") -> None:
        super().__init__(message, errors=[FieldError(pointer, code, message)], code=code)
        self.pointer = pointer

    def __reduce__(self) -> tuple[type["TemplateError"], tuple[str, str, str]]:
        """How it travels between processes: its arguments are others than its text."""
        return TemplateError, (self.code, self.message, self.pointer)


class NotFound(TaskeError):
    """There is no such thing."""

    code = "not_found"


class Conflict(TaskeError):
    """The thing is in another state than the request assumes."""

    code = "conflict"


class VersionConflict(Conflict):
    """The stated version is neither the current nor the next one."""

    code = "version_conflict"


class PreconditionFailed(TaskeError):
    """The thing has changed since you read it."""

    code = "precondition_failed"


class Unauthenticated(TaskeError):
    """Who are you? Send a valid access token or API key."""

    code = "unauthenticated"


class SecondFactorRequired(Unauthenticated):
    """The password is right; this account asks for a code, too."""

    code = "second_factor_required"

    def __init__(
        self, message: str | None = None, *, code: str | None = None, challenge: str = "", methods: Iterable[str] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.challenge = challenge
        self.methods = tuple(methods)


class Forbidden(TaskeError):
    """You may not do this."""

    code = "forbidden"


class TooLarge(TaskeError):
    """The body is larger than 1 MiB."""

    code = "too_large"


class RequestTimeout(TaskeError):
    """The request did not arrive in time."""

    code = "request_timeout"


class UnsupportedMediaType(TaskeError):
    """The body must be application/json."""

    code = "unsupported_media_type"


class _Later(TaskeError):
    """Not now."""

    def __init__(self, message: str | None = None, *, retry_after_s: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class TooManyRequests(_Later):
    """Too many requests; try again later."""

    code = "rate_limited"


class Unavailable(_Later):
    """The service cannot do this right now; try again shortly."""

    code = "unavailable"


class StartRefused(TaskeError):
    """The service cannot start like this."""

    code = "start_refused"
