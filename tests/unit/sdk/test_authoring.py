"""Tasks written as code become the documents of the contract."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray import action, cron, every, manual, on, poll, task, webhook
from taske_ray.schemas.connections import Connection
from taske_ray.schemas.tasks import TaskSpec
from tests.unit.sdk.service import NOW

WEEKLY = (
    task("Weekly planning documents")
    .when(cron("0 9 * * MON", timezone="Asia/Seoul", misfire="once"))
    .then(action("google.drive.list_files", connection="conn_1", folder_id="0AE"))
    .then(
        action(
            "slack.chat.post_message", connection="conn_2", channel="C01", text="{{ action1.output.count }}"
        ).options(key="post", condition="action1.output.count > 0", max_attempts=4, on_error="stop", timeout_s=30)
    )
)


def test_the_example_of_the_contract():
    """The weekly task has the shape that the REST API takes."""
    assert WEEKLY.document() == {
        "name": "Weekly planning documents",
        "enabled": True,
        "trigger": {
            "capability": "system.schedule.cron",
            "params": {"cron": "0 9 * * MON", "timezone": "Asia/Seoul", "misfire": "once"},
        },
        "actions": [
            {"capability": "google.drive.list_files", "connection": "conn_1", "params": {"folder_id": "0AE"}},
            {
                "capability": "slack.chat.post_message",
                "connection": "conn_2",
                "params": {"channel": "C01", "text": "{{ action1.output.count }}"},
                "key": "post",
                "if": "action1.output.count > 0",
                "retry": {"max_attempts": 4},
                "on_error": "stop",
                "timeout_s": 30,
            },
        ],
    }


def test_documents_are_valid_tasks():
    """What authoring writes is accepted by the wire model."""
    assert TaskSpec.model_validate(WEEKLY.document()).actions[1].condition == "action1.output.count > 0"


def test_drafts_can_be_shared():
    """Each method returns a new draft, so one beginning can have two ends."""
    start = task("t").when(manual())
    assert start.then(action("a")).actions != start.then(action("b")).actions
    assert start.actions == ()


def test_connections_are_named_by_id():
    """A connection may be given as an id or as the object that the SDK returned."""
    saved = Connection(
        id="conn_9", module="m", auth="a", name="n", status="active", fields={}, created_at=NOW, updated_at=NOW
    )
    assert action("a", connection=saved).document()["connection"] == "conn_9"


@pytest.mark.parametrize(
    ("trigger", "capability", "params"),
    [
        (every("PT5M"), "system.schedule.interval", {"every": "PT5M"}),
        (every(timedelta(minutes=5)), "system.schedule.interval", {"every": "PT300S"}),
        (every(timedelta(seconds=1.5)), "system.schedule.interval", {"every": "PT1.5S"}),
        (webhook(), "system.webhook", {}),
        (webhook(respond="result"), "system.webhook", {"respond": "result"}),
        (
            poll("http://x", every="PT1M", items="/list"),
            "http.poll",
            {"url": "http://x", "every": "PT1M", "items": "/list"},
        ),
        (on("system.run.failed", tasks=["task_1"]), "system.run.failed", {"tasks": ["task_1"]}),
    ],
)
def test_triggers(trigger, capability, params):
    """Each kind of When names its capability and leaves out what was not said."""
    assert trigger.document() == {"capability": capability, "params": params}


def test_a_task_without_a_trigger_is_fired_by_hand():
    """No When means the manual trigger."""
    assert task("t").document()["trigger"]["capability"] == "system.manual"


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=365)))
def test_every_keeps_the_duration(interval):
    """A timedelta survives the way to ISO 8601 to the microsecond."""
    text = every(interval).document()["params"]["every"]
    seconds = text.removeprefix("PT").removesuffix("S")
    whole, _, micros = seconds.partition(".")
    assert timedelta(seconds=int(whole), microseconds=int((micros or "0").ljust(6, "0"))) == interval
