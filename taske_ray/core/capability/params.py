"""What a user fills in: defaults, computed defaults and the check against the schema (format, section 4)."""

import copy
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import jsonschema_rs

from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.capability.document.schema import Check, describe, properties_of
from taske_ray.core.template import contains_template
from taske_ray.core.times import parse_duration
from taske_ray.errors import FieldError, Invalid, TemplateError

# What a rule says about the whole of a value cannot be judged while a part of it is still a template.
_whole_rules = frozenset({"anyOf", "oneOf", "allOf", "not", "enum", "const", "contains", "uniqueItems", "if"})


class ParamsSchema:
    """The parameters of a capability, compiled."""

    def __init__(
        self,
        schema: Mapping[str, Any],
        computed: Mapping[str, Expression] | None = None,
        minimum_every: timedelta | None = None,
    ) -> None:
        """`computed` are the `x-default`s; `minimum_every` makes `every` a parameter of its own (polls)."""
        self.schema = _with_every(schema) if minimum_every is not None else dict(schema)
        self.names = tuple(properties_of(self.schema))
        self._absent = dict.fromkeys(self.names)
        self._computed = dict(computed or {})
        self._check = Check(self.schema)
        self._minimum_every = minimum_every

    def fill(self, given: Mapping[str, Any], *, now: str) -> dict[str, Any]:
        """Complete and valid parameters; `null` counts as not given. Raises `Invalid` with pointers into `given`.

        Filling what is filled changes nothing: the result can be stored and filled again.
        """
        params = {name: value for name, value in given.items() if value is not None}
        _fill_defaults(self.schema, params)
        self._compute(params, now)
        errors = [] if self._check.accepts(params) else list(self._check.errors(params))
        errors += self._check_every(params)
        if errors:
            raise Invalid("the parameters do not fit", errors=errors)
        return params

    def scope(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as templates see them: declared ones that were not given are null."""
        return {**self._absent, **params}

    def check_partial(self, given: Mapping[str, Any]) -> list[FieldError]:
        """What is already certain to be wrong while parts are templates: unknown and missing names, constant parts."""
        params = {name: value for name, value in given.items() if value is not None}
        _fill_defaults(self.schema, params)
        open_names = {name for name in self._computed if name not in params}
        dynamic = dict(_dynamic_parts(params, ()))
        errors = [
            each
            for failure in self._check.failures(params)
            if not _may_still_fit(failure, dynamic)
            for each in describe(failure)
            if not (each.code == "missing" and each.pointer[1:] in open_names)
        ]
        return errors if ("every",) in dynamic else errors + self._check_every(params)

    def _compute(self, params: dict[str, Any], now: str) -> None:
        for name, expression in self._computed.items():
            if name not in params:
                try:
                    value = expression.evaluate({"params": self.scope(params), "now": now})
                except TemplateError as error:
                    raise Invalid.at(f"/{name}", error.code, error.message) from None
                if value is not None:
                    params[name] = value

    def _check_every(self, params: Mapping[str, Any]) -> list[FieldError]:
        if self._minimum_every is None or not isinstance(params.get("every"), str):
            return []
        try:
            every = parse_duration(params["every"])
        except ValueError:
            return [FieldError("/every", "bad_duration", "must be an ISO 8601 duration such as PT5M")]
        if every < self._minimum_every:
            return [
                FieldError("/every", "below_minimum", f"must be at least {self._minimum_every.total_seconds():g} s")
            ]
        return []


def _with_every(schema: Mapping[str, Any]) -> dict[str, Any]:
    every = {
        "type": "string",
        "title": "Every",
        "x-title": {"ko": "주기", "ja": "間隔"},
        "description": "How often to look, like PT5M",
        "x-description": {"ko": "확인하는 간격, 예: PT5M", "ja": "確認する間隔、例: PT5M"},
    }
    return {**schema, "properties": {**properties_of(schema), "every": every}}


def _fill_defaults(schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    """Puts the constant defaults of absent members in place, also inside objects that were given."""
    for name, part in properties_of(schema).items():
        if name not in value and part.get("default") is not None:
            value[name] = copy.deepcopy(part["default"])
        elif isinstance(value.get(name), dict) and properties_of(part):
            value[name] = dict(value[name])
            _fill_defaults(part, value[name])


def _dynamic_parts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], bool]]:
    """Where templates and operators stand, and whether the result is certainly a text."""
    if isinstance(value, str):
        if contains_template(value):
            yield path, not (value.startswith("{{") and value.endswith("}}"))
    elif isinstance(value, dict):
        if any(key.startswith("$") and not key.startswith("$$") for key in value):
            yield path, False
            return
        for key, part in value.items():
            yield from _dynamic_parts(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _dynamic_parts(part, (*path, index))


def _may_still_fit(failure: jsonschema_rs.ValidationError, dynamic: Mapping[tuple[str | int, ...], bool]) -> bool:
    """Whether the value of a template can still make this error go away."""
    where, rule = tuple(failure.instance_path), failure.kind.name
    for path, is_text in dynamic.items():
        if where[: len(path)] == path:
            return not (is_text and where == path and rule == "type")
        if path[: len(where)] == where and rule in _whole_rules:
            return True
    return False
