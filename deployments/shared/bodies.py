"""Reading a request's body: counted while it arrives, JSON only, and strictly (security, 14)."""

import json
import math
from typing import Any, Never

from starlette.requests import Request

from taske_ray.errors import Invalid, TooLarge, UnsupportedMediaType

max_bytes = 1024 * 1024
_max_depth = 64
_max_keys = 10_000
_max_elements = 100_000
_int64 = 2**63


async def read_body(request: Request, limit: int = max_bytes) -> bytes:
    """The body, read no further than the limit whatever Content-Length says. Raises TooLarge."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise TooLarge(_too_large(limit))
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(_too_large(limit))
        chunks.append(chunk)
    return b"".join(chunks)


def require_json(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body says that it is plain JSON in UTF-8."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().partition("charset=")[2].strip("\"' ")
    if media.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("A request body must not be compressed")


def parse_json(data: bytes) -> Any:
    """The JSON value, or Invalid: keys written twice, NaN, NUL, half characters and boundless numbers are errors."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise _invalid("too_deep", f"JSON may be nested {_max_depth} deep") from None
    except ValueError as error:
        raise _invalid("bad_json", f"The body is not JSON: {error}") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _invalid("duplicate_key", f"The key {twice!r} stands twice in one object")
    return result


def _refuse_constant(name: str) -> Never:
    raise _invalid("bad_number", f"{name} is not JSON")


def _check(value: Any) -> None:
    level, depth, keys, elements = [value], 0, 0, 0
    while level:
        depth += 1
        if depth > _max_depth:
            raise _invalid("too_deep", f"JSON may be nested {_max_depth} deep")
        following: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                keys += len(part)
                for name in part:
                    _check_text(name)
                following.extend(part.values())
            elif isinstance(part, list):
                elements += len(part)
                following.extend(part)
            else:
                _check_scalar(part)
        if keys > _max_keys or elements > _max_elements:
            raise _invalid("too_many", f"At most {_max_keys} keys and {_max_elements} array elements")
        level = following


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and not -_int64 <= value < _int64
    ):
        raise _invalid("bad_number", "Numbers are 64-bit integers or finite doubles")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise _invalid("bad_text", "Text must not contain the character NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _invalid("bad_text", "Text must not contain half of a character")


def _invalid(code: str, message: str) -> Invalid:
    return Invalid.at("", code, message)


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit // 1024} KiB"
