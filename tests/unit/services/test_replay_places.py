"""From where a run can be run again."""

import pytest

from taske_ray.db.history import StoredStep
from taske_ray.services.runs import _is_passed


@pytest.mark.parametrize(
    ("status", "on_error", "passed"),
    [
        ("succeeded", "stop", True),
        ("skipped", "stop", True),
        ("failed", "continue", True),
        ("failed", "stop", False),
        ("unknown", "stop", False),
        ("running", "continue", False),
    ],
)
def test_a_replay_cannot_begin_behind_the_step_that_stopped_the_run(status, on_error, passed):
    """It begins behind steps that the run passed: a failed one only if it says `on_error: continue`."""
    known = dict.fromkeys(StoredStep.__dataclass_fields__) | {"step": 1, "status": status}
    assert _is_passed(StoredStep(**known), [{"on_error": on_error}]) is passed
