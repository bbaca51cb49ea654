"""The template engine (format, section 2): Liquid for values, texts and conditions, in one pass, within limits.

Pure: no clock, no randomness, no loader. Names in scope are data that the caller passes in.
"""

from taske_ray.core.template.compiled import (
    Template,
    compile_condition,
    compile_text,
    compile_value,
    contains_template,
    count_tags,
)
from taske_ray.core.template.tree import OMIT, mask

__all__ = [
    "OMIT",
    "Template",
    "compile_condition",
    "compile_text",
    "compile_value",
    "contains_template",
    "count_tags",
    "mask",
]
