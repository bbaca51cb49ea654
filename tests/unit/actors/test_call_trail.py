"""What calls leave on the audit trail: the first use of a credential in a run, and refusals by the egress guard."""

from uuid import UUID

from actors.call_trail import CallTrail
from taske_ray.core.call import Call
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, Succeeded, Unknown

USER, CONNECTION, TASK = UUID(int=1), UUID(int=2), UUID(int=7)


class FakeTrail:
    """Keeps what it is told."""

    def __init__(self):
        self.noted, self.counted = [], []

    def note(self, entry):
        """Keep it."""
        self.noted.append(entry)

    def count(self, entry):
        """Keep it."""
        self.counted.append(entry)


def call(run_id="run_1", connection=CONNECTION):
    return Call("c", USER, "slack.chat.post_message", 1, {}, "2027-01-01T00:00:00Z", connection, run_id=run_id)


def check(day, connection=CONNECTION, task=TASK):
    """A poll's check on this day."""
    at = f"2027-01-{day:02}T00:00:00Z"
    return Call(f"poll:{at}", USER, "github.issue.new", 1, {}, at, connection, task_id=task)


def refused(code, *, sent=False):
    return Failed(ErrorClass.FATAL, code, "no", sent=sent)


def test_a_run_says_once_that_it_used_a_connection():
    """Whatever came of the call, if something was sent; each run and each connection for itself."""
    trail = FakeTrail()
    audit = CallTrail(trail)
    for outcome in (Succeeded({}), Unknown("?"), refused("http_error", sent=True), Succeeded({})):
        audit.saw(call(), outcome)
    audit.saw(call("run_2"), Unknown("?"))
    audit.saw(call(connection=UUID(int=3)), Succeeded({}))
    assert [(each.action, each.user_id, each.object) for each in trail.noted] == [
        ("connection.use", USER, f"conn_{2:032x}"),
        ("connection.use", USER, f"conn_{2:032x}"),
        ("connection.use", USER, f"conn_{3:032x}"),
    ]
    assert [each.detail["run_id"] for each in trail.noted] == ["run_1", "run_2", "run_1"]


def test_what_used_no_credential_says_nothing():
    """A call without a connection, one that sent nothing, and a test by hand, which belongs to no run and no task."""
    trail = FakeTrail()
    audit = CallTrail(trail)
    audit.saw(call(connection=None), Succeeded({}))
    audit.saw(call(), refused("needs_reauth"))
    audit.saw(call(run_id=""), Succeeded({}))
    assert trail.noted == trail.counted == []


def test_a_task_that_polls_says_it_once_a_day():
    """Each task and connection, with the first check of the day; one that sent nothing is no use, nor is a late one."""
    trail = FakeTrail()
    audit = CallTrail(trail)
    outcomes = [refused("rate_limited"), Fetched(), Unknown("?"), Fetched()]
    for day in (1, 1, 2, 1):
        for outcome in outcomes:
            audit.saw(check(day), outcome)
    audit.saw(check(2, connection=UUID(int=3)), outcomes[1])
    audit.saw(check(2, task=UUID(int=9)), outcomes[1])
    assert [(each.action, each.object, each.detail["task_id"]) for each in trail.noted] == [
        ("connection.use", f"conn_{2:032x}", f"task_{7:032x}"),
        ("connection.use", f"conn_{2:032x}", f"task_{7:032x}"),
        ("connection.use", f"conn_{3:032x}", f"task_{7:032x}"),
        ("connection.use", f"conn_{2:032x}", f"task_{9:032x}"),
    ]


def test_refusals_of_the_guard_are_counted():
    """Each is counted for the user and the capability, also of polls."""
    trail = FakeTrail()
    audit = CallTrail(trail)
    for run_id in ("run_1", ""):
        audit.saw(call(run_id, None), refused("egress_denied"))
    assert [(each.action, each.result, each.object) for each in trail.counted] == [
        ("egress.refuse", "refused", "slack.chat.post_message")
    ] * 2
    assert trail.noted == []
