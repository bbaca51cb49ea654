"""The block `poll` of a trigger: what an item is, which are new, where the next check starts (format, section 6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from taske_ray.core.capability.document.expression import Expression, condition, constant, template
from taske_ray.core.capability.document.literals import boolean, duration, integer, one_of
from taske_ray.core.capability.document.names import Names, page_names, response_names
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.times import format_time, parse_duration, parse_time

_now: Final = "now"


@dataclass(frozen=True, slots=True)
class CursorSpec:
    """Where a check starts. `lookback` is a duration, or an integer for an integer cursor; `initial` is before now."""

    type: str = "none"
    value: Expression | None = None
    format: str = "iso8601"
    initial: timedelta = timedelta()
    lookback: timedelta | int = timedelta()
    order: str = "none"

    def start(self, stored: Any, now: str, *, lookback: bool = True) -> dict[str, Any]:
        """The names `cursor.from` and `cursor.value` of a check; `stored` None: the first check.

        `lookback` False continues a check that was cut (rule 6): it goes on from exactly where that ended.
        """
        if self.type == "integer":
            step = self.lookback if lookback and isinstance(self.lookback, int) else 0
            return {"from": (0 if stored is None else int(stored)) - step, "value": stored}
        if self.type == "timestamp":
            first = parse_time(now) - self.initial if stored is None else parse_time(stored)
            back = self.lookback if lookback and isinstance(self.lookback, timedelta) else timedelta()
            return {"from": write_time(first - back, self.format), "value": stored}
        return {"from": None, "value": stored}

    def is_before(self, left: Any, right: Any) -> bool:
        """Whether one cursor value is smaller than another, as times or integers; False where one is neither."""
        try:
            if self.type == "integer":
                return int(left) < int(right)
            return parse_time(left) < parse_time(right)
        except (ValueError, TypeError):
            return False


@dataclass(frozen=True, slots=True)
class PollSpec:
    """How a poll trigger looks at its list."""

    every: timedelta
    min_every: timedelta
    key: Expression
    version_key: Expression | None
    cursor: CursorSpec
    filter: Expression | None
    emit: str
    max_emit: int
    first_emit: int
    conditional: bool

    def interval(self, params: dict[str, Any]) -> timedelta:
        """How often this trigger looks: its own `every`, else the capability's."""
        own = params.get("every")
        return parse_duration(own) if isinstance(own, str) else self.every


def poll(names: Names) -> Reader[PollSpec]:
    """A reader of `poll`; `names` are those of the request."""
    seen = names.public().plus(response=response_names, page=page_names, item=None)

    def read(place: Place) -> PollSpec:
        fields = Fields(
            place, "every min_every version_key cursor filter emit max_emit first_run conditional", required="key"
        )
        return PollSpec(
            every=fields.read("every", duration, timedelta(minutes=5)),
            min_every=fields.read("min_every", _minimum, timedelta(minutes=1)),
            key=fields.read("key", template(seen), constant(None)),
            version_key=fields.read_optional("version_key", template(seen)),
            cursor=fields.read("cursor", _cursor(seen), CursorSpec()),
            filter=fields.read_optional("filter", condition(seen)),
            emit=fields.read("emit", one_of("each batch"), "each"),
            max_emit=fields.read("max_emit", integer(1, 10_000), 500),
            first_emit=fields.read("first_run", _first_run, 0),
            conditional=fields.read("conditional", boolean, default=False),
        )

    return read


def write_time(time: datetime, notation: str) -> str | int:
    """An instant as the service wants it: `iso8601`, `date`, `epoch_s` or `epoch_ms`."""
    if notation == "date":
        return format_time(time)[:10]
    if notation == "epoch_s":
        return int(time.timestamp())
    if notation == "epoch_ms":
        return int(time.timestamp() * 1000)
    return format_time(time)


def _minimum(place: Place) -> timedelta:
    found = duration(place)
    if found <= timedelta():
        place.fail("bad_duration", "must be longer than nothing")
    return found


def _cursor(names: Names) -> Reader[CursorSpec]:
    def read(place: Place) -> CursorSpec:
        fields = Fields(place, "type value format initial lookback order")
        kind = fields.read("type", one_of("timestamp integer none"), "none")
        if kind != "none" and "value" not in fields:
            place.fail("missing", "'value' is required", "/value")
        return CursorSpec(
            type=kind,
            value=fields.read_optional("value", template(names)),
            format=fields.read("format", one_of("iso8601 date epoch_s epoch_ms"), "iso8601"),
            initial=fields.read("initial", _initial, timedelta()),
            lookback=_lookback(fields, kind),
            order=fields.read("order", one_of("none asc desc"), "none"),
        )

    return read


def _lookback(fields: Fields, kind: str) -> timedelta | int:
    if kind == "integer":
        return fields.read("lookback", integer(0), 0)
    return fields.read("lookback", duration, timedelta())


def _initial(place: Place) -> timedelta:
    """How long before now the first check starts: `now`, or a duration with a minus sign."""
    if place.value == _now:
        return timedelta()
    if not isinstance(place.value, str) or not place.value.startswith("-"):
        place.fail("bad_duration", "must be 'now' or a negative duration such as -P1D")
        return timedelta()
    return duration(Place(place.value[1:], place.pointer, place.report))


def _first_run(place: Place) -> int:
    """How many runs the first check makes: `skip` none, `{emit: N}` the newest N."""
    if place.value == "skip":
        return 0
    fields = Fields(place, "", required="emit")
    return fields.read("emit", integer(1, 500), 0)
