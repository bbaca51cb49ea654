"""States and legal moves, and the names that a step's templates see."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from taske_ray.core.run import (
    Action,
    Attempt,
    AttemptStatus,
    Progress,
    RunStatus,
    Step,
    StepStatus,
    can_move,
    next_step,
    parse_attempt,
    scope,
    terminal,
)

now = datetime(2027, 5, 4, 12, tzinfo=UTC)
legal = {
    RunStatus: {
        *("queued running", "queued cancelled", "running queued", "running waiting", "running needs_attention"),
        *("running succeeded", "running failed", "running cancelled", "waiting running", "waiting cancelled"),
        *("needs_attention queued", "needs_attention failed", "needs_attention cancelled"),
    },
    StepStatus: {
        *("pending running", "pending skipped", "pending failed", "running succeeded", "running failed"),
        *("running unknown", "unknown pending", "unknown succeeded", "unknown failed"),
    },
    AttemptStatus: {
        *("dispatched succeeded", "dispatched failed", "dispatched unknown", "unknown succeeded", "unknown failed"),
    },
}
pairs = [pair for kind in legal for pair in product(kind, kind)]


class Literal:
    """A template without places."""

    def __init__(self, value):
        self.value = value

    def evaluate(self, _scope):
        """The value, whatever the scope."""
        return self.value


def action(number: int, key: str | None = None, **more: object) -> Action:
    return Action(number, key or f"action{number}", "http.request", 1, Literal({}), **more)


def step(number: int, status: str, **more: object) -> Step:
    return Step(number, f"action{number}", "http.request", StepStatus(status), **more)


@pytest.mark.parametrize(("a", "b"), pairs)
def test_moves(a, b):
    """Exactly the moves of the table are legal."""
    assert can_move(a, b) == (f"{a} {b}" in legal[type(a)])


def test_terminal_states_never_change():
    """Nothing leaves succeeded, failed or cancelled."""
    assert not any(can_move(end, status) for end in terminal for status in RunStatus)


def test_kinds_do_not_mix():
    """A run does not become a step, though their words are equal."""
    assert not can_move(RunStatus.RUNNING, StepStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        *(([], 1), (["running"], 1), (["pending"], 1), (["succeeded"], 2), (["skipped"], 2), (["failed"], None)),
        *((["unknown"], None), (["succeeded", "succeeded"], None), (["succeeded", "running"], 2)),
    ],
)
def test_next_step(statuses, expected):
    """The first step that is not over, and none behind one that stopped the run."""
    steps = {number: step(number, status) for number, status in enumerate(statuses, 1)}
    assert next_step([action(1), action(2)], steps) == expected


def test_continue_goes_on_behind_a_failure():
    """`on_error: continue` lets the run go on behind a failed or unknown step."""
    actions = [action(1, on_error="continue"), action(2)]
    assert next_step(actions, {1: step(1, "failed")}) == 2
    assert next_step(actions, {1: step(1, "unknown")}) == 2


def test_scope_has_earlier_steps_by_number_and_key():
    """A step that is over is seen as actionN and by its key; one that is not is no name at all."""
    error = {"class": "fatal", "code": "x", "message": "y"}
    steps = {1: step(1, "succeeded", output={"id": 7}), 2: step(2, "failed", error=error), 3: step(3, "running")}
    progress = Progress({"n": 1}, {"id": "run_1"}, {"name": "t"}, steps)
    names = scope([action(1, "list"), action(2), action(3)], progress, "2027-05-04T12:00:00Z")
    assert names == {
        "trigger": {"output": {"n": 1}},
        "run": {"id": "run_1"},
        "task": {"name": "t"},
        "now": "2027-05-04T12:00:00Z",
        "action1": {"output": {"id": 7}, "status": "succeeded", "error": None},
        "list": {"output": {"id": 7}, "status": "succeeded", "error": None},
        "action2": {"output": None, "status": "failed", "error": error},
    }


def test_attempts_from_rows():
    """Rows as JSON gives them become attempts, also without what an older query did not select."""
    row = {"number": 2, "status": "failed", "started_at": "2027-05-04T12:00:00+00:00", "counted": False}
    assert parse_attempt(row) == Attempt(2, AttemptStatus.FAILED, now, counted=False)


def test_tried_counts_what_was_recorded():
    """Uncounted attempts, expired tokens and ordered waits of the past are told apart."""
    attempts = (
        Attempt(1, AttemptStatus.FAILED, now, error={"class": "rate_limited", "retry_after_s": 30}, counted=False),
        Attempt(2, AttemptStatus.FAILED, now, error={"class": "auth_expired"}, counted=False),
        Attempt(3, AttemptStatus.FAILED, now, error={"class": "transient", "retry_after_s": 60}),
    )
    tried = step(1, "running", attempts=attempts).tried()
    assert (tried.number, tried.counted, tried.expired, tried.ordered_wait_s) == (3, 1, 1, 30)


def test_active_time_is_that_of_calls():
    """Waiting between attempts is not active time; a call in flight is."""
    attempts = (
        Attempt(1, AttemptStatus.FAILED, now, now + timedelta(seconds=10)),
        Attempt(2, AttemptStatus.DISPATCHED, now + timedelta(seconds=100)),
    )
    progress = Progress(None, {}, {}, {1: step(1, "running", attempts=attempts)})
    assert progress.active_time(now + timedelta(seconds=105)) == timedelta(seconds=15)
