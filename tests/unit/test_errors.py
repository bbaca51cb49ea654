"""The error tree."""

import ast
import pickle
from pathlib import Path

import pytest

from taske_ray import errors
from tests.syntax import parsed

_made = {
    errors.TemplateError: lambda: errors.TemplateError("filter_error", "not a number", "/params/text"),
    errors.Invalid: lambda: errors.Invalid.at("/name", "too_long", "at most 200 characters"),
    errors.TooManyRequests: lambda: errors.TooManyRequests("slow down", retry_after_s=7),
}


def _leaves(kind):
    for child in kind.__subclasses__():
        yield child
        yield from _leaves(child)


@pytest.mark.parametrize("kind", [k for k in _leaves(errors.TaskeError) if k.__module__ == errors.__name__])
def test_errors_travel_between_processes(kind):
    """An error raised in one process arrives whole in another: code, message and what it carries."""
    error = _made.get(kind, kind)()
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), vars(arrived)) == (kind, vars(error))


def test_the_docstring_is_the_message():
    """Raised without a text, an error says what its docstring says."""
    assert errors.NotFound().message == "There is no such thing."


def _specific_codes():
    names = {kind.__name__ for kind in _leaves(errors.TaskeError) if kind.__module__ == errors.__name__}
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(parsed(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield from (
                    k.value.value for k in node.keywords if k.arg == "code" and isinstance(k.value, ast.Constant)
                )


def test_every_specific_code_is_in_the_reference():
    """A client that meets a code, in any raised error of the source, finds it in the reference."""
    page = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text()
    codes = set(_specific_codes())
    assert "scope_required" in codes
    assert sorted(code for code in codes if f"`{code}`" not in page) == []
