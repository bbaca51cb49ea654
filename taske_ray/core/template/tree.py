"""The tree of a compiled value: one node for each part of its JSON, operators of format 2.5 included.

Every node knows where it stands, so that an error carries a JSON pointer inside the value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from taske_ray.core.template import limits
from taske_ray.core.template.condition import Test, Truth
from taske_ray.core.template.json_text import compact_json, missing
from taske_ray.core.template.limits import Work, element_units
from taske_ray.core.template.syntax import Parsed, Segments
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

    def within(self, scope: Mapping[str, Any], name: str, *, secret: bool) -> "Rendering":
        """The same in a scope where one more name hides a root of that name; `secret` if its values are."""
        secrets = frozenset(root for root in self.secrets if root[0] != name)
        return Rendering(scope, self.work, secrets | {(name,)} if secret else secrets)


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

    test: Test | Truth | bool
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
        scope = dict(rendering.scope)
        inner = rendering.within(scope, self.name, secret=secret)
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
            raise TemplateError("template_limit", "'$map' has more than 10,000 elements.", f"{self.pointer}/$map")
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
