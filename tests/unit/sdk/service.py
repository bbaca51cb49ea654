"""A service of ten lines: it answers what the test says, in order, and remembers what it was asked."""

import json

import httpx

from taske_ray import AsyncTaske, Taske

NOW = "2027-01-04T00:00:00Z"
TASK = {
    "id": "task_1",
    "version": 3,
    "name": "Weekly",
    "enabled": True,
    "trigger": {"id": "trigger_1", "capability": "system.manual", "params": {}},
    "actions": [{"capability": "system.delay", "params": {"for": "PT1S"}, "if": "true"}],
    "created_at": NOW,
    "updated_at": NOW,
}
RUN = {"id": "run_1", "task_id": "task_1", "task_version": 3, "status": "queued", "created_at": NOW, "steps": []}


class FakeService:
    """Answers in order; an exception among the answers is a connection that breaks."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next answer."""
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def asked(self) -> list[str]:
        """What was asked, as `METHOD /path?query`."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def body(self, index: int = -1):
        """The JSON body of a request; the last one unless said."""
        return json.loads(self.requests[index].content)

    def taske(self, **options) -> Taske:
        """A synchronous client of this service."""
        return Taske("http://taske.test", "tsk_key", transport=httpx.MockTransport(self), **options)

    def async_taske(self, **options) -> AsyncTaske:
        """An asynchronous client of this service."""
        return AsyncTaske("http://taske.test", "tsk_key", transport=httpx.MockTransport(self), **options)


def ok(body: object, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def page(*items: object, cursor: str | None = None) -> httpx.Response:
    return ok({"items": list(items), "next_cursor": cursor})


def problem(status: int, code: str = "", detail: str = "no", **more: object) -> httpx.Response:
    body = {"type": f"/problems/{code}", "title": "t", "status": status, "detail": detail, "code": code, **more}
    headers = {"content-type": "application/problem+json", "retry-after": str(more.get("retry_after", 0))}
    return httpx.Response(status, json=body, headers=headers)
