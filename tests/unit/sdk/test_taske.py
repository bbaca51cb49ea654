"""The two faces, against a service of ten lines."""

from datetime import datetime, timedelta, timezone

import httpx
import pytest

from taske_ray import action, task
from taske_ray.errors import Conflict, Invalid, PreconditionFailed, SecondFactorRequired, Unavailable
from tests.unit.sdk.service import NOW, RUN, TASK, FakeService, ok, page, problem

DRAFT = task("Weekly").then(action("system.delay", **{"for": "PT1S"}))
PAIR = {"access_token": "at", "token_type": "bearer", "expires_in": 600, "refresh_token": "rt"}


def test_apply_creates_what_is_not_there():
    """A name that no task has is created; a similar name is another task."""
    service = FakeService(page(TASK | {"name": "weekly"}), ok(TASK, 201))
    saved = service.taske().tasks.apply(DRAFT)
    assert service.asked == ["GET /api/v1/tasks?limit=200", "POST /api/v1/tasks"]
    assert service.body() == DRAFT.document()
    assert saved.actions[0].condition == "true"


def test_apply_changes_the_task_of_that_name():
    """A known name is replaced, under the condition that nobody changed it meanwhile."""
    service = FakeService(page(TASK), ok(TASK, etag='"3"'), ok(TASK | {"version": 4}))
    assert service.taske().tasks.apply(DRAFT).version == 4
    assert service.asked[1:] == ["GET /api/v1/tasks/task_1", "PUT /api/v1/tasks/task_1"]
    assert service.requests[2].headers["if-match"] == '"3"'


def test_apply_refuses_to_guess():
    """Two tasks of one name are a conflict that names both."""
    service = FakeService(page(TASK, cursor="c"), page(TASK | {"id": "task_2"}))
    with pytest.raises(Conflict, match="task_1, task_2"):
        service.taske().tasks.apply(DRAFT)


def test_apply_needs_a_name():
    """A definition without a name cannot be found again."""
    with pytest.raises(Invalid, match="name"):
        FakeService().taske().tasks.apply({"trigger": {}})


def test_a_lost_update_is_an_error():
    """412 is raised as PreconditionFailed, and update sends the version it was given."""
    service = FakeService(problem(412, "precondition_failed"))
    with pytest.raises(PreconditionFailed):
        service.taske().tasks.update("task_1", DRAFT, version=2)
    assert service.requests[0].headers["if-match"] == '"2"'


def test_run_and_wait():
    """Running by hand with wait asks until the run is settled and returns it."""
    service = FakeService(ok({"run_id": "run_1"}, 202), ok(RUN), ok(RUN | {"status": "succeeded"}))
    assert service.taske().tasks.run("task_1", input={"a": 1}, wait=True).status == "succeeded"
    assert service.body(0) == {"input": {"a": 1}}


def test_run_without_wait_returns_the_run_as_it_is():
    """Without wait the run is returned at once."""
    service = FakeService(ok({"run_id": "run_1"}, 202), ok(RUN))
    assert service.taske().tasks.run("task_1").status == "queued"
    assert service.body(0) == {}


def test_waiting_ends():
    """A run that takes longer than the caller's patience is a TimeoutError that names it."""
    service = FakeService(ok(RUN))
    with pytest.raises(TimeoutError, match="run_1"):
        service.taske().runs.wait("run_1", timeout_s=0)


def test_watch_yields_changes_only():
    """Watching yields each new state once and ends when the run is settled."""
    running = RUN | {"status": "running"}
    service = FakeService(ok(RUN), ok(RUN), ok(running), ok(running), ok(RUN | {"status": "needs_attention"}))
    assert [run.status for run in service.taske().runs.watch("run_1")] == ["queued", "running", "needs_attention"]


def test_lists_are_lazy():
    """The second page is asked for when the first is used up."""
    service = FakeService(page(RUN, cursor="next"), page(RUN | {"id": "run_2"}))
    runs = service.taske().runs.list(task_id="task_1", status="failed")
    assert next(runs).id == "run_1"
    assert len(service.asked) == 1
    assert next(runs).id == "run_2"
    assert service.asked[1] == "GET /api/v1/runs?task_id=task_1&status=failed&cursor=next"


def test_retries_keep_the_key():
    """A POST that was refused for now is sent again with the same Idempotency-Key."""
    service = FakeService(problem(503, "unavailable"), ok({"run_id": "run_1"}, 202), ok(RUN))
    service.taske().tasks.run("task_1")
    keys = {request.headers.get("idempotency-key") for request in service.requests[:2]}
    assert len(keys) == 1
    assert None not in keys


def test_nobody_answers():
    """A service that is not there is Unavailable and names the address."""
    service = FakeService(httpx.ConnectError("refused"))
    with pytest.raises(Unavailable, match=r"taske\.test.*refused"):
        service.taske(retries=0).account.me()


def test_login_speaks_for_the_user():
    """After login the access token is sent, after logout nothing."""
    service = FakeService(ok(PAIR), httpx.Response(204), page())
    taske = service.taske()
    taske.account.login("a@example.com", "secret")
    taske.account.logout()
    list(taske.connections.list())
    assert [request.headers.get("authorization") for request in service.requests] == [None, "Bearer at", None]


def test_a_second_factor_is_asked_for():
    """Without a code the error carries how to go on; with one the login is finished in the same call."""
    due = ok({"second_factor": {"challenge": "c", "methods": ["totp", "recovery_code"]}})
    service = FakeService(due, ok(PAIR))
    taske = service.taske()
    with pytest.raises(SecondFactorRequired) as asked:
        taske.account.login("a@example.com", "secret")
    assert (asked.value.challenge, asked.value.methods) == ("c", ("totp", "recovery_code"))
    assert taske.account.second_factor("c", "123456").access_token == "at"
    assert service.body() == {"challenge": "c", "code": "123456"}
    service = FakeService(due, ok(PAIR))
    assert service.taske().account.login("a@example.com", "secret", code="123456").refresh_token == "rt"
    assert service.asked == ["POST /auth/login", "POST /auth/login/second-factor"]
    assert "authorization" not in service.requests[-1].headers


def test_what_ends_the_session_is_followed_by_the_new_one():
    """After a change of password and after enrolment the client goes on with the tokens of the answer."""
    fresh = PAIR | {"access_token": "new"}
    service = FakeService(ok(fresh), ok(fresh | {"recovery_codes": ["A"], "access_token": "newer"}), ok({}, 204))
    account = service.taske().account
    account.change_password("nine blue bottles")
    assert account.confirm_totp("123456") == ["A"]
    account.remove_totp("654321")
    assert [request.headers["authorization"] for request in service.requests] == [
        "Bearer tsk_key",
        "Bearer new",
        "Bearer newer",
    ]
    assert service.asked[-1] == "DELETE /auth/totp"
    assert service.body() == {"code": "654321"}


async def test_the_asynchronous_account_does_the_same():
    """Sessions are listed and ended, a password is reset."""
    session = {"id": "session_1", "current": True, "method": "password"}
    session |= {"created_at": NOW, "last_used_at": NOW, "expires_at": NOW}
    service = FakeService(page(session), ok({}, 204), ok({}, 204))
    taske = service.async_taske()
    assert [one.current async for one in taske.account.sessions()] == [True]
    await taske.account.end_session("session_1")
    await taske.account.reset_password("t", "nine blue bottles", code="1")
    assert service.asked == ["GET /auth/sessions", "DELETE /auth/sessions/session_1", "POST /auth/password/reset"]
    assert service.body() == {"token": "t", "password": "nine blue bottles", "code": "1"}


def test_modules_and_capabilities():
    """A module document is saved under its own name, and an action can be run now."""
    saved = {"module": "acme", "version": 2, "changed": True, "capabilities": {"acme.x": 2}}
    service = FakeService(ok(saved), ok({"n": 1}))
    taske = service.taske()
    assert taske.modules.apply({"module": "acme"}).version == 2
    assert taske.capabilities.invoke("acme.x", {"a": 1}, connection="conn_1") == {"n": 1}
    assert service.asked == ["PUT /api/v1/admin/modules/acme", "POST /api/v1/capabilities/acme.x/invoke"]
    assert service.body() == {"connection": "conn_1", "params": {"a": 1}}


def test_connections_send_what_is_given():
    """A change sends only what changes."""
    body = {"id": "conn_1", "module": "m", "auth": "a", "name": "n", "status": "active", "fields": {}}
    answer = body | {"created_at": RUN["created_at"], "updated_at": RUN["created_at"]}
    service = FakeService(ok(answer, 201), ok(answer))
    taske = service.taske()
    taske.connections.create("m", "a", "n", {"token": "t"})
    taske.connections.update("conn_1", name="x")
    assert service.body(0) == {"module": "m", "auth": "a", "name": "n", "fields": {"token": "t"}}
    assert service.body(1) == {"name": "x"}
    service.answers = [ok(answer)]
    taske.instance_connections.get("conn_1")
    assert service.asked[-1] == "GET /api/v1/admin/connections/conn_1"


async def test_the_asynchronous_face_does_the_same():
    """AsyncTaske applies, lists, watches and waits through the same flows."""
    done = RUN | {"status": "succeeded"}
    service = FakeService(page(), ok(TASK, 201), ok({"run_id": "run_1"}, 202), ok(RUN), ok(done), page(TASK), ok(done))
    async with service.async_taske() as taske:
        saved = await taske.tasks.apply(DRAFT)
        run = await taske.tasks.run(saved.id, wait=True)
        names = [found.name async for found in taske.tasks.list()]
        seen = [state.status async for state in taske.runs.watch("run_1")]
    assert (run.status, names, seen) == ("succeeded", ["Weekly"], ["succeeded"])


async def test_the_asynchronous_face_retries():
    """AsyncTaske also waits and tries again, and gives up with the same exception."""
    service = FakeService(problem(429, "rate_limited"), page(), httpx.ConnectError("refused"))
    async with service.async_taske(retries=1) as taske:
        assert [task async for task in taske.tasks.list()] == []
    async with service.async_taske(retries=0) as taske:
        service.answers = [httpx.ConnectError("refused")]
        with pytest.raises(Unavailable):
            await taske.account.me()


def test_backfill_sends_the_range_in_utc():
    """A range goes as `from` and `until` in UTC, and the counts come back."""
    service = FakeService(ok({"runs": 2, "skipped": 1}, 202))
    since = datetime(2027, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    made = service.taske().tasks.backfill("task_1", since, since + timedelta(days=1))
    assert (made.runs, made.skipped) == (2, 1)
    assert service.asked == ["POST /api/v1/tasks/task_1/backfill"]
    assert service.body() == {"from": "2027-01-01T00:00:00+00:00", "until": "2027-01-02T00:00:00+00:00"}
