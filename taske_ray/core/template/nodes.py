"""Our own variants of Liquid's nodes and expressions: text by our rule, bounded ranges, comparisons that are charged.

The parser builds Liquid's classes; `syntax.py` turns those that need it into the ones here, which add behaviour and no
fields (so that a parsed node can change its class).
"""

from typing import Any, TextIO

from liquid import RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import Path
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty, RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.case_tag import MultiExpressionBlockNode
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import UndefinedError
from liquid.expression import Expression
from liquid.limits import to_int
from liquid.output import NullIO

from taske_ray.core.template.context import Context, is_missing
from taske_ray.core.template.json_text import equal, text_of
from taske_ray.core.template.limits import element_units, most_elements, over_limit
from taske_ray.errors import TemplateError


def ours(context: RenderContext) -> Context:
    """The context as ours: no other is ever made here."""
    assert isinstance(context, Context)
    return context


class TextNode(OutputNode):
    """`{{ … }}` inside longer text: a missing value is an error, everything else is text by rule 2.1."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Write the value as text."""
        value = self.expression.evaluate(context)
        if is_missing(value):
            raise UndefinedError(value.msg, token=self.token)  # type: ignore[attr-defined]
        work = ours(context).work
        text = text_of(value, work)
        work.charge(len(text))
        return buffer.write(text)


class Block(BlockNode):
    """The inside of a tag. A block of white space and tags only writes nothing, as in Liquid."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Render all nodes; the count of characters is not kept, only that it is not negative."""
        target = NullIO() if self.blank else buffer
        for node in self.nodes:
            node.render_to_output(context, target)
        return 0


class PlainPath(Path):
    """A path all of whose segments are written out."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """The value at the path, or an undefined."""
        return context.get(self.path, token=self.token)  # type: ignore[arg-type] # a list of names and numbers


class TextOutput(Output):
    """The `{{ … }}` tag, building our nodes."""

    node_class = TextNode


class WeighedFor(ForNode):
    """A loop that knows how much work one round of its body is."""

    __slots__ = ("weight",)

    weight: int

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Render the loop; the context charges all rounds when it starts."""
        ours(context).body_weight = self.weight
        return super().render_to_output(context, buffer)


class WeighedForTag(ForTag):
    """The `for` tag, building our nodes."""

    node_class = WeighedFor


class When(MultiExpressionBlockNode):
    """`{% when … %}` that renders once, however many of its values match."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Render the block if a value matches; -1 tells the case that none did."""
        left = self.expression.left.evaluate(context)
        if any(same(context, left, value.evaluate(context)) for value in self.expression.expressions):
            return self.block.render(context, buffer)
        return -1


class BoundedRange(RangeLiteral):
    """`(a..b)` of at most 10,000 elements."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        first, last = (_bound(value) for value in (start, stop))
        if last - first >= most_elements:
            raise over_limit("A range has more than 10,000 elements")
        return range(first, last + 1)


def _bound(value: Any) -> int:
    if is_missing(value):
        raise UndefinedError(value.msg, token=None)
    try:
        return to_int(value)
    except (ValueError, TypeError, OverflowError):
        raise TemplateError("template_type", "The ends of a range must be whole numbers.") from None


def same(context: RenderContext, left: Any, right: Any) -> bool:
    """Liquid's `==` over JSON values: a missing value equals `nil`, `empty` and `blank` equal what they describe."""
    left, right = (None if is_missing(value) else value for value in (left, right))
    if isinstance(left, Empty | Blank):
        return bool(left == right)
    if isinstance(right, Empty | Blank):
        return bool(right == left)
    return equal(left, right, ours(context).work)


class Eq(EqExpression):
    """`==`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether both sides are equal."""
        return same(context, self.left.evaluate(context), self.right.evaluate(context))


class Ne(NeExpression):
    """`!=`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether the sides differ."""
        return not same(context, self.left.evaluate(context), self.right.evaluate(context))


class Lt(LtExpression):
    """`<`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether left is smaller."""
        order = _order(context, self.left.evaluate(context), self.right.evaluate(context))
        return order is not None and order < 0


class Gt(GtExpression):
    """`>`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether left is larger."""
        order = _order(context, self.left.evaluate(context), self.right.evaluate(context))
        return order is not None and order > 0


class Le(LeExpression):
    """`<=`: an error between text and number like `<`, where Liquid would say false."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether left is not larger."""
        order = _order(context, self.left.evaluate(context), self.right.evaluate(context))
        return order is not None and order <= 0


class Ge(GeExpression):
    """`>=`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether left is not smaller."""
        order = _order(context, self.left.evaluate(context), self.right.evaluate(context))
        return order is not None and order >= 0


def _order(context: RenderContext, left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None beside `nil` or a missing value. `template_type` unless both are text or both are numbers."""
    left, right = (None if is_missing(value) else value for value in (left, right))
    if left is None or right is None:
        return None
    if isinstance(left, str) and isinstance(right, str):
        ours(context).work.charge(min(len(left), len(right)) // 16)
        return int(left > right) - int(left < right)
    if _is_number(left) and _is_number(right):
        return int(left > right) - int(left < right)
    raise TemplateError("template_type", "'<' and '>' compare two numbers or two texts.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Contains(ContainsExpression):
    """`contains`: an element of an array, a substring, or a key of an object."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        """Whether left contains right; false beside `nil` or a missing value."""
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        if any(value is None or value is False or is_missing(value) for value in (left, right)):
            return False
        return _contains(context, left, right)


def _contains(context: RenderContext, left: Any, right: Any) -> bool:
    work = ours(context).work
    if isinstance(left, str):
        part = text_of(right, work)
        work.charge(len(left) + len(part))
        return part in left
    if isinstance(left, dict):
        return isinstance(right, str) and right in left
    if isinstance(left, list | tuple | range):
        work.charge(element_units * len(left))
        return any(same(context, element, right) for element in left)
    raise TemplateError("template_type", "'contains' looks into a text, an array or an object.")


replacements: dict[type[Expression] | type[Node], Any] = {
    RangeLiteral: BoundedRange,
    EqExpression: Eq,
    NeExpression: Ne,
    LtExpression: Lt,
    GtExpression: Gt,
    LeExpression: Le,
    GeExpression: Ge,
    ContainsExpression: Contains,
    MultiExpressionBlockNode: When,
    BlockNode: Block,
}
