"""What an outcome leaves on record: the closed attempt, and the errors of attempt, step and run."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from taske_ray.core.outcome import ErrorClass, Failed, Succeeded, Unknown
from taske_ray.core.retry import is_counted, obeyed_wait_s
from taske_ray.core.run import Attempt, AttemptStatus, Step, StepStatus
from taske_ray.core.storable import storable


def close(attempt: Attempt, outcome: Succeeded | Failed | Unknown, now: datetime) -> Attempt:
    """The attempt with what came of it."""
    attempt = replace(attempt, finished_at=now, request=_shown(outcome.request))
    match outcome:
        case Succeeded():
            return replace(attempt, status=AttemptStatus.SUCCEEDED, sent=True, http_status=outcome.http_status)
        case Failed():
            return replace(
                attempt,
                status=AttemptStatus.FAILED,
                sent=outcome.sent,
                counted=is_counted(outcome),
                http_status=outcome.http_status,
                error=failure_error(outcome),
            )
        case Unknown():
            return replace(attempt, status=AttemptStatus.UNKNOWN, error=unknown_error(outcome))


def _shown(request: dict[str, Any] | None) -> Any:
    try:
        return storable(request)
    except ValueError:  # nested so deep that nobody would read it
        return None


def failure_error(failure: Failed) -> dict[str, Any]:
    """The error of an attempt that failed."""
    error: dict[str, Any] = {
        "class": failure.error_class.value,
        "code": failure.code,
        "message": storable(failure.message),
    }
    ordered = obeyed_wait_s(failure.retry_after_s)
    return error if ordered is None else {**error, "retry_after_s": ordered}


def unknown_error(outcome: Unknown) -> dict[str, Any]:
    """The error of an attempt of which nobody knows whether it arrived."""
    return {"class": "unknown", "code": outcome.code, "message": storable(outcome.message)}


def with_error(step: Step, code: str, message: str, error_class: ErrorClass = ErrorClass.FATAL) -> Step:
    """The step, failed before or after its call."""
    return replace(
        step, status=StepStatus.FAILED, error={"class": error_class.value, "code": code, "message": storable(message)}
    )


def run_error(step: Step) -> dict[str, Any]:
    """The error of a run that this step ended, or parked."""
    return {**(step.error or {}), "step": step.key}
