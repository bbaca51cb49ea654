"""JSON answers, written once: models describe them in OpenAPI, orjson writes them."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

_options = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response; datetimes become RFC 3339 in UTC."""
    return Response(orjson.dumps(value, option=_options), status, dict(headers or {}), media_type="application/json")


def nothing() -> Response:
    """204."""
    return Response(status_code=204)
