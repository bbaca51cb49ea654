"""One linear look at a template before Liquid parses it (security 11.3).

Liquid's lexer is a set of backtracking regular expressions: some inputs of a few kilobytes cost it minutes. Everything
that could is refused here. The same walk finds conditions whose `and`, `or` and `not` could be read in two ways.
"""

import re
from collections.abc import Iterator

from liquid.builtin.expressions import tokenize
from liquid.exceptions import LiquidError
from liquid.token import Token

from taske_ray.core.template import limits
from taske_ray.errors import TemplateError

tags = frozenset({"if", "unless", "case", "for", "break", "continue", "assign", "capture", "comment", "#"})
_inner = frozenset(
    {"elsif", "else", "when", *(f"end{tag}" for tag in ("if", "unless", "case", "for", "capture", "comment"))}
)

_delimiter = re.compile(r"\{\{|\{%|\}\}|%\}")
_endraw = re.compile(r"\{%-?\s{0,100}endraw\s{0,100}-?%\}")
_name = re.compile(r"#|\w+")
_quoted = re.compile(r"'[^']*'|\"[^\"]*\"", re.DOTALL)
_blank = re.compile(rf"\s{{{limits.longest_blank}}}")
_open_index = re.compile(r"\[\s*''(?!\s*\])")
_operators = frozenset({"eq", "ne", "ltgt", "lt", "gt", "le", "ge", "contains", "and", "or", "not"})


def has_template(text: str) -> bool:
    """Whether text holds an opener, and so is a template and not a literal (format 2.1, rule 1)."""
    return "{{" in text or "{%" in text


def check_template(text: str) -> None:
    """Refuse what must not reach the parser: `template_syntax`, `template_limit` or `ambiguous_condition`."""
    if len(text) > limits.longest_template or len(text.encode("utf-8", "surrogatepass")) > limits.longest_template:
        raise TemplateError("template_too_long", "A template is at most 64 KiB long.")
    comments = 0
    for name, expression in _markup(text):
        if name in ("comment", "endcomment"):
            comments += 1 if name == "comment" else -1
        elif name == "#":
            _check_blanks(expression)
        elif comments <= 0:
            check_expression(expression)


def _markup(text: str) -> Iterator[tuple[str, str]]:
    """The name (empty for an output) and the expression of every `{{ … }}` and `{% … %}`, in order."""
    count, position = 0, 0
    while found := _delimiter.search(text, position):
        position = found.end()
        if found[0] in ("}}", "%}"):
            continue
        count += 1
        if count > limits.most_tags:
            raise limits.over_limit("A template has more than 1,000 tags")
        inside, position = _inside(text, position, "}}" if found[0] == "{{" else "%}")
        if found[0] == "{{":
            yield "", inside
            continue
        name, expression = _tag(inside)
        if name == "raw":
            position = _after_raw(text, position)
        else:
            yield name, expression


def _inside(text: str, start: int, closer: str) -> tuple[str, int]:
    """What stands between an opener and its closer, without the dashes, and the position after the closer."""
    position = start
    while found := _delimiter.search(text, position):
        if found[0] == closer:
            inside = text[start : found.start()].removeprefix("-").removesuffix("-")
            _check_blanks(inside)
            return inside, found.end()
        if found[0] in ("{{", "{%"):
            break
        position = found.start() + 1
    raise TemplateError("template_syntax", f"An opening '{text[start - 2 : start]}' is not closed by '{closer}'.")


def _check_blanks(inside: str) -> None:
    if _blank.search(inside):
        raise TemplateError("template_syntax", "There is too much white space inside a tag.")


def _tag(inside: str) -> tuple[str, str]:
    found = _name.match(inside.strip())
    name = found[0] if found else ""
    if name == "raw" and inside.strip() == "raw":
        return name, ""
    if name not in tags and name not in _inner:
        raise TemplateError("template_syntax", f"There is no tag '{name[:40]}' here.")
    return name, inside.strip()[len(name) :]


def _after_raw(text: str, start: int) -> int:
    found = _endraw.search(text, start)
    if found is None:
        raise TemplateError("template_syntax", "'raw' is not closed by 'endraw'.")
    return found.end()


def check_expression(expression: str) -> None:
    """Refuse an expression that is too deep, too costly to parse, or ambiguous (format 2.2)."""
    code = _quoted.sub("''", expression)
    if _open_index.search(code):
        raise TemplateError("template_syntax", "A '[' is not closed by ']'.")
    _check_brackets(code)
    if (
        "and" in code
        or "or" in code
        or "not" in code
        or "=" in code
        or "<" in code
        or ">" in code
        or "contains" in code
    ):
        _check_operators(expression)


def _check_brackets(code: str) -> None:
    depth = 0
    for position, sign in enumerate(found[0] for found in re.finditer(r"[()\[\]]", code)):
        depth += 1 if sign in "([" else -1
        if depth > limits.deepest_brackets or (position > 2 * limits.most_brackets and "(" in code):
            raise limits.over_limit("An expression has too many brackets")


def _check_operators(expression: str) -> None:
    count = 0
    levels: list[set[str]] = [set()]
    for token in _tokens(expression):
        kind = token.kind
        if kind in ("lparen", "rangeexpression"):
            levels.append(set())
        elif kind == "rparen" and len(levels) > 1:
            levels.pop()
        elif kind in _operators:
            count += 1
            _check_level(levels[-1], kind)
    if count > limits.most_operators:
        raise limits.over_limit("An expression has more than 100 operators")


def _check_level(seen: set[str], kind: str) -> None:
    """`seen` holds the operators met before at this level of parentheses; the new one is added."""
    if kind in ("and", "or"):
        if "not" in seen or {"and": "or", "or": "and"}[kind] in seen:
            message = "'and', 'or' and 'not' side by side can be read in two ways: write parentheses."
            raise TemplateError("ambiguous_condition", message)
        seen.add(kind)
    elif kind == "not":
        seen.add(kind)


def _tokens(expression: str) -> Iterator[Token]:
    try:
        yield from tokenize(expression, Token("expression", expression, 0, expression))
    except LiquidError as error:
        raise TemplateError("template_syntax", f"The expression cannot be read: {error.message}.") from None
