"""How a request can go wrong, by what may have left this machine and not by where it was noticed (durability, 6.2)."""

from taske_ray.core.outcome import ErrorClass
from taske_ray.errors import TaskeError


class NotSent(TaskeError):
    """Nothing left this machine. `retry_after_s` is when to try again, where that is known."""

    def __init__(
        self,
        code: str,
        message: str,
        error_class: ErrorClass = ErrorClass.TRANSIENT,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.error_class = error_class
        self.retry_after_s = retry_after_s


class MaybeSent(TaskeError):
    """The request may have arrived, and no complete answer came back."""

    code = "unknown_outcome"


class Refused(TaskeError):
    """The service answered, and the answer, or where it leads, is not acceptable."""

    def __init__(self, code: str, message: str, error_class: ErrorClass = ErrorClass.FATAL) -> None:
        super().__init__(message, code=code)
        self.error_class = error_class
