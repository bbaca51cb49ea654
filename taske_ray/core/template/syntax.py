"""From a template's text to something that can be evaluated: parse once, check everything, find the paths it reads.

Parsed templates are shared by all that have the same text and are never changed afterwards; rendered values are not
kept anywhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

from liquid import BoundTemplate
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, Path, TernaryFilteredExpression
from liquid.builtin.expressions.filtered import Filter as FilterCall
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode
from liquid.exceptions import LiquidError, ResourceLimitError, UndefinedError
from liquid.expression import Expression

from taske_ray.core.template.context import Context, is_missing, shown
from taske_ray.core.template.environment import environment
from taske_ray.core.template.filters import filters
from taske_ray.core.template.filters.guard import FilterError
from taske_ray.core.template.json_text import as_json, missing, step
from taske_ray.core.template.limits import Work, path_units, step_units
from taske_ray.core.template.nodes import PlainPath, TextNode, WeighedFor, replacements
from taske_ray.core.template.scan import check_template
from taske_ray.errors import TemplateError

Segments = tuple[str | int | None, ...]
longest_cached = 4_096


class Parsed(Protocol):
    """A parsed template of one of the kinds below."""

    @property
    def paths(self) -> frozenset[Segments]:
        """Every path that it reads from the scope."""
        ...

    def evaluate(self, scope: Mapping[str, Any], work: Work) -> Any:
        """The value, or `missing` if it is exactly one `{{ … }}` that leads nowhere."""
        ...

    def undefined_message(self) -> str:
        """What to tell about a missing value."""
        ...


@dataclass(frozen=True, slots=True)
class PathValue:
    """Exactly one `{{ a.b }}`: walked without Liquid, with the same result."""

    segments: tuple[str | int, ...]
    paths: frozenset[Segments]

    def evaluate(self, scope: Mapping[str, Any], work: Work) -> Any:
        """The value at the path, or `missing`."""
        work.charge(path_units)
        value: Any = scope
        for key in self.segments:
            # The common step, without a call: a member of an object
            if type(value) is dict and key in value and type(key) is str:
                value = value[key]
            else:
                value = step(value, key) if value is not scope else scope.get(cast("str", key), missing)
            if value is missing:
                return missing
        return as_json(value)

    def undefined_message(self) -> str:
        """What to tell about a missing value."""
        return f"'{shown(self.segments)}' is missing."


@dataclass(frozen=True, slots=True)
class OutputValue:
    """Exactly one `{{ … }}` with filters and the like: the value keeps its type."""

    expression: Expression
    template: BoundTemplate
    paths: frozenset[Segments]
    weight: int

    def evaluate(self, scope: Mapping[str, Any], work: Work) -> Any:
        """The value, or `missing`."""
        work.charge(self.weight)
        try:
            value = self.expression.evaluate(Context(self.template, scope, work, frozenset()))
        except Exception as error:  # noqa: BLE001 - every failure of an evaluation is one of our codes
            raise translated(error) from None
        return missing if is_missing(value) else as_json(value)

    def undefined_message(self) -> str:
        """What to tell about a missing value."""
        return f"The value of '{self.expression}' is missing."[:240]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Everything else: text with outputs and tags in it."""

    template: BoundTemplate
    paths: frozenset[Segments]
    weight: int
    local_names: frozenset[str]

    def evaluate(self, scope: Mapping[str, Any], work: Work) -> str:
        """The rendered text."""
        work.charge(self.weight)
        try:
            context = Context(self.template, scope, work, self.local_names)
            buffer = context.get_buffer()
            for node in self.template.nodes:
                node.render_to_output(context, buffer)
            return buffer.getvalue()
        except Exception as error:  # noqa: BLE001 - every failure of an evaluation is one of our codes
            raise translated(error) from None

    def undefined_message(self) -> str:
        """Never asked: text is never missing."""
        return "A value is missing."


def translated(error: Exception) -> TemplateError:
    """Whatever Liquid or Python raised while evaluating, as one of the codes of format 2.8."""
    if isinstance(error, TemplateError):
        return error
    if isinstance(error, UndefinedError):
        return TemplateError("template_undefined", f"{error.message}.")
    if isinstance(error, RecursionError):
        return TemplateError("template_limit", "The expression or its data is nested too deeply.")
    if isinstance(error, ResourceLimitError):
        return TemplateError("template_limit", f"{str(error.message).capitalize()}.")
    if isinstance(error, LiquidError):
        return TemplateError("template_type", f"{error.message}.")
    return TemplateError("template_type", f"The template cannot be evaluated ({type(error).__name__}).")


def parse(text: str) -> Parsed:
    """The parsed template, from the cache if it is short and was parsed before. Errors as `compile_text`."""
    return _cached(text) if len(text) <= longest_cached else _parse(text)


def parse_liquid(text: str, code: str = "template_syntax") -> BoundTemplate:
    """Liquid's tree for a text that was scanned before; TemplateError with `code` if it does not parse."""
    try:
        return environment.from_string(text)
    except LiquidError as error:
        if isinstance(error, ResourceLimitError) or isinstance(error.__cause__, RecursionError):
            raise TemplateError("template_limit", "The template is nested too deeply.") from None
        raise TemplateError(code, f"The template cannot be read: {error.message}.") from None
    except RecursionError:
        raise TemplateError("template_limit", "The template is nested too deeply.") from None


def _parse(text: str) -> Parsed:
    check_template(text)
    template = parse_liquid(text)
    found = inspect(template.nodes)
    paths = frozenset(found.paths)
    weight = found.weight * step_units
    only = template.nodes[0] if len(template.nodes) == 1 else None
    if isinstance(only, TextNode) and text.startswith("{{") and text.endswith("}}"):
        segments = _plain_path(only.expression)
        return PathValue(segments, paths) if segments else OutputValue(only.expression, template, paths, weight)
    return TextBlock(template, paths, weight, frozenset(found.local_names))


_cached = lru_cache(maxsize=2_048)(_parse)


def _plain_path(expression: Expression) -> tuple[str | int, ...]:
    """The segments of an expression that is one path without filters and without computed segments; else empty."""
    if isinstance(expression, FilteredExpression) and not expression.filters and isinstance(expression.left, Path):
        segments = expression.left.path
        if all(isinstance(segment, str | int) for segment in segments):
            return tuple(cast("list[str | int]", segments))
    return ()


class _Inspection:
    """One walk over a parsed tree: paths read from the scope, weights of loops, filters checked, classes replaced."""

    def __init__(self) -> None:
        self.paths: set[Segments] = set()
        self.local_names: set[str] = set()
        self.weight = 0

    def visit(self, node: Node, names: frozenset[str], *, in_loop: bool) -> None:
        """Look at a node and all below it; `names` are the loop variables that are visible."""
        if isinstance(node, BreakNode | ContinueNode) and not in_loop:
            raise TemplateError("template_syntax", "'break' and 'continue' stand only inside a 'for'.")
        if isinstance(node, CommentNode):
            return
        _replace_class(node)
        self.weight += 3
        for expression in node.expressions():
            self.read(expression, names)
        if isinstance(node, WeighedFor):
            self._visit_loop(node, names, in_loop=in_loop)
            return
        for child in _children(node):
            self.visit(child, names, in_loop=in_loop)

    def _visit_loop(self, node: WeighedFor, names: frozenset[str], *, in_loop: bool) -> None:
        before = self.weight
        self.visit(node.block, names | {str(node.expression.identifier), "forloop"}, in_loop=True)
        node.weight = (self.weight - before) * step_units
        if node.default:
            # Liquid renders the `else` of a loop without the loop's names
            self.visit(node.default, names, in_loop=in_loop)

    def read(self, expression: Expression, names: frozenset[str]) -> None:
        """Look at an expression and all below it."""
        _replace_class(expression)
        self.weight += 1
        if isinstance(expression, Path):
            self._read_path(expression, names)
        for call in _filter_calls(expression):
            self.weight += 1
            check_filter(call)
        for child in expression.children():
            self.read(child, names)

    def _read_path(self, path: Path, names: frozenset[str]) -> None:
        root = path.path[0]
        self.weight += sum(_step_weight(segment) for segment in path.path)
        if not isinstance(root, str):
            raise TemplateError("template_syntax", "A variable's name must be written out.")
        if all(isinstance(segment, str | int) for segment in path.path):
            path.__class__ = PlainPath
        if root not in names and root not in self.local_names:
            self.paths.add(tuple(segment if isinstance(segment, str | int) else None for segment in path.path))


def _step_weight(segment: object) -> int:
    """A name is a look into an object; a number is a step into an array; anything else is evaluated first."""
    return 1 if isinstance(segment, str) else 2 if isinstance(segment, int) else 5


def inspect(nodes: Iterable[Node]) -> _Inspection:
    """Walk a parsed tree once. TemplateError for unknown filters, wrong arguments, stray `break`, computed names."""
    inspection = _Inspection()
    try:
        for node in nodes:
            inspection.local_names.update(_assigned(node))
        for node in nodes:
            inspection.visit(node, frozenset(), in_loop=False)
    except RecursionError:
        raise TemplateError("template_limit", "The template is nested too deeply.") from None
    return inspection


def _children(node: Node) -> Iterable[Node]:
    # The argument is for tags that load other templates; none is left
    return node.children(cast("Any", None))


def _assigned(node: Node) -> Iterator[str]:
    """Every name that `assign` or `capture` sets in a node or below it."""
    yield from map(str, node.template_scope())
    for child in _children(node):
        yield from _assigned(child)


def _replace_class(part: Node | Expression) -> None:
    replacement = replacements.get(type(part))
    if replacement is not None:
        part.__class__ = replacement


def _filter_calls(expression: Expression) -> Iterator[FilterCall]:
    if isinstance(expression, FilteredExpression):
        yield from expression.filters or ()
    elif isinstance(expression, TernaryFilteredExpression):
        yield from _filter_calls(expression.left)
        yield from expression.filters or ()
        yield from expression.tail_filters or ()


def check_filter(call: FilterCall) -> None:
    """Refuse an unknown filter (`unknown_filter`), a wrong number of arguments or a bad constant (`filter_error`)."""
    known = filters.get(call.name)
    if known is None:
        raise TemplateError("unknown_filter", f"There is no filter '{call.name[:60]}'.")
    names = [argument.name for argument in call.args if hasattr(argument, "name")]
    values = [argument.value for argument in call.args if not hasattr(argument, "name")]
    if len(set(names)) != len(names) or not known.accepts(len(values), names):
        raise known.error("wrong number or names of arguments")
    if known.check and values and all(isinstance(value, Literal) for value in values):
        try:
            known.check(*(cast("Any", value).value for value in values))
        except FilterError as error:
            raise known.error(str(error)) from None
