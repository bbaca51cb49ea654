"""The one Liquid environment: reduced tags, our filters, missing values strict but false (format 2)."""

from typing import ClassVar

import liquid
from liquid.token import TOKEN_CONTENT, TOKEN_ILLEGAL

from taske_ray.core.template import limits
from taske_ray.core.template.filters import filters
from taske_ray.core.template.nodes import TextOutput, WeighedForTag
from taske_ray.core.template.scan import tags

deepest_blocks = 10


class TaskeEnvironment(liquid.Environment):
    """Liquid with `not`, parentheses and ternaries, and with its limits set."""

    logical_not_operator = True
    logical_parentheses = True
    ternary_expressions = True
    loop_iteration_limit: ClassVar[int | None] = limits.most_elements
    local_namespace_limit: ClassVar[int | None] = limits.longest_text
    output_stream_limit: ClassVar[int | None] = limits.longest_text
    block_nesting_limit = deepest_blocks

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Keep the tags of the format, and nothing but our filters."""
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: tag for name, tag in self.tags.items() if name in {*tags, TOKEN_CONTENT, TOKEN_ILLEGAL}}
        self.add_tag(TextOutput)
        self.add_tag(WeighedForTag)
        self.filters = dict(filters)


environment = TaskeEnvironment(undefined=liquid.FalsyStrictUndefined, tolerance=liquid.Mode.STRICT, strict_filters=True)
