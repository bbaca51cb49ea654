"""Conditions (format 2.2): Liquid's own, without tags; or exactly one `{{ … }}`, which lets a filter in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.builtin.tags.if_tag import IfNode
from liquid.expression import Expression

from taske_ray.core.template import limits
from taske_ray.core.template.context import Context
from taske_ray.core.template.json_text import missing
from taske_ray.core.template.limits import Work, step_units
from taske_ray.core.template.scan import check_expression, check_template
from taske_ray.core.template.syntax import Parsed, Segments, inspect, parse, parse_liquid, translated
from taske_ray.errors import TemplateError

_marks = ("{%", "%}", "{{", "}}")


@dataclass(frozen=True, slots=True)
class Test:
    """A parsed condition."""

    expression: Expression
    template: BoundTemplate
    paths: frozenset[Segments]
    weight: int

    def evaluate(self, scope: Mapping[str, Any], work: Work) -> bool:
        """Whether it holds."""
        work.charge(self.weight)
        try:
            return bool(self.expression.evaluate(Context(self.template, scope, work, frozenset())))
        except Exception as error:  # noqa: BLE001 - every failure of an evaluation is one of our codes
            raise translated(error) from None


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition that is one `{{ … | filter }}`: its value is tested, only nil and false are false."""

    output: Parsed

    @property
    def paths(self) -> frozenset[Segments]:
        """The paths that the output reads."""
        return self.output.paths

    def evaluate(self, scope: Mapping[str, Any], work: Work) -> bool:
        """Whether the value is true."""
        value = self.output.evaluate(scope, work)
        return value is not missing and value is not None and value is not False


@lru_cache(maxsize=2_048)
def parse_condition(text: str) -> Test | Truth:
    """The parsed condition; `template_too_long`, `condition_syntax`, `ambiguous_condition` or an error of a filter."""
    if len(text.encode("utf-8", "surrogatepass")) > limits.longest_condition:
        raise TemplateError("template_too_long", "A condition is at most 4 KiB long.")
    trimmed = text.strip()
    inside = trimmed[2:-2]
    if not (trimmed.startswith("{{") and trimmed.endswith("}}") and len(trimmed) >= 4):  # noqa: PLR2004 - `{{}}`
        return _parse_test(text)
    inside = inside.removeprefix("-").removesuffix("-")
    try:
        return _parse_test(inside)
    except TemplateError as error:
        if error.code != "condition_syntax" or any(mark in inside for mark in _marks):
            raise
    return Truth(_parse_output(trimmed))


def _parse_output(text: str) -> Parsed:
    try:
        return parse(text)
    except TemplateError as error:
        code = "condition_syntax" if error.code == "template_syntax" else error.code
        raise TemplateError(code, error.message) from None


def _parse_test(text: str) -> Test:
    if any(mark in text for mark in _marks):
        raise TemplateError("condition_syntax", "A condition has no '{{', '}}', '{%' or '%}' in it.")
    wrapped = f"{{% if {text} %}}1{{% endif %}}"
    try:
        check_expression(text)
        check_template(wrapped)
    except TemplateError as error:
        code = "condition_syntax" if error.code == "template_syntax" else error.code
        raise TemplateError(code, error.message) from None
    template = parse_liquid(wrapped, "condition_syntax")
    node = template.nodes[0]
    if len(template.nodes) != 1 or not isinstance(node, IfNode):
        raise TemplateError("condition_syntax", "The condition cannot be read.")
    found = inspect(template.nodes)
    return Test(node.condition, template, frozenset(found.paths), found.weight * step_units)
