"""Templates of a document: compiled once when it is read, checked for the names they use, evaluated many times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from taske_ray.core.capability.document.names import SECRET_ROOTS, Names, check_names, reads_secret
from taske_ray.core.capability.document.place import Place, Reader
from taske_ray.core.template import OMIT, Template, compile_condition, compile_value
from taske_ray.errors import TemplateError


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled template and the field that it stands in (its pointer in the document, for messages)."""

    template: Template
    pointer: str
    reads_secret: bool = field(init=False)
    constant: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constant", self.template.is_constant)
        object.__setattr__(self, "reads_secret", any(reads_secret(path) for path in self.template.paths()))

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Its value, None where an operator leaves it out; a `TemplateError` names the field."""
        try:
            found = self.template.evaluate(scope)
        except TemplateError as error:
            raise self._located(error) from None
        return None if found is OMIT else found

    def masked(self, scope: Mapping[str, Any]) -> Any:
        """Its value with `••••` for every string whose template names a secret."""
        if not self.reads_secret:
            return self.evaluate(scope)
        try:
            found = self.template.evaluate_masked(scope, SECRET_ROOTS)
        except TemplateError as error:
            raise self._located(error) from None
        return None if found is OMIT else found

    def _located(self, error: TemplateError) -> TemplateError:
        where = self.pointer + error.pointer
        return TemplateError(error.code, f"{where}: {error.message}", where)


def expressions_in(found: Any) -> Iterator[Expression]:
    """Every expression in a part of a document that was read."""
    if isinstance(found, Expression):
        yield found
    elif isinstance(found, Mapping):
        for part in found.values():
            yield from expressions_in(part)
    elif isinstance(found, list | tuple):
        for part in found:
            yield from expressions_in(part)
    elif is_dataclass(found) and not isinstance(found, type):
        for one in fields(found):
            yield from expressions_in(getattr(found, one.name))


def value(names: Names) -> Reader[Expression]:
    """Any JSON in which every string is a template and operators work (type V)."""

    def read(place: Place) -> Expression:
        for condition in _conditions(place):
            _check_condition(condition, names)
        try:
            template = compile_value(place.value)
        except TemplateError as error:
            return _refused(place, error)
        check_names(template.paths(), names, place)
        return Expression(template, place.pointer)

    return read


def template(names: Names) -> Reader[Expression]:
    """A text template (type T)."""

    def read(place: Place) -> Expression:
        if not isinstance(place.value, str):
            place.fail("wrong_type", "must be a text or a template")
            return constant("", place.pointer)
        return value(names)(place)

    return read


def number(names: Names) -> Reader[Expression]:
    """An integer, or a template that gives one."""

    def read(place: Place) -> Expression:
        if isinstance(place.value, int) and not isinstance(place.value, bool):
            return constant(place.value, place.pointer)
        return template(names)(place)

    return read


def condition(names: Names) -> Reader[Expression]:
    """A condition (type C). Secrets are never in reach of one."""

    def read(place: Place) -> Expression:
        if not isinstance(place.value, (str, bool)):
            place.fail("wrong_type", "must be a condition")
            return constant(value=False, pointer=place.pointer)
        try:
            compiled = compile_condition(place.value)
        except TemplateError as error:
            return _refused(place, error)
        check_names(compiled.paths(), names.public(), place)
        return Expression(compiled, place.pointer)

    return read


def values(names: Names) -> Reader[dict[str, Expression]]:
    """A map of text templates; any JSON may stand for a constant."""

    def read(place: Place) -> dict[str, Expression]:
        return {name: value(names)(child) for name, child in place.members().items()}

    return read


def constant(value: Any, pointer: str = "") -> Expression:
    """An expression that is always `value`, which holds no template."""
    return Expression(compile_value(value), pointer)


def _refused(place: Place, error: TemplateError) -> Expression:
    place.fail(error.code, error.message, error.pointer)
    return constant(None, place.pointer)


def _check_condition(place: Place, names: Names) -> None:
    """The condition of an operator. What does not parse is reported with the whole value; here it is about secrets."""
    if names.secrets and isinstance(place.value, str):
        try:
            paths = compile_condition(place.value).paths()
        except TemplateError:
            return
        secret = [path for path in paths if reads_secret(path)]
        check_names(secret, names.public(), place)


def _conditions(place: Place) -> Iterator[Place]:
    """Every `$if` in a value."""
    if isinstance(place.value, dict):
        for key, child in place.members().items():
            if key == "$if":
                yield child
            yield from _conditions(child)
    elif isinstance(place.value, list):
        for child in place.items():
            yield from _conditions(child)
