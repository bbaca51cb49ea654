"""Pages of lists: `?limit=&cursor=`. A cursor is signed and good for one caller and one query only (security, 8.5)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from deployments.shared.answers import answer
from taske_ray.errors import FieldError, Invalid

max_limit = 200
_signature_bytes = 12
_paging_names = frozenset({"limit", "cursor"})


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page a request asks for: at most `limit` items behind `after` (None: the first page)."""

    limit: int
    after: str | None
    _key: bytes
    _query: bytes

    async def page(self, read: Callable[[int], Awaitable[Sequence[dict[str, Any]]]], place: str = "id") -> Response:
        """The page as an answer; `read(n)` gives up to n items behind `after`, ordered by their field `place`."""
        items = await read(self.limit + 1)
        shown, last = items[: self.limit], None
        if len(items) > self.limit:
            last = _sign(self._key, self._query, str(shown[-1][place]))
        return answer({"items": shown, "next_cursor": last})

    @property
    def after_id(self) -> UUID | None:
        """`after` as the UUID in a wire identifier."""
        return None if self.after is None else UUID(hex=self.after.partition("_")[2])

    @property
    def after_number(self) -> int | None:
        """`after` as a number."""
        return None if self.after is None else int(self.after)

    def of(self, items: Sequence[dict[str, Any]], place: str) -> Sequence[dict[str, Any]]:
        """The rest of a list that is in memory, in its order, behind `after`."""
        names = [str(item[place]) for item in items]
        return items if self.after not in names else items[names.index(self.after) + 1 :]


async def _paging(
    request: Request,
    limit: Annotated[int, Query(ge=1, description="items of a page, 200 at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")] = None,
) -> Paging:
    key: bytes = request.app.state.cursor_key
    query = _query_of(request)
    after = None if cursor is None else _verify(key, query, cursor)
    return Paging(min(limit, max_limit), after, key, query)


Page = Annotated[Paging, Depends(_paging)]


def _query_of(request: Request) -> bytes:
    """What a cursor is bound to: the caller, the list and its filters."""
    principal = request.state.principal
    filters = sorted(pair for pair in request.query_params.multi_items() if pair[0] not in _paging_names)
    return repr((principal.user_id.hex if principal else "", request.scope["path"], filters)).encode()


def _sign(key: bytes, query: bytes, place: str) -> str:
    return base64.urlsafe_b64encode(_signature(key, query, place) + place.encode()).decode().rstrip("=")


def _verify(key: bytes, query: bytes, cursor: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        signature, place = raw[:_signature_bytes], raw[_signature_bytes:].decode()
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if not hmac.compare_digest(signature, _signature(key, query, place)):
        raise _bad_cursor()
    return place


def _signature(key: bytes, query: bytes, place: str) -> bytes:
    return hmac.digest(key, query + b"\0" + place.encode(), hashlib.sha256)[:_signature_bytes]


def _bad_cursor() -> Invalid:
    return Invalid("bad cursor", errors=[FieldError("?cursor", "bad_cursor", "Use next_cursor of this very list")])
