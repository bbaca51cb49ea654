"""The error tree."""

import pickle

import pytest

from taske_ray import errors

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
