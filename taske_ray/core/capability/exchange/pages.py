"""Follows the pages of a list: what the next request carries, and when and why it ends (format, section 4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin

from taske_ray.core.capability.document.hosts import origin_of
from taske_ray.core.capability.document.response import MOST_ITEMS, PaginationSpec, Slot
from taske_ray.core.capability.exchange.build import Parts, Prepared
from taske_ray.core.capability.exchange.encode import header, to_text
from taske_ray.core.capability.exchange.refusal import Refusal

Scope = Mapping[str, Any]
_default_items: Final = 1000
_link: Final = re.compile(r"<([^>]*)>([^<]*)")
_next_rel: Final = re.compile(r";\s*rel\s*=\s*\"?(?:[^\";,]*\s)?next(?:\s[^\";,]*)?\"?\s*(?:[;,]|$)", re.IGNORECASE)


@dataclass(slots=True)
class Page:
    """How far the list is read, as templates see it in `page`."""

    number: int = 0
    count: int = 0
    truncated: bool = False

    def scope(self) -> dict[str, Any]:
        """`page.number` (from 1), `page.count` (items so far) and `page.truncated` (a cap ended it)."""
        return {"number": self.number, "count": self.count, "truncated": self.truncated}


class Pages:
    """The pages of one list, in order. Without a pagination there is one."""

    def __init__(self, spec: PaginationSpec | None, first: Prepared, scope: Scope) -> None:
        """`scope` is that of the request: page size and item cap may depend on parameters."""
        self.page = Page()
        self._spec = spec
        self._first = first
        self._seen: set[str] = set()
        self._size = self._number(spec.size, scope) if spec is not None and spec.size is not None else None
        self.max_items = self._cap(scope)
        self._position = spec.start if spec is not None else 0

    def first(self) -> Prepared:
        """The request of the first page."""
        prepared = self._first.copy()
        self._add_size(prepared)
        if self._by_url:
            self._seen.add(prepared.sent.written_url())
        if self._spec is not None and self._spec.type in ("page", "offset") and self._spec.send is not None:
            _put_both(prepared, self._spec.send, self._position)
        return prepared

    def next(self, scope: Scope, received: int, last_item: Any) -> Prepared | None:
        """The request of the page after one that brought `received` items; None if that was the last."""
        spec = self._spec
        if spec is None:
            return None
        token = self._token(spec, scope, received)
        if token is None or self._stopped(spec, scope, last_item):
            return None
        if self.page.number >= spec.max_pages or self.page.count >= self.max_items:
            self.page.truncated = True
            return None
        key = to_text(token)
        if key in self._seen:
            raise Refusal("pagination_loop", "the service named the same next page twice")
        self._seen.add(key)
        return self._prepared(spec, token)

    def took(self, items: list[Any]) -> list[Any]:
        """Counts the items of a page and cuts them at the item cap."""
        room = self.max_items - self.page.count
        if self._spec is not None and len(items) > room:
            items = items[:room]
            self.page.truncated = True
        self.page.count += len(items)
        if self.page.count > MOST_ITEMS:
            raise Refusal("template_limit", f"more than {MOST_ITEMS} items in one step")
        return items

    @property
    def _by_url(self) -> bool:
        return self._spec is not None and self._spec.type in ("link", "next_url")

    def _prepared(self, spec: PaginationSpec, token: Any) -> Prepared:
        prepared = self._first.copy()
        if self._by_url:
            return _at_url(prepared, str(token))
        self._add_size(prepared)
        assert spec.send is not None
        _put_both(prepared, spec.send, token)
        return prepared

    def _token(self, spec: PaginationSpec, scope: Scope, received: int) -> Any:
        """The next page's token, number, offset or absolute URL; None after the last page."""
        if spec.type in ("page", "offset"):
            if received == 0 or (self._size is not None and received < self._size):
                return None
            self._position += 1 if spec.type == "page" else received
            return self._position
        if spec.type == "link":
            found = next_link(scope["response"]["headers"].get("link", ""))
        else:
            found = spec.next.evaluate(scope) if spec.next is not None else None
        if found is None or found == "":
            return None
        return self._absolute(scope, str(found)) if self._by_url else found

    def _absolute(self, scope: Scope, found: str) -> str:
        """A next page's URL, which may be relative to the page that named it."""
        try:
            return urljoin(scope["response"]["url"] or self._first.sent.written_url(), found)
        except ValueError:
            raise Refusal("bad_url", "the service named a next page that is no URL") from None

    def _stopped(self, spec: PaginationSpec, scope: Scope, last_item: Any) -> bool:
        if self.page.truncated:
            return True
        return spec.stop_when is not None and bool(spec.stop_when.evaluate({**scope, "item": last_item}))

    def _add_size(self, prepared: Prepared) -> None:
        if self._spec is not None and self._spec.size is not None and self._size is not None:
            _put_both(prepared, self._spec.size, self._size)

    def _cap(self, scope: Scope) -> int:
        if self._spec is None:
            return MOST_ITEMS
        cap = self._spec.max_items.evaluate(scope) if self._spec.max_items is not None else None
        if cap is None:
            return _default_items
        number = _integer(cap, "max_items")
        if not 1 <= number <= MOST_ITEMS:
            raise Refusal("out_of_range", f"max_items must be from 1 to {MOST_ITEMS}")
        return number

    @staticmethod
    def _number(slot: Slot, scope: Scope) -> int | None:
        value = slot.value.evaluate(scope) if slot.value is not None else None
        return None if value is None else _integer(value, "size")


def next_link(text: str) -> str | None:
    """The target of `rel="next"` in a `Link` header (RFC 8288)."""
    for target, params in _link.findall(text):
        if _next_rel.search(params):
            return str(target).strip()
    return None


def _integer(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).lstrip("-").isdecimal():
        raise Refusal("template_type", f"{what} must be an integer")
    return int(value)


def _at_url(prepared: Prepared, url: str) -> Prepared:
    """The first request at another URL; a key that the connection puts into the query goes along again.

    Credentials are added only at the origin of the request itself, so with them a page at another one is refused.
    """
    if prepared.shown is not prepared.sent and origin_of(url) != prepared.origin:
        raise Refusal("host_not_allowed", "the next page is at another origin than the list")
    there = {name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    again = prepared.auth_query - there
    for parts in prepared.both():
        parts.url = url.partition("#")[0]
        parts.query = [(name, value) for name, value in parts.query if name in again]
    return prepared


def _put_both(prepared: Prepared, slot: Slot, value: Any) -> None:
    for parts in prepared.both():
        _put(parts, slot, value)


def _put(parts: Parts, slot: Slot, value: Any) -> None:
    """Sets a value in the query, a header, or at a dotted name in the body."""
    if slot.where == "query":
        parts.query = [pair for pair in parts.query if pair[0] != slot.name] + [(slot.name, to_text(value))]
    elif slot.where == "header":
        name, text = header(slot.name, value)
        parts.headers[name] = text
    else:
        parts.body = put_at(parts.body, slot.name.split("."), value)


def put_at(body: Any, path: list[str], value: Any) -> dict[str, Any]:
    """A copy of an object with a value at a path; missing objects on the way are made."""
    if body is not None and not isinstance(body, dict):
        raise Refusal("bad_body", "a value can only be put into a body that is an object")
    rest = put_at((body or {}).get(path[0]), path[1:], value) if len(path) > 1 else value
    return {**(body or {}), path[0]: rest}
