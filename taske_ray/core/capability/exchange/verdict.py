"""What an answer means: error rules, then `success`, then the status table; message and wait (format, section 5)."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.capability.document.policy import ErrorRule, RateHeaders
from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.redaction import Redactor
from taske_ray.core.times import parse_time
from taske_ray.errors import TemplateError

Scope = Mapping[str, Any]
_by_status: Final = {
    401: ErrorClass.AUTH_EXPIRED,
    403: ErrorClass.PERMISSION,
    404: ErrorClass.NOT_FOUND,
    410: ErrorClass.NOT_FOUND,
    409: ErrorClass.CONFLICT,
    429: ErrorClass.RATE_LIMITED,
    408: ErrorClass.TRANSIENT,
    425: ErrorClass.TRANSIENT,
}
_message_paths: Final = (("error", "message"), ("message",), ("error_description",), ("error",), ("detail",))
_longest_message: Final = 500
_go_units: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_go_part: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)")
_longest_wait_s: Final = 366 * 86_400.0


def judge(
    rules: tuple[ErrorRule, ...],
    success: Expression | None,
    scope: Scope,
    *,
    connected: bool,
    rate_headers: RateHeaders | None,
    redactor: Redactor,
) -> Failed | None:
    """None if the answer is a success, else how it failed. Raises `TemplateError` for a condition that fails."""
    rule = next((each for each in rules if each.when.evaluate(scope)), None)
    if rule is not None and rule.error_class == "ignore":
        return None
    status = scope["response"]["status"]
    if rule is not None:
        error_class = ErrorClass(rule.error_class)
    elif success.evaluate(scope) if success is not None else 200 <= status < 300:  # noqa: PLR2004 - HTTP's own figures
        return None
    else:
        error_class = by_status(status)
    if error_class is ErrorClass.AUTH_EXPIRED and not connected:
        error_class = ErrorClass.PERMISSION
    return Failed(
        error_class=error_class,
        code="service_error" if rule is not None or 200 <= status < 300 else "http_error",  # noqa: PLR2004
        message=_message(rule, scope, redactor),
        http_status=status,
        retry_after_s=_retry_after(rule, scope, rate_headers),
    )


def by_status(status: int) -> ErrorClass:
    """The class of a status when nothing else says what it means."""
    return _by_status.get(status) or (ErrorClass.TRANSIENT if status >= 500 else ErrorClass.INVALID)  # noqa: PLR2004


def _message(rule: ErrorRule | None, scope: Scope, redactor: Redactor) -> str:
    """The service's own words, masked before they are cut."""
    response = scope["response"]
    said = _evaluated(rule.message, scope) if rule is not None and rule.message is not None else None
    text = said if isinstance(said, str) and said else _said(response["body"])
    return redactor.text(text or f"the service answered {response['status']}")[:_longest_message]


def _said(body: Any) -> str | None:
    for path in _message_paths:
        found = body
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            return found
    return None


def _evaluated(expression: Expression, scope: Scope) -> Any:
    """A part of an error that is missing is no reason to hide the error itself."""
    try:
        return expression.evaluate(scope)
    except TemplateError:
        return None


def _retry_after(rule: ErrorRule | None, scope: Scope, rate_headers: RateHeaders | None) -> float | None:
    headers, now = scope["response"]["headers"], parse_time(scope["now"])
    stated = _evaluated(rule.retry_after, scope) if rule is not None and rule.retry_after is not None else None
    for value in (stated, headers.get("retry-after")):
        seconds = read_wait(value, now)
        if seconds is not None:
            return seconds
    return learned_wait(headers, rate_headers, now)


def read_wait(value: Any, now: datetime) -> float | None:
    """Seconds to wait, from seconds or an HTTP date (RFC 9110, 10.2.3); None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        try:
            seconds = (parsedate_to_datetime(str(value)) - now).total_seconds()
        except (TypeError, ValueError, IndexError):
            return None
    return min(max(seconds, 0.0), _longest_wait_s) if seconds == seconds else None  # noqa: PLR0124 - not a number


def learned_wait(headers: Mapping[str, str], spec: RateHeaders | None, now: datetime) -> float | None:
    """How long the service's own counters say to wait: nothing while something remains."""
    if spec is None or spec.reset not in headers:
        return None
    try:
        if float(headers.get(spec.remaining, "0")) > 0:
            return None
        return max(0.0, _reset_in(headers[spec.reset], spec.unit, now))
    except ValueError:
        return None


def _reset_in(text: str, unit: str, now: datetime) -> float:
    if unit == "epoch_s":
        return float(text) - now.timestamp()
    if unit == "go_duration":
        parts = _go_part.findall(text)
        if "".join(number + name for number, name in parts) != text or not parts:
            raise ValueError(text)
        return sum(float(number) * _go_units[name] for number, name in parts)
    return float(text) * (1e-3 if unit == "ms" else 1.0)
