"""Short ways to evaluate a template, and to see which error it ends in."""

from typing import Any

import pytest

from taske_ray.core.template import compile_condition, compile_value
from taske_ray.errors import TemplateError


class Engine:
    """Compiles and evaluates in one go."""

    def value(self, value: Any, scope: dict[str, Any] | None = None, *, strict: bool = False) -> Any:
        """The value of a text or value."""
        return compile_value(value, strict_value=strict).evaluate(scope or {})

    def holds(self, condition: Any, scope: dict[str, Any] | None = None) -> Any:
        """Whether a condition holds."""
        return compile_condition(condition).evaluate(scope or {})

    def code(self, value: Any, scope: dict[str, Any] | None = None, *, strict: bool = False) -> str:
        """The code of the error that a text or value ends in."""
        with pytest.raises(TemplateError) as caught:
            self.value(value, scope, strict=strict)
        return caught.value.code

    def pointer(self, value: Any, scope: dict[str, Any] | None = None, *, strict: bool = False) -> str:
        """Where in the value the error is."""
        with pytest.raises(TemplateError) as caught:
            self.value(value, scope, strict=strict)
        return caught.value.pointer

    def condition_code(self, condition: Any, scope: dict[str, Any] | None = None) -> str:
        """The code of the error that a condition ends in."""
        with pytest.raises(TemplateError) as caught:
            self.holds(condition, scope)
        return caught.value.code


@pytest.fixture
def engine() -> Engine:
    """The engine."""
    return Engine()
