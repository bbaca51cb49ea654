"""What the worst renderings cost: `python -m tests.bench.templates` fails when one takes more than 50 ms.

A host shares its loop with thousands of runs, so that a template must not hold it longer, whatever its author wrote and
whatever data came. Processor time of this process, the best of three.
"""

import argparse
import contextlib
import gc
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from taske_ray.core.template import Template, compile_value
from taske_ray.core.template.limits import Work, budget
from taske_ray.core.template.tree import Rendering
from taske_ray.errors import TemplateError
from tests.bench.renderings import SCOPE, templates

BOUND_MS = 50.0


def compiled(template: Any) -> Template | None:
    """The template, compiled; None where it is refused."""
    try:
        return compile_value(template)
    except TemplateError:
        return None


def rendered(template: Template) -> int:
    """Render it, whatever comes of it; how many units of work it was charged."""
    work = Work()
    with contextlib.suppress(TemplateError):
        template.root.evaluate(Rendering(SCOPE, work))
    return budget - work.left


def _ms(act: Callable[[], Any]) -> float:
    started = time.process_time()
    act()
    return (time.process_time() - started) * 1000


def main() -> int:
    """Measure all and print the worst; 0 when none is over the bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.templates", description=__doc__)
    parser.add_argument("--only", default="", help="a regular expression that a template must match")
    parser.add_argument("--show", type=int, default=8, help="how many of the worst")
    chosen = parser.parse_args()
    gc.disable()  # a collection in the middle is not the template's cost
    found = []
    for template in templates():
        one = compiled(template) if re.search(chosen.only, str(template)) else None
        if one is None:
            continue
        cost = _ms(lambda one=one: rendered(one))
        if cost > BOUND_MS / 3:
            cost = min(cost, *(_ms(lambda one=one: rendered(one)) for _ in range(2)))
        found.append((cost, rendered(one) if cost > BOUND_MS / 3 else 0, template))
        if len(found) % 500 == 0:
            gc.collect()
    found.sort(key=lambda each: -each[0])
    for cost, units, template in found[: chosen.show]:
        sys.stdout.write(f"{cost:6.1f} ms  {units / 1e6:5.1f} M units  {str(template)[:90]}\n")
    worst = found[0][0]
    sys.stdout.write(f"{len(found)} templates; the worst takes {worst:.1f} ms; the bound is {BOUND_MS:.0f} ms\n")
    return worst > BOUND_MS


if __name__ == "__main__":
    sys.exit(main())
