"""No rendering does more than it is charged for. Counted in calls, which are the same on every machine.

`python -m tests.bench.templates` measures the time of the same templates, and of all of them.
"""

import itertools

import pytest

from taske_ray.core.template import limits
from taske_ray.core.template.filters import times
from tests.bench.renderings import templates
from tests.bench.templates import compiled, rendered
from tests.unit.core.counting import counted

CALLS_OF_1000_UNITS = 120  # a call takes 40 ns at least, a unit is 5
OVERHEAD_UNITS = 2_000
EVERY = 197


def is_paid(template):
    """Whether the units of a rendering cover its calls."""
    units, calls = counted(lambda: rendered(template))
    return calls <= (units + OVERHEAD_UNITS) * CALLS_OF_1000_UNITS / 1000


def test_the_work_of_the_worst_templates_is_paid():
    """A sample of all combinations of filters, data, tags and operators; the bench has the rest."""
    sample = [template for template in itertools.islice(templates(), 0, None, EVERY) if compiled(template)]
    assert len(sample) > 50
    assert [template for template in sample if not is_paid(compiled(template))] == []


@pytest.mark.parametrize(
    "template",
    ["{% for i in array %}{{ time | date_add: '-P1Y2M', 'America/New_York' }}{% endfor %}",
     "{% for i in array %}{{ time | date: '" + "%f" * 100 + "' }}{% endfor %}",
     "{% for i in array %}{{ objects[i].name }}{% endfor %}",
     "{% for x in times %}{% for y in x %}{{ y }}{% endfor %}{% endfor %}",
     "{{ nested | sort_natural | uniq | json }}", "{{ float | one_of: array | size }}" * 100,
     {"$map": "{{ objects }}", "value": {"$if": "item.id == 5", "then": "{{ item.name | upcase }}", "else": "x"}}],
)  # fmt: skip
def test_dear_things_are_paid(template):
    """What was found to be too cheap once."""
    assert is_paid(compiled(template))


def test_unpaid_work_is_noticed(monkeypatch):
    """The count is able to fail: without its price, writing times is found."""
    template = compiled("{% for i in array %}{{ time | date: '" + "%A" * 100 + "' | size }}{% endfor %}")
    assert is_paid(template)
    monkeypatch.setattr(times, "directive_units", 0)
    monkeypatch.setattr(times, "time_units", 0)
    assert not is_paid(template)


def test_the_budget_is_what_it_says():
    """Fifty milliseconds at five nanoseconds a unit, and more than what large data needs."""
    assert limits.budget == 10_000_000
    for text in ("{{ big }}", "{{ objects | json }}", "{{ nested | uniq }}"):
        assert rendered(compiled(text)) < limits.budget / 2
