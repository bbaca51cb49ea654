"""From a value to its tree: which strings are templates, which objects are operators, and what breaks a rule."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taske_ray.core.template import limits
from taske_ray.core.template.condition import Test, Truth, parse_condition
from taske_ray.core.template.scan import has_template
from taske_ray.core.template.syntax import parse
from taske_ray.core.template.tree import OMIT, Array, Choice, Constant, JsonText, Mapped, Merged, Node, Object, Text
from taske_ray.errors import TemplateError

Json = Any
operators = {
    "$if": ({"$if", "then"}, {"else"}),
    "$map": ({"$map", "value"}, {"as"}),
    "$merge": ({"$merge"}, set[str]()),
    "$json": ({"$json"}, set[str]()),
    "$omit": ({"$omit"}, set[str]()),
}
_escaped = re.compile(r"\$+(\$(?:if|map|merge|json|omit))")
_identifier = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_words = (
    "offset for as in if else with required cols continue reversed contains not and or limit "
    "empty blank nil null true false forloop"
)
_reserved = frozenset(_words.split())


@dataclass(frozen=True, slots=True)
class Compiler:
    """Builds nodes; `strict` as in `compile_value`."""

    strict: bool

    def build(self, value: Json, pointer: str = "", depth: int = 0, operators_above: int = 0) -> Node:
        """The node for a value. TemplateError with a pointer for whatever breaks a rule."""
        if depth > limits.deepest_value:
            raise TemplateError("template_limit", "A value is nested too deeply.", pointer)
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
            raise TemplateError("template_limit", "Operators are nested more than 20 deep.", pointer)
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


def as_condition(condition: Json) -> Test | Truth | bool:
    """A parsed condition, or the boolean that stands for one; `condition_syntax` for anything else."""
    if isinstance(condition, bool):
        return condition
    if not isinstance(condition, str):
        raise TemplateError("condition_syntax", "A condition is text, true or false.")
    return parse_condition(condition)


def escape_pointer(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
