"""Arithmetic: only numbers and numeric text take part, and no result leaves ± 2⁶³."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, array_of, number_of, whole_of
from taske_ray.core.template.filters.paths import member
from taske_ray.core.template.limits import Work, decimal_units

most_digits = 18
Number = int | float


def _exact(operation: Callable[[Any, Any], Any]) -> Callable[[Work, Any, Any], Number]:
    """An operation on integers as it is, on others in decimal, so that 0.1 + 0.2 is 0.3."""

    def function(work: Work, value: Any, other: Any) -> Number:
        left, right = number_of(value), number_of(other)
        if isinstance(left, int) and isinstance(right, int):
            return _bounded(operation(left, right))
        work.charge(decimal_units)
        return _bounded(float(operation(Decimal(str(left)), Decimal(str(right)))))

    return function


def _bounded(number: Number) -> Number:
    return number_of(number)


def _divided_by(work: Work, value: Any, other: Any) -> Number:
    left, right = number_of(value), number_of(other)
    if right == 0:
        raise FilterError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        return _bounded(left // right)
    work.charge(decimal_units)  # most quotients are written with all the digits there are
    return _bounded(left / right)


def _modulo(work: Work, value: Any, other: Any) -> Number:
    left, right = number_of(value), number_of(other)
    if right == 0:
        raise FilterError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    work.charge(decimal_units)
    exact, divisor = Decimal(str(left)), Decimal(str(right))
    rest = exact % divisor
    # Decimal's remainder has the sign of the dividend; Liquid's, like that of integers, has the divisor's
    return float(rest + divisor if rest and (rest < 0) != (divisor < 0) else rest)


def _round(_: Work, value: Any, digits: Any = 0) -> Number:
    number, places = number_of(value), whole_of(digits)
    if places <= 0:
        return _bounded(round(number)) if places == 0 else 0
    return round(number, min(places, most_digits))


def _one(operation: Callable[[Any], Any]) -> Callable[[Work, Any], Number]:
    return lambda _, value: _bounded(operation(number_of(value)))


def _sum(work: Work, value: Any, key: Any = None) -> Number:
    elements = array_of(value)
    numbers = [number_of(element if key is None else member(work, element, key)) for element in elements]
    if all(isinstance(number, int) for number in numbers):
        return _bounded(sum(numbers))
    work.charge(len(numbers) * decimal_units)
    return _bounded(float(sum((Decimal(str(number)) for number in numbers), Decimal(0))))


def _digits(number: Number) -> Number:
    if abs(number) >= 10**most_digits:
        raise FilterError(f"the number has more than {most_digits} digits")
    return number


def _int(_: Work, value: Any) -> int:
    return int(_digits(number_of(value)))


def _float(_: Work, value: Any) -> float:
    return float(_digits(number_of(value)))


filters = (
    Filter("abs", _one(abs)),
    Filter("ceil", _one(math.ceil)),
    Filter("floor", _one(math.floor)),
    Filter("round", _round),
    Filter("at_least", lambda _, value, other: max(number_of(value), number_of(other))),
    Filter("at_most", lambda _, value, other: min(number_of(value), number_of(other))),
    Filter("plus", _exact(lambda left, right: left + right)),
    Filter("minus", _exact(lambda left, right: left - right)),
    Filter("times", _exact(lambda left, right: left * right)),
    Filter("divided_by", _divided_by),
    Filter("modulo", _modulo),
    Filter("sum", _sum, factor=8),
    Filter("int", _int, passes=True),
    Filter("float", _float, passes=True),
)
