"""Error rules, rate limits and idempotency of a module or capability (format, section 5)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from taske_ray.core.capability.document.expression import Expression, condition, constant, number, template
from taske_ray.core.capability.document.literals import duration, integer, one_of, text
from taske_ray.core.capability.document.names import Names, run_names
from taske_ray.core.capability.document.place import Fields, Place, Reader

IdempotencyClass = Literal["safe", "keyed", "ask"]
_error_classes: Final = (
    "rate_limited auth_expired auth_revoked permission not_found conflict invalid transient fatal ignore"
)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """When an answer is of a class, whatever its status says."""

    when: Expression
    error_class: str
    retry_after: Expression | None
    message: Expression | None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many in a period, for what `scope` names; `weight` is what one request counts."""

    scope: str
    limit: int
    per: timedelta
    weight: Expression


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """Where a service says how much is left and when that ends."""

    remaining: str
    reset: str
    unit: str


@dataclass(frozen=True, slots=True)
class IdempotencySpec:
    """What is safe to send again, and how a service recognises a repetition. `key` None: the run's and step's own."""

    cls: Expression
    header: str | None = "idempotency-key"
    body_field: str | None = None
    key: Expression | None = None


def error_rules(names: Names) -> Reader[tuple[ErrorRule, ...]]:
    """A reader of `errors`; `names` hold what the conditions may read."""

    def read(place: Place) -> tuple[ErrorRule, ...]:
        return tuple(_error_rule(child, names) for child in place.items())

    return read


def _error_rule(place: Place, names: Names) -> ErrorRule:
    fields = Fields(place, "retry_after message", required="when class")
    return ErrorRule(
        when=fields.read("when", condition(names), constant(value=False)),
        error_class=fields.read("class", one_of(_error_classes), "fatal"),
        retry_after=fields.read_optional("retry_after", template(names)),
        message=fields.read_optional("message", template(names)),
    )


def rate_limits(names: Names, params: Collection[str]) -> Reader[tuple[RateLimit, ...]]:
    """A reader of `rate_limits`; a `param:` scope must name one of `params`."""

    def read(place: Place) -> tuple[RateLimit, ...]:
        return tuple(_rate_limit(child, names, params) for child in place.items())

    return read


def _rate_limit(place: Place, names: Names, params: Collection[str]) -> RateLimit:
    fields = Fields(place, "weight", required="scope limit per")
    scope = fields.read("scope", _scope(params), "connection")
    return RateLimit(
        scope=scope,
        limit=fields.read("limit", integer(1), 1),
        per=fields.read("per", duration, timedelta(seconds=1)),
        weight=fields.read("weight", number(names), constant(1)),
    )


def _scope(params: Collection[str]) -> Reader[str]:
    def read(place: Place) -> str:
        if isinstance(place.value, str) and place.value.startswith("param:"):
            if place.value.removeprefix("param:") not in params:
                place.fail("unknown_ref", "there is no such parameter")
            return place.value
        return one_of("module connection capability")(place)

    return read


def rate_headers(place: Place) -> RateHeaders:
    """A reader of `rate_headers`."""
    fields = Fields(place, "", required="remaining reset unit")
    return RateHeaders(
        remaining=fields.read("remaining", text, "").lower(),
        reset=fields.read("reset", text, "").lower(),
        unit=fields.read("unit", one_of("epoch_s s ms go_duration"), "s"),
    )


def idempotency(params: Names) -> Reader[IdempotencySpec]:
    """A reader of `idempotency`; `params` is the tree of parameters."""
    names = params.only("params").plus(run=run_names)

    def read(place: Place) -> IdempotencySpec:
        fields = Fields(place, "header body_field key", required="class")
        return IdempotencySpec(
            cls=fields.read("class", _class(names), constant("ask")),
            header=fields.read("header", _header, "idempotency-key"),
            body_field=fields.read_optional("body_field", text),
            key=fields.read_optional("key", template(names)),
        )

    return read


def _class(names: Names) -> Reader[Expression]:
    def read(place: Place) -> Expression:
        found = template(names)(place)
        if found.constant and place.value not in ("safe", "keyed", "ask"):
            place.fail("bad_enum", "must be one of: safe, keyed, ask")
        return found

    return read


def _header(place: Place) -> str | None:
    return None if place.value is None else text(place).lower()


def default_idempotency(method: str | None) -> IdempotencySpec:
    """What holds for a capability that says nothing: reading is safe, anything else must be asked about."""
    return IdempotencySpec(cls=constant("safe" if method in ("GET", "HEAD") else "ask"))
