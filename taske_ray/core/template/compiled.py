"""Compiled templates: what the rest of the program holds, evaluates, and asks for the paths it reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taske_ray.core.template.limits import Work
from taske_ray.core.template.scan import has_template
from taske_ray.core.template.syntax import Segments
from taske_ray.core.template.tree import Constant, Node, Rendering, reads_any
from taske_ray.core.template.value import Compiler, as_condition, operators

Json = Any


@dataclass(frozen=True, slots=True)
class Template:
    """A text, value or condition, compiled once and evaluated often. It holds no data and may be shared.

    `is_constant`: there is no template and no operator in it, so that every evaluation gives the literal.
    """

    root: Node
    is_constant: bool

    def evaluate(self, scope: Mapping[str, Json]) -> Json:
        """The value in a scope of JSON values; a condition gives a boolean, an omitted whole gives `OMIT`.

        Raises TemplateError with a code of format 2.8 and a JSON pointer inside the value. The result may share parts
        with the scope: change neither.
        """
        return self.root.evaluate(Rendering(scope, Work()))

    def evaluate_masked(self, scope: Mapping[str, Json], secret_roots: frozenset[tuple[str, ...]]) -> Json:
        """The same value for people: each string whose template names one of these roots is `••••` (format 2.7)."""
        return self.root.evaluate(Rendering(scope, Work(), secret_roots))

    def paths(self) -> frozenset[Segments]:
        """Every path read from the scope, like `("action1", "output", "count")`; a computed segment is None.

        A last segment `size`, `first` or `last` may be Liquid's own. Names that the template itself sets (`assign`,
        `capture`, `for`, `$map`) are not in it.
        """
        return self.root.paths()

    def reads(self, roots: frozenset[tuple[str, ...]]) -> bool:
        """Whether it names one of these roots, something below one, or something that contains one."""
        return reads_any(self.paths(), roots)


def compile_text(text: str, *, strict_value: bool = False) -> Template:
    """Compile a text template (field type T).

    `strict_value`: exactly one `{{ x }}` with a missing `x` is an error, as in a task's parameters; else it is null.
    Raises TemplateError: `template_syntax`, `template_too_long`, `template_limit`, `unknown_filter`, `filter_error`,
    `ambiguous_condition`.
    """
    return compile_value(text, strict_value=strict_value)


def compile_value(value: Json, *, strict_value: bool = False) -> Template:
    """Compile any JSON whose strings are templates and whose objects may be operators (field type V).

    Raises TemplateError as `compile_text`, and `bad_operator`, `condition_syntax`, `template_not_allowed` (in a key);
    each with a JSON pointer inside the value.
    """
    return Template(Compiler(strict_value).build(value), is_constant=not _has_work(value))


def compile_condition(condition: Json) -> Template:
    """Compile a condition (field type C); it evaluates to a boolean.

    Raises TemplateError: `condition_syntax`, `ambiguous_condition`, `template_too_long`, `unknown_filter`, ….
    """
    test = as_condition(condition)
    if isinstance(test, bool):
        return Template(Constant(test), is_constant=True)
    return Template(_Condition(test), is_constant=False)


@dataclass(frozen=True, slots=True)
class _Condition:
    test: Any

    def evaluate(self, rendering: Rendering) -> bool:
        return bool(self.test.evaluate(rendering.scope, rendering.work))

    def paths(self) -> frozenset[Segments]:
        paths: frozenset[Segments] = self.test.paths
        return paths


def contains_template(value: Json) -> bool:
    """Whether any string or key in a JSON value holds `{{` or `{%` (operators do not count)."""
    if isinstance(value, str):
        return has_template(value)
    if isinstance(value, Mapping):
        return any(contains_template(key) or contains_template(part) for key, part in value.items())
    return isinstance(value, list | tuple) and any(map(contains_template, value))


def count_tags(value: Json) -> int:
    """How many `{{` and `{%` are in all strings of a JSON value: what it costs to compile it."""
    count, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            count += part.count("{{") + part.count("{%")
        elif isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
    return count


def _has_work(value: Json) -> bool:
    """Whether a value holds a template, an operator or an escaped key."""
    if isinstance(value, str):
        return has_template(value)
    if isinstance(value, Mapping):
        return any(key in operators or key.startswith("$$") or _has_work(part) for key, part in value.items())
    return isinstance(value, list | tuple) and any(map(_has_work, value))
