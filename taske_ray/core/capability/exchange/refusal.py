"""Why the engine itself will not go on; becomes a `Failed` before it leaves the conversation."""

from taske_ray.core.outcome import ErrorClass


class Refusal(Exception):
    """The engine refuses to send or to read something."""

    def __init__(self, code: str, message: str, error_class: ErrorClass = ErrorClass.FATAL) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.error_class = error_class
