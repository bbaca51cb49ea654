"""The decisions about a run that tests begin with."""

from datetime import UTC, datetime

from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.progress import Decision, after, start
from taske_ray.core.run import Action, Attempt, AttemptStatus, Progress
from taske_ray.errors import TemplateError

now = datetime(2027, 5, 4, 12, tzinfo=UTC)
empty = Progress({"n": 1}, {"id": "run_1"}, {"name": "t"})


class Template:
    """A template that is a function of its scope."""

    def __init__(self, function):
        self.evaluate = function


def undefined(_scope):
    raise TemplateError("template_undefined", "trigger.output.x is missing", "/text")


def action(number: int, params=lambda _scope: {}, condition=None, **more: object) -> Action:
    test = None if condition is None else Template(condition)
    return Action(number, f"action{number}", "http.request", 1, Template(params), test, **more)


def safe(_action, _params):
    return "safe"


def ask(_action, _params):
    return "ask"


def dispatched(decision: Decision) -> Attempt:
    return Attempt(decision.call.attempt, AttemptStatus.DISPATCHED, now)


def digest(actions, decision, outcome, *, classify=safe, jitter=1.0) -> Decision:
    """The decision after the call of an earlier decision ended like this."""
    step = decision.call.step.number
    attempt = dispatched(decision)
    return after(actions, decision.progress, step, attempt, outcome, classify=classify, now=now, jitter=jitter)


def begun(actions) -> Decision:
    return start(actions, empty, safe, now)


def failed(error_class: str, **more: object) -> Failed:
    return Failed(ErrorClass(error_class), "http_error", "no", http_status=500, **more)
