"""The guard around every filter: missing values, sizes before and after, work, and one kind of error.

A filter itself is a function `(work, value, *arguments) -> value` that raises `FilterError` for what it cannot do.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from liquid.exceptions import UndefinedError

from taske_ray.core.template.context import is_missing
from taske_ray.core.template.json_text import as_json, text_of
from taske_ray.core.template.limits import Work, check_size, element_units, filter_units, largest_number
from taske_ray.errors import TemplateError

Function = Callable[..., Any]
slow_factor = 4


class FilterError(Exception):
    """A filter cannot do this; the message says why and never quotes the value, which may be a secret."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: what it does and what the guard does for it.

    `passes`: a missing or null input is returned as it is. `takes_missing`: a missing input is null to the function.
    `false_if_missing`: it is not asked, the result is false. `as_text`: input and arguments become text by rule 2.1
    first. `factor`: units of work for each character or element read. `shallow`: elements are counted, not looked at.
    `check` is given the constant arguments when a template is compiled.
    """

    name: str
    function: Function
    passes: bool = False
    takes_missing: bool = False
    false_if_missing: bool = False
    as_text: bool = False
    factor: int = 1
    shallow: bool = False
    check: Callable[..., Any] | None = None
    signature: inspect.Signature = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signature", inspect.signature(self.function))

    def accepts(self, positional: int, names: list[str]) -> bool:
        """Whether the function can be called with that many arguments and these names (its keyword-only ones)."""
        known = {name for name, kind in self.signature.parameters.items() if kind.kind is kind.KEYWORD_ONLY}
        if not known.issuperset(names):
            return False
        try:
            self.signature.bind(None, None, *[None] * positional, **dict.fromkeys(names))
        except TypeError:
            return False
        return True

    def __call__(self, work: Work, value: Any, /, *arguments: Any, **named: Any) -> Any:
        """Apply the filter. `template_undefined`, `template_limit` or `filter_error` with the filter's name."""
        for argument in (*arguments, *named.values()):
            if is_missing(argument):
                raise UndefinedError(argument.msg, token=None)
        absent = is_missing(value)
        if self.passes and (absent or value is None):
            return value
        if absent and self.false_if_missing:
            return False
        if absent and not self.takes_missing:
            raise UndefinedError(value.msg, token=None)
        return self._guarded(work, None if absent else value, arguments, named)

    def _guarded(self, work: Work, value: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self._measure(work, value, arguments)
        try:
            return self._checked(self._apply(work, value, arguments, named))
        except TemplateError as error:
            raise self._named(error) from None
        except FilterError as error:
            raise self.error(str(error)) from None
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a filter stumbles over is its author's error, not ours
            raise self.error(f"cannot be applied to this value ({type(error).__name__})") from None

    def _measure(self, work: Work, value: Any, arguments: tuple[Any, ...]) -> None:
        size = check_size(value)
        if isinstance(value, str):
            # Python's text operations are an order of magnitude faster on ASCII
            size *= 1 if self.factor <= slow_factor and value.isascii() else self.factor
        elif not self.shallow:
            size *= element_units * self.factor
        for argument in arguments:
            size += check_size(argument)
        work.charge(filter_units + size)

    def _apply(self, work: Work, value: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self.as_text:
            texts = [text_of(argument, work) for argument in arguments]
            text = text_of(value, work)
            if text is not value:  # what was measured was no text yet
                work.charge(len(text) * self.factor)
            return self.function(work, text, *texts, **named)
        return self.function(work, value, *arguments, **named)

    def _checked(self, result: Any) -> Any:
        if isinstance(result, float) and not math.isfinite(result):
            raise FilterError("the result is not a finite number")
        return as_json(result)

    def _named(self, error: TemplateError) -> TemplateError:
        return TemplateError(error.code, f"{self.name}: {error.message}")

    def error(self, message: str) -> TemplateError:
        """A `filter_error` that says which filter it was."""
        return TemplateError("filter_error", f"{self.name}: {message}.")


def number_of(value: Any) -> int | float:
    """A number or numeric text as a number within ± 2⁶³; FilterError for everything else."""
    number: int | float = _parsed(value)
    if not math.isfinite(number) or abs(number) > largest_number:
        raise FilterError("the number is beyond ± 2⁶³")
    return number


def _parsed(value: Any) -> int | float:
    if type(value) is int or type(value) is float:
        return value
    if isinstance(value, str) and len(value) <= longest_number:
        text = value.removeprefix("-").removeprefix("+")
        if text.isascii() and text.isdigit():
            return int(value)
        if text[:1].isdigit() and text.isascii() and not set(text) - set("0123456789.eE+-"):
            try:
                return float(value)
            except ValueError:
                pass
    raise FilterError("a number or numeric text is needed")


longest_number = 400


def whole_of(value: Any) -> int:
    """An argument that must be a whole number; FilterError if it is none."""
    number = number_of(value)
    if number != int(number):
        raise FilterError("a whole number is needed")
    return int(number)


def array_of(value: Any) -> list[Any]:
    """An array (or range) as a list; FilterError for everything else."""
    if isinstance(value, list | tuple | range):
        return list(value)
    raise FilterError("an array is needed")


def object_of(value: Any) -> dict[str, Any]:
    """An object; FilterError for everything else."""
    if isinstance(value, dict):
        return value
    raise FilterError("an object is needed")


def string_of(value: Any) -> str:
    """Text; FilterError for everything else."""
    if isinstance(value, str):
        return value
    raise FilterError("text is needed")
