"""The limits of one rendering (format 2.8, security 11.3), and the work counter that makes its cost bounded.

One unit of work is about 5 ns: a character read by a filter costs one, everything else is priced to match, so that the
budget of 10 million units is about 50 ms of CPU in the worst case, whatever a template or its data looks like.
"""

from typing import Any

from taske_ray.errors import TemplateError

longest_template = 64 * 1024
longest_condition = 4 * 1024
most_tags = 1_000
most_operators = 100
deepest_brackets = 50
most_brackets = 100
longest_blank = 500
longest_text = 1024 * 1024
most_elements = 10_000
deepest_operators = 20
deepest_value = 100
largest_number = 2**63
budget = 10_000_000

step_units = 35
round_units = 60
loop_units = 500
assign_units = 350
path_units = 120
filter_units = 300
element_units = 55
compare_units = 75
json_units = 250
float_units = 80
decimal_units = 350
time_units = 1_000
zone_units = 700
directive_units = 60
calendar_units = 2_300


def over_limit(what: str) -> TemplateError:
    """The error for anything that is too large: never a truncated value."""
    return TemplateError("template_limit", f"{what}.")


class Work:
    """What one rendering may still spend."""

    __slots__ = ("left",)

    def __init__(self, units: int = budget) -> None:
        self.left = units

    def charge(self, units: int) -> None:
        """Spend units; TemplateError `template_limit` when none are left."""
        if units > self.left:
            raise over_limit("The template does too much work")
        self.left -= units

    def charge_deep(self, value: Any, factor: int = 1) -> None:
        """Spend what it costs to read a whole value, `factor` times; refuses more than 1 MiB of text in it.

        Stops counting where the limit is passed, so that measuring a value costs no more than the limit allows.
        """
        if type(value) is str:
            self.charge(len(value) * factor)
            return
        text = 0
        waiting = [value]
        while waiting:
            part = waiting.pop()
            self.charge(element_units * factor)
            if type(part) is str:
                text += len(part)
            elif isinstance(part, dict):
                text += sum(map(len, part))
                self.charge(len(part) * factor)
                waiting.extend(part.values())
            elif isinstance(part, list | tuple | range):
                self.charge(len(part) * factor)
                waiting.extend(part)
            if text > longest_text or text * factor > self.left:
                raise over_limit("A value is longer than 1 MiB of text, or there is too much of it")
        self.charge(text * factor)


def check_size(value: Any) -> int:
    """The length of a text, array, object or range (1 for the rest); `template_limit` when it is over the limit."""
    if type(value) is str:
        if len(value) > longest_text:
            raise over_limit("A text is longer than 1 MiB")
        return len(value)
    if isinstance(value, list | dict | tuple | range):
        if len(value) > most_elements:
            raise over_limit("An array or object has more than 10,000 elements")
        return len(value)
    return 1
