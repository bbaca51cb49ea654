"""A step is opened: its condition asked and its parameters rendered, once and for good, or it fails by saying why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from taske_ray.core.outcome import ErrorClass
from taske_ray.core.progress.recorded import with_error
from taske_ray.core.run import Action, Progress, Step, StepStatus, scope
from taske_ray.core.size import is_larger, mib
from taske_ray.core.storable import storable
from taske_ray.core.times import format_time
from taske_ray.errors import Invalid, TemplateError
from taske_ray.limits import Limits, codes


def open_step(actions: Sequence[Action], progress: Progress, number: int, now: datetime) -> Step:
    """Step `number` as it is before its call: running, skipped or failed."""
    action, recorded = actions[number - 1], progress.steps.get(number)
    step = recorded or Step(number, action.key, action.capability, StepStatus.PENDING)
    limits = progress.limits
    if progress.active_time(now) > timedelta(seconds=limits.active_run_s):
        message = f"The run has been active for more than {limits.active_run_s} s."
        return with_error(step, codes["active_run_s"], message)
    if step.input is not None:  # once rendered, for good; a delay goes on until the moment it has settled on
        return replace(step, status=StepStatus.RUNNING, input={**step.input, **(step.output or {})})
    try:
        return _render(action, step, scope(actions, progress, format_time(now)), limits)
    except TemplateError as error:
        place = f" (at {error.pointer})" if error.pointer else ""
        return with_error(step, error.code, f"{error.message}{place}")
    except Invalid as error:
        broken = "; ".join(f"{one.pointer}: {one.message}" for one in error.errors[:5])
        code = error.errors[0].code if error.errors else error.code
        return with_error(step, code, broken or error.message, ErrorClass.INVALID)


def is_overtime(step: Step) -> bool:
    """Whether the run has been active for too long; nothing after this step is tried, whatever its `on_error`."""
    return step.error is not None and step.error["code"] == codes["active_run_s"]


def _render(action: Action, step: Step, names: dict[str, Any], limits: Limits) -> Step:
    if action.condition is not None and not action.condition.evaluate(names):
        return replace(step, status=StepStatus.SKIPPED)
    try:
        params = storable(action.params.evaluate(names))
        if action.fill is not None:
            params = action.fill(params, names["now"])
    except ValueError as error:
        return with_error(step, "input_too_deep", f"The step's input is {error}.")
    if is_larger(params, limits.input_mib * mib):
        return with_error(step, codes["input_mib"], f"The step's input is larger than {limits.input_mib} MiB.")
    return replace(step, status=StepStatus.RUNNING, input=params)
