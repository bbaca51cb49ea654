"""Values of a database as JSON: exact numbers stay exact as text, times are ISO 8601, bytes are base64."""

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from typing import Any

_largest_exact = 2**53


@singledispatch
def as_json(value: Any) -> Any:
    """The value as JSON has it; what JSON cannot say becomes text."""
    return str(value)


@as_json.register(type(None))
@as_json.register(bool)
@as_json.register(str)
def _same(value: Any) -> Any:
    return value


@as_json.register
def _integer(value: int) -> Any:
    return value if abs(value) <= _largest_exact else str(value)


@as_json.register
def _float(value: float) -> Any:
    return value if math.isfinite(value) else str(value)


@as_json.register
def _decimal(value: Decimal) -> Any:
    whole = value.is_finite() and value == value.to_integral_value() and abs(value) <= _largest_exact
    return int(value) if whole else str(value)


@as_json.register(datetime)
@as_json.register(date)
@as_json.register(time)
def _moment(value: Any) -> str:
    return str(value.isoformat()).replace("+00:00", "Z")


@as_json.register
def _duration(value: timedelta) -> str:
    return f"PT{value.total_seconds():g}S"


@as_json.register(bytes)
@as_json.register(bytearray)
@as_json.register(memoryview)
def _bytes(value: Any) -> str:
    return base64.b64encode(bytes(value)).decode()


@as_json.register
def _object(value: dict) -> Any:  # type: ignore[type-arg]
    return {str(name): as_json(part) for name, part in value.items()}


@as_json.register(list)
@as_json.register(tuple)
def _array(value: Any) -> Any:
    return [as_json(part) for part in value]
