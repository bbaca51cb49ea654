"""One run over a log in memory that fences like the real one, with clients that answer what a test lines up."""

from actors.compiled_tasks import CompiledTask
from actors.workflow_run import Trust, WorkflowRun
from taske_ray.catalog.registry import load_modules
from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.core.run import Action
from taske_ray.core.template import compile_condition, compile_value
from taske_ray.testing import ManualClock, MemoryRunLog

LEASE = 1_900_000_000.0
HOST = new_id()
CAPABILITIES = {name: one for module in load_modules().values() for name, one in module.capabilities.items()}
SERVER_ERROR = Failed(ErrorClass.TRANSIENT, "http_error", "500", http_status=500)
REFUSED = Failed(ErrorClass.FATAL, "http_error", "403", http_status=403)


def get(path, **more):
    """A GET of a path, which is `safe`."""
    return {"capability": "http.request", "params": {"url": f"https://api.example{path}"}, **more}


def post(body, **more):
    """A POST that must not be repeated without asking."""
    params = {"method": "POST", "url": "https://api.example", "body": body, "idempotent": False}
    return {"capability": "http.request", "params": params, **more}


def task(*specs):
    actions = tuple(_action(number, spec) for number, spec in enumerate(specs, 1))
    return CompiledTask("nightly", actions, {one.number: CAPABILITIES[one.capability] for one in actions})


def _action(number, spec):
    capability = CAPABILITIES[spec["capability"]]
    return Action(
        number=number,
        key=spec.get("key") or f"action{number}",
        capability=capability.id,
        version=1,
        params=compile_value(spec.get("params") or {}, strict_value=True),
        fill=lambda params, now: capability.params.fill(params, now=now),
        condition=compile_condition(spec["if"]) if "if" in spec else None,
        on_error=spec.get("on_error") or "stop",
        on_unknown=spec.get("on_unknown"),
    )


class Integrations:
    """Clients that answer what a test lines up; an exception is raised, a function is called with the call."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.client = new_id()
        self.calls, self.made_at = [], []
        self.remembered, self.questions, self.acknowledged = {}, [], []

    async def choose(self, _user_id, _connection_id, _call_id):
        """Choose."""
        return self.client

    async def perform(self, call, at):
        """Make a call."""
        self.calls.append(call)
        self.made_at.append(at)
        outcome = self.outcomes.pop(0) if self.outcomes else Succeeded({"status": 200}, http_status=200)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome(call) if callable(outcome) else outcome

    async def adopt(self, question):
        """Adopt."""
        self.questions.append(question)
        return self.remembered.get(question.call_id)

    def acknowledge(self, call_id, client):
        """Acknowledge."""
        self.acknowledged.append((call_id, client))


class Killed(BaseException):
    """The process ends here."""


class Stand:
    """One run with its log, its clock and its clients."""

    def __init__(self, *specs, outcomes=(), input_=None):
        self.clock = ManualClock()
        self.log = MemoryRunLog(now=self.clock.now)
        self.clients = Integrations(*outcomes)
        self.task = task(*specs)
        self.run = self.log.assign(input_)
        self.draining = False

    async def execute(self):
        """Let the run's owner work."""
        trust = Trust(now=self.clock.now, ends_at=lambda: LEASE, host=lambda: HOST, is_draining=lambda: self.draining)
        recorded = self.log.recorded(self.run)
        one = WorkflowRun(
            self.run, self.task, recorded, log=self.log, integrations=self.clients, trust=trust, jitter=lambda: 1.0
        )
        return await one.execute()

    def taken_over(self):
        """Another host owns the run now."""
        self.run = self.log.taken_over(self.run)

    @property
    def row(self):
        """The run's row."""
        return self.log.rows[self.run.run_id]

    def statuses(self):
        """The status of each recorded step."""
        return {number: step.status for number, step in sorted(self.row.steps.items())}

    def attempts(self):
        """The recorded attempts as (step, number, status)."""
        return [(step, number, one["status"]) for (step, number), one in sorted(self.row.attempts.items())]

    @property
    def sent(self):
        """What was asked of the clients: the step of each call and its attempt."""
        return [call.id.removeprefix(format_id("run", self.run.run_id) + ":") for call in self.clients.calls]
