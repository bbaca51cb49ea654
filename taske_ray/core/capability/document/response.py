"""Response, Pre and Pagination of a capability: how answers are read and where the next page is (format, section 4)."""

from dataclasses import dataclass
from typing import Final

from taske_ray.core.capability.document.expression import Expression, condition, number, template, value
from taske_ray.core.capability.document.literals import identifier, integer, one_of, text
from taske_ray.core.capability.document.names import Names, page_names, response_names
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.capability.document.request import DECODINGS, RequestSpec, request

_mebibyte: Final = 1024 * 1024
DEFAULT_MAX_BYTES: Final = 5 * _mebibyte
MOST_PAGES: Final = 100
MOST_ITEMS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """How an answer becomes an output. `decode` None: the module's default."""

    decode: str | None = None
    success: Expression | None = None
    items: Expression | None = None
    item: Expression | None = None
    output: Expression | None = None
    max_bytes: int = DEFAULT_MAX_BYTES


@dataclass(frozen=True, slots=True)
class PreSpec:
    """A request made before the capability's own. `members` are the names of its output, where that is an object."""

    id: str
    request: RequestSpec
    response: ResponseSpec
    cache_s: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a page token or a page size goes; in a body a dotted name."""

    where: str
    name: str
    value: Expression | None = None


@dataclass(frozen=True, slots=True)
class PaginationSpec:
    """How pages follow each other."""

    type: str
    next: Expression | None
    send: Slot | None
    size: Slot | None
    start: int
    stop_when: Expression | None
    max_pages: int
    max_items: Expression | None


def response(names: Names) -> Reader[ResponseSpec]:
    """A reader of a Response; `names` are those of the request."""
    seen = names.public().plus(response=response_names, page=page_names)

    def read(place: Place) -> ResponseSpec:
        fields = Fields(place, "decode success items item output max_bytes")
        return ResponseSpec(
            decode=fields.read_optional("decode", one_of(DECODINGS)),
            success=fields.read_optional("success", condition(seen)),
            items=fields.read_optional("items", template(seen)),
            item=fields.read_optional("item", value(seen.plus(item=None))),
            output=fields.read_optional("output", value(seen.plus(items=None))),
            max_bytes=fields.read("max_bytes", integer(1, 50 * _mebibyte), DEFAULT_MAX_BYTES),
        )

    return read


def pre_requests(names: Names) -> Reader[tuple[PreSpec, ...]]:
    """A reader of `pre`: at most five, each sees the ones before it."""

    def read(place: Place) -> tuple[PreSpec, ...]:
        found: list[PreSpec] = []
        places = place.items()
        if len(places) > 5:  # noqa: PLR2004 - the format's own figure
            place.fail("out_of_range", "at most 5 requests may come first")
        for child in places:
            before = names.plus(pre=dict.fromkeys(each.id for each in found))
            each = _pre(child, before)
            if each.id in {other.id for other in found}:
                child.fail("duplicate", f"'{each.id}' is there already", "/id")
            found.append(each)
        return tuple(found)

    return read


def _pre(place: Place, names: Names) -> PreSpec:
    fields = Fields(place, "output decode success cache_s", required="id request")
    seen = names.public().plus(response=response_names, page=page_names)
    blank = Place({"url": "https://missing.invalid"}, f"{place.pointer}/request")
    return PreSpec(
        id=fields.read("id", identifier, ""),
        request=fields.read("request", request(names), request(names)(blank)),
        response=ResponseSpec(
            decode=fields.read_optional("decode", one_of(DECODINGS)),
            success=fields.read_optional("success", condition(seen)),
            output=fields.read_optional("output", value(seen)),
        ),
        cache_s=fields.read("cache_s", integer(0, 86_400), 0),
        members=fields.read("output", _members, ()),
    )


def _members(place: Place) -> tuple[str, ...]:
    return tuple(place.value) if isinstance(place.value, dict) else ()


def pagination(names: Names) -> Reader[PaginationSpec]:
    """A reader of a Pagination; `names` are those of the request."""
    seen = names.public().plus(response=response_names, page=page_names)

    def read(place: Place) -> PaginationSpec:
        fields = Fields(place, "next send size start stop_when max_pages max_items", required="type")
        kind = fields.read("type", one_of("cursor page offset link next_url"), "link")
        needed = {"cursor": ("next", "send"), "page": ("send",), "offset": ("send",), "next_url": ("next",)}
        for name in needed.get(kind, ()):
            if name not in fields:
                place.fail("missing", f"'{name}' is required for type {kind}", f"/{name}")
        return PaginationSpec(
            type=kind,
            next=fields.read_optional("next", template(seen)),
            send=fields.read_optional("send", _slot),
            size=fields.read_optional("size", _size(names.public())),
            start=fields.read("start", integer(0), 1 if kind == "page" else 0),
            stop_when=fields.read_optional("stop_when", condition(seen.plus(item=None))),
            max_pages=fields.read("max_pages", integer(1, MOST_PAGES), 10),
            max_items=fields.read_optional("max_items", _item_cap(names.public())),
        )

    return read


def _slot(place: Place) -> Slot:
    fields = Fields(place, "", required="in name")
    return Slot(fields.read("in", one_of("query body header"), "query"), fields.read("name", text, ""))


def _size(names: Names) -> Reader[Slot]:
    def read(place: Place) -> Slot:
        fields = Fields(place, "", required="in name value")
        where, name = fields.read("in", one_of("query body header"), "query"), fields.read("name", text, "")
        return Slot(where, name, fields.read_optional("value", number(names)))

    return read


def _item_cap(names: Names) -> Reader[Expression]:
    def read(place: Place) -> Expression:
        value_at = place.value
        if isinstance(value_at, int) and not isinstance(value_at, bool) and not 1 <= value_at <= MOST_ITEMS:
            place.fail("out_of_range", f"must be from 1 to {MOST_ITEMS}")
        return number(names)(place)

    return read
