"""Values with templates and operators in them (format 2.5), compiled to a tree that mirrors their JSON.

Every node knows where it stands, so that an error carries a JSON pointer inside the value.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from taske_ray.core.template import limits
from taske_ray.core.template.condition import Test, Truth, parse_condition
from taske_ray.core.template.json_text import compact_json, missing
from taske_ray.core.template.limits import Work, element_units
from taske_ray.core.template.scan import has_template
from taske_ray.core.template.syntax import Parsed, Segments, parse
from taske_ray.errors import TemplateError

Json = Any


class Omit:
    """The result of `$omit`: this key or element does not exist."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OMIT"

    def __reduce__(self) -> str:
        # There is one of it, also after copying and pickling
        return "OMIT"


OMIT: Any = Omit()
mask = "••••"
"""What stands for a secret in a stored request (format 2.7)."""


def reads_any(paths: frozenset[Segments], roots: frozenset[tuple[str, ...]]) -> bool:
    """Whether one of the paths names a root, something below it, or something that contains it.

    A computed segment (None) may be anything.
    """
    return any(_overlaps(path, root) for root in roots for path in paths)


def _overlaps(path: Segments, root: tuple[str, ...]) -> bool:
    return all(segment is None or segment == name for segment, name in zip(path, root, strict=False))


@dataclass(frozen=True, slots=True)
class Rendering:
    """One evaluation: what is in scope, what may still be spent, and which roots to mask."""

    scope: Mapping[str, Any]
    work: Work
    secrets: frozenset[tuple[str, ...]] = frozenset()

    def with_name(self, name: str, *, secret: bool) -> "Rendering":
        """The same with one more name, which hides a root of that name; its values are filled in later."""
        secrets = frozenset(root for root in self.secrets if root[0] != name)
        return Rendering(dict(self.scope), self.work, secrets | {(name,)} if secret else secrets)


class Node(Protocol):
    """A part of a value."""

    def evaluate(self, rendering: Rendering) -> Json:
        """The result, or OMIT."""
        ...

    def paths(self) -> frozenset[Segments]:
        """Every path that it reads from the scope."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """A scalar or a literal text."""

    value: Json

    def evaluate(self, _: Rendering) -> Json:
        """The literal itself."""
        return self.value

    def paths(self) -> frozenset[Segments]:
        """None."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Text:
    """A string with a template in it."""

    parsed: Parsed
    pointer: str
    strict: bool

    def evaluate(self, rendering: Rendering) -> Json:
        """The value of the template; a missing one is null, or an error where the template is strict."""
        if rendering.secrets and reads_any(self.parsed.paths, rendering.secrets):
            return mask
        try:
            value = self.parsed.evaluate(rendering.scope, rendering.work)
        except TemplateError as error:
            raise TemplateError(error.code, error.message, self.pointer) from None
        if value is missing:
            if self.strict:
                raise TemplateError("template_undefined", self.parsed.undefined_message(), self.pointer)
            return None
        return value

    def paths(self) -> frozenset[Segments]:
        """The paths of the template."""
        return self.parsed.paths


@dataclass(frozen=True, slots=True)
class Array:
    """A list."""

    elements: tuple[Node, ...]

    def evaluate(self, rendering: Rendering) -> Json:
        """The list without its omitted elements."""
        values = [element.evaluate(rendering) for element in self.elements]
        return [value for value in values if value is not OMIT]

    def paths(self) -> frozenset[Segments]:
        """The paths of all elements."""
        return frozenset().union(*(element.paths() for element in self.elements))


@dataclass(frozen=True, slots=True)
class Object:
    """An object that is no operator."""

    members: tuple[tuple[str, Node], ...]

    def evaluate(self, rendering: Rendering) -> Json:
        """The object without its omitted keys."""
        result = {}
        for key, member in self.members:
            value = member.evaluate(rendering)
            if value is not OMIT:
                result[key] = value
        return result

    def paths(self) -> frozenset[Segments]:
        """The paths of all members."""
        return frozenset().union(*(member.paths() for _, member in self.members))


@dataclass(frozen=True, slots=True)
class Choice:
    """`{$if: C, then: V, else: V}`."""

    test: "Test | Truth | bool"
    then: Node
    otherwise: Node
    pointer: str

    def evaluate(self, rendering: Rendering) -> Json:
        """One branch."""
        try:
            holds = self.test if isinstance(self.test, bool) else self.test.evaluate(rendering.scope, rendering.work)
        except TemplateError as error:
            raise TemplateError(error.code, error.message, f"{self.pointer}/$if") from None
        return (self.then if holds else self.otherwise).evaluate(rendering)

    def paths(self) -> frozenset[Segments]:
        """The paths of the condition and of both branches."""
        tested = frozenset[Segments]() if isinstance(self.test, bool) else self.test.paths
        return tested | self.then.paths() | self.otherwise.paths()


@dataclass(frozen=True, slots=True)
class Mapped:
    """`{$map: V, as: name, value: V}`."""

    source: Node
    name: str
    value: Node
    pointer: str

    def evaluate(self, rendering: Rendering) -> Json:
        """One result for each element of the source; omitted ones are left out."""
        elements = self._elements(rendering)
        secret = bool(rendering.secrets) and reads_any(self.source.paths(), rendering.secrets)
        inner = rendering.with_name(self.name, secret=secret)
        scope: dict[str, Any] = inner.scope  # type: ignore[assignment] - `with_name` has just made it
        results = []
        for element in elements:
            rendering.work.charge(element_units)
            scope[self.name] = element
            value = self.value.evaluate(inner)
            if value is not OMIT:
                results.append(value)
        return results

    def _elements(self, rendering: Rendering) -> list[Json]:
        """The source, unmasked: what comes out of it is masked element by element."""
        source = self.source.evaluate(Rendering(rendering.scope, rendering.work))
        if source is None or source is OMIT:
            return []
        if not isinstance(source, list):
            raise TemplateError("bad_operator", "'$map' needs an array.", f"{self.pointer}/$map")
        if len(source) > limits.most_elements:
            raise limits_error("'$map' has more than 10,000 elements.", f"{self.pointer}/$map")
        return source

    def paths(self) -> frozenset[Segments]:
        """The paths of the source, and those of the value that do not start at the element."""
        return self.source.paths() | frozenset(path for path in self.value.paths() if path[0] != self.name)


@dataclass(frozen=True, slots=True)
class Merged:
    """`{$merge: [V, …]}`."""

    parts: tuple[Node, ...]
    pointer: str

    def evaluate(self, rendering: Rendering) -> Json:
        """One object; later parts win, null ones are skipped."""
        result: dict[str, Json] = {}
        for index, part in enumerate(self.parts):
            value = part.evaluate(rendering)
            if value is None or value is OMIT:
                continue
            if value is mask:
                return mask
            if not isinstance(value, dict):
                raise TemplateError("bad_operator", "'$merge' needs objects.", f"{self.pointer}/$merge/{index}")
            rendering.work.charge(element_units * len(value))
            result.update(value)
        return result

    def paths(self) -> frozenset[Segments]:
        """The paths of all parts."""
        return frozenset().union(*(part.paths() for part in self.parts))


@dataclass(frozen=True, slots=True)
class JsonText:
    """`{$json: V}`."""

    value: Node
    pointer: str

    def evaluate(self, rendering: Rendering) -> Json:
        """The value as compact JSON text."""
        value = self.value.evaluate(rendering)
        if value is OMIT:
            return OMIT
        try:
            return compact_json(value, rendering.work)
        except TemplateError as error:
            raise TemplateError(error.code, error.message, f"{self.pointer}/$json") from None

    def paths(self) -> frozenset[Segments]:
        """The paths of the value."""
        return self.value.paths()


def limits_error(message: str, pointer: str) -> TemplateError:
    """Over a limit, at a place."""
    return TemplateError("template_limit", message, pointer)


operators = {
    "$if": ({"$if", "then"}, {"else"}),
    "$map": ({"$map", "value"}, {"as"}),
    "$merge": ({"$merge"}, set[str]()),
    "$json": ({"$json"}, set[str]()),
    "$omit": ({"$omit"}, set[str]()),
}
_escaped = re.compile(r"\$+(\$(?:if|map|merge|json|omit))")
_identifier = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_reserved = frozenset(
    "offset for as in if else with required cols continue reversed contains not and or limit "
    "empty blank nil null true false forloop".split()
)


@dataclass(frozen=True, slots=True)
class Compiler:
    """Builds nodes; `strict` as in `compile_value`."""

    strict: bool

    def build(self, value: Json, pointer: str = "", depth: int = 0, operators_above: int = 0) -> Node:
        """The node for a value. TemplateError with a pointer for whatever breaks a rule."""
        if depth > limits.deepest_value:
            raise limits_error("A value is nested too deeply.", pointer)
        if isinstance(value, str):
            return self._text(value, pointer)
        if isinstance(value, Mapping):
            return self._object(value, pointer, depth, operators_above)
        if isinstance(value, list | tuple):
            children = (
                self.build(part, f"{pointer}/{index}", depth + 1, operators_above) for index, part in enumerate(value)
            )
            return Array(tuple(children))
        return Constant(value)

    def _text(self, text: str, pointer: str) -> Node:
        if not has_template(text):
            return Constant(text)
        try:
            return Text(parse(text), pointer, self.strict)
        except TemplateError as error:
            raise TemplateError(error.code, error.message, pointer) from None

    def _object(self, value: Mapping[str, Json], pointer: str, depth: int, above: int) -> Node:
        names = [key for key in value if key in operators]
        if names:
            return self._operator(names, value, pointer, depth, above)
        members = []
        for key, part in value.items():
            place = f"{pointer}/{escape_pointer(str(key))}"
            if not isinstance(key, str) or has_template(key):
                raise TemplateError("template_not_allowed", "A key is literal: no template in it.", place)
            name = key[1:] if _escaped.fullmatch(key) else key
            members.append((name, self.build(part, place, depth + 1, above)))
        return Object(tuple(members))

    def _operator(self, names: list[str], value: Mapping[str, Json], pointer: str, depth: int, above: int) -> Node:
        if above >= limits.deepest_operators:
            raise limits_error("Operators are nested more than 20 deep.", pointer)
        required, optional = operators[names[0]]
        if not required <= value.keys() <= required | optional:
            known = ", ".join(sorted(required | optional))
            raise TemplateError("bad_operator", f"An object with '{names[0]}' has the keys {known}.", pointer)
        build = {"$if": self._if, "$map": self._map, "$merge": self._merge, "$json": self._json, "$omit": self._omit}
        return build[names[0]](value, pointer, depth + 1, above + 1)

    def _if(self, value: Mapping[str, Json], pointer: str, depth: int, above: int) -> Node:
        try:
            test = as_condition(value["$if"])
        except TemplateError as error:
            raise TemplateError(error.code, error.message, f"{pointer}/$if") from None
        then = self.build(value["then"], f"{pointer}/then", depth, above)
        otherwise = self.build(value["else"], f"{pointer}/else", depth, above) if "else" in value else Constant(OMIT)
        return Choice(test, then, otherwise, pointer)

    def _map(self, value: Mapping[str, Json], pointer: str, depth: int, above: int) -> Node:
        name = value.get("as", "item")
        if not isinstance(name, str) or not _identifier.fullmatch(name) or name in _reserved:
            raise TemplateError("bad_operator", "'as' is a name like 'item'.", f"{pointer}/as")
        source = self.build(value["$map"], f"{pointer}/$map", depth, above)
        return Mapped(source, name, self.build(value["value"], f"{pointer}/value", depth, above), pointer)

    def _merge(self, value: Mapping[str, Json], pointer: str, depth: int, above: int) -> Node:
        parts = value["$merge"]
        if not isinstance(parts, list):
            raise TemplateError("bad_operator", "'$merge' is a list of objects.", f"{pointer}/$merge")
        built = (self.build(part, f"{pointer}/$merge/{index}", depth, above) for index, part in enumerate(parts))
        return Merged(tuple(built), pointer)

    def _json(self, value: Mapping[str, Json], pointer: str, depth: int, above: int) -> Node:
        return JsonText(self.build(value["$json"], f"{pointer}/$json", depth, above), pointer)

    def _omit(self, value: Mapping[str, Json], pointer: str, _: int, __: int) -> Node:
        if value["$omit"] is not True:
            raise TemplateError("bad_operator", "'$omit' is true.", f"{pointer}/$omit")
        return Constant(OMIT)


def as_condition(condition: Json) -> "Test | Truth | bool":
    """A parsed condition, or the boolean that stands for one; `condition_syntax` for anything else."""
    if isinstance(condition, bool):
        return condition
    if not isinstance(condition, str):
        raise TemplateError("condition_syntax", "A condition is text, true or false.")
    return parse_condition(condition)


def escape_pointer(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
