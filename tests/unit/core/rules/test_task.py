"""Tasks that make no sense, each with the pointer and the code of what is wrong; and the spec of one that does."""

import pytest

from taske_ray.core.capability import Capability, parse_module
from taske_ray.core.connection import KnownConnection
from taske_ray.core.task import capabilities_of, check_task, parse_capability
from taske_ray.errors import Invalid

open_object = {"type": "object"}
system = parse_module(
    {
        "module": "system",
        "name": "System",
        "base_url": "https://taske.invalid",
        "auth": [{"id": "none", "type": "none"}],
        "capabilities": [
            {
                "capability": "system.schedule.cron",
                "kind": "trigger",
                "execution": "schedule",
                "executor": "cron",
                "name": "Cron",
                "params": {
                    "type": "object",
                    "required": ["cron", "timezone"],
                    "additionalProperties": False,
                    "properties": {"cron": {"type": "string"}, "timezone": {"type": "string"}},
                },
            },
            {
                "capability": "system.schedule.interval",
                "kind": "trigger",
                "execution": "schedule",
                "executor": "interval",
                "name": "Interval",
                "params": {
                    "type": "object",
                    "required": ["every"],
                    "additionalProperties": False,
                    "properties": {"every": {"type": "string"}},
                },
            },
            {
                "capability": "system.webhook",
                "kind": "trigger",
                "name": "Webhook",
                "params": {"type": "object", "properties": {"verify": open_object}},
                "webhook": {"mode": "manual", "verify": []},
            },
        ],
    }
)
shop = parse_module(
    {
        "module": "shop",
        "name": "Shop",
        "base_url": "https://shop.example",
        "auth": [{"id": "key", "type": "bearer"}],
        "capabilities": [
            {
                "capability": "shop.orders.list",
                "kind": "action",
                "name": "List",
                "params": {
                    "type": "object",
                    "required": ["status"],
                    "additionalProperties": False,
                    "properties": {"status": {"type": "string"}, "limit": {"type": "integer", "maximum": 9}},
                },
                "request": {"path": "/orders"},
                "output": {
                    "type": "object",
                    "properties": {
                        "count": {"type": "integer"},
                        "meta": open_object,
                        "orders": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"id": {"type": "string"}}},
                        },
                    },
                },
            }
        ],
    }
)
known: dict[str, Capability] = {**system.capabilities, **shop.capabilities}
connections = {
    "conn_shop": KnownConnection("shop", "key"),
    "conn_other": KnownConnection("slack", "bot"),
    "conn_old": KnownConnection("shop", "oauth"),
}
cron = {"capability": "system.schedule.cron", "params": {"cron": "0 9 * * MON", "timezone": "Asia/Seoul"}}
listing = {"capability": "shop.orders.list", "connection": "conn_shop", "params": {"status": "new"}}


def catalog(text: str) -> Capability | None:
    name, pin = parse_capability(text)
    return known.get(name) if pin in {None, 1, 2} else None


def task(**changes: object) -> dict:
    return {"name": "t", "trigger": cron, "actions": [listing], **changes}


def action(**changes: object) -> dict:
    return {**listing, **changes}


def with_param(text: object, *before: dict) -> dict:
    """A task whose last action has this as its status."""
    return task(actions=[*before, action(params={"status": text})])


def errors_of(spec: object) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        check_task(spec, catalog, connections)
    return [(error.pointer, error.code) for error in caught.value.errors]


def test_a_good_task_gets_its_defaults():
    """What was left out is filled in; what is optional and absent stays absent."""
    checked = check_task(task(), catalog, connections)
    assert checked.spec == {
        "name": "t",
        "enabled": True,
        "overlap": "allow",
        "trigger": {**cron, "connection": None},
        "actions": [
            {**listing, "retry": {"max_attempts": 5}, "on_error": "stop", "timeout_s": 30},
        ],
    }
    assert [one.id for one in checked.capabilities] == ["system.schedule.cron", "shop.orders.list"]
    assert checked.pins == {}


def test_checking_what_was_checked_changes_nothing():
    """A spec that was read back can be saved again, also with nulls where nothing was given."""
    once = check_task(task(actions=[action(key="list", name=None, retry=None)]), catalog, connections).spec
    assert check_task(once, catalog, connections).spec == once


def test_everything_else_is_kept():
    """What a user sets is in the spec as set."""
    full = action(
        key="orders",
        name="Orders",
        retry={"max_attempts": 2},
        on_error="continue",
        timeout_s=300,
        on_unknown="ask",
        **{"if": "trigger.output.x == 1"},
    )
    spec = check_task(task(enabled=False, overlap="queue", actions=[full]), catalog, connections).spec
    assert spec["actions"] == [full]
    assert (spec["enabled"], spec["overlap"]) == (False, "queue")


def test_pins():
    """`capability@version` pins; two versions of one capability in a task do not go together."""
    pinned = action(capability="shop.orders.list@2")
    checked = check_task(task(actions=[pinned, listing]), catalog, connections)
    assert checked.pins == {"shop.orders.list": 2}
    other = action(capability="shop.orders.list@1")
    assert errors_of(task(actions=[pinned, other])) == [("/actions/1/capability", "conflicting_pins")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([], [("", "wrong_type")]),
        ({}, [("/name", "missing"), ("/trigger", "missing")]),
        (task(nmae="x"), [("/nmae", "unknown_field")]),
        (task(name=7), [("/name", "wrong_type")]),
        (task(name=" "), [("/name", "missing")]),
        (task(name="x" * 201), [("/name", "name_too_long")]),
        (task(enabled="yes"), [("/enabled", "wrong_type")]),
        (task(overlap="never"), [("/overlap", "bad_enum")]),
        (task(trigger="cron"), [("/trigger", "wrong_type")]),
        (task(trigger={}), [("/trigger/capability", "missing")]),
        (task(trigger={**cron, "when": 1}), [("/trigger/when", "unknown_field")]),
        (task(trigger={"capability": "system.nope"}), [("/trigger/capability", "unknown_capability")]),
        (task(trigger=listing), [("/trigger/capability", "unknown_capability")]),
        (task(actions=[cron]), [("/actions/0/capability", "unknown_capability")]),
        (task(actions=[action(capability="shop.orders.list@9")]), [("/actions/0/capability", "unknown_capability")]),
        (task(actions=[action(capability="no spaces")]), [("/actions/0/capability", "unknown_capability")]),
        (task(actions={}), [("/actions", "wrong_type")]),
        (task(actions=[listing] * 51), [("/actions", "too_many_actions")]),
        (task(actions=[action(connection=None)]), [("/actions/0/connection", "connection_required")]),
        (task(actions=[action(connection="conn_x")]), [("/actions/0/connection", "unknown_connection")]),
        (task(actions=[action(connection="conn_other")]), [("/actions/0/connection", "wrong_connection_module")]),
        (task(actions=[action(connection="conn_old")]), [("/actions/0/connection", "wrong_connection_module")]),
        (task(trigger={**cron, "connection": "conn_shop"}), [("/trigger/connection", "wrong_connection_module")]),
        (task(actions=[action(key="Bad")]), [("/actions/0/key", "bad_key")]),
        (task(actions=[action(key="x" * 41)]), [("/actions/0/key", "bad_key")]),
        (task(actions=[action(key="trigger")]), [("/actions/0/key", "reserved_key")]),
        (task(actions=[action(key="action2")]), [("/actions/0/key", "reserved_key")]),
        (task(actions=[action(key="a"), action(key="a")]), [("/actions/1/key", "duplicate_key")]),
        (task(actions=[action(timeout_s=0)]), [("/actions/0/timeout_s", "out_of_range")]),
        (task(actions=[action(timeout_s=301)]), [("/actions/0/timeout_s", "out_of_range")]),
        (task(actions=[action(timeout_s=True)]), [("/actions/0/timeout_s", "wrong_type")]),
        (task(actions=[action(retry={"max_attempts": 21})]), [("/actions/0/retry/max_attempts", "out_of_range")]),
        (task(actions=[action(retry={"attempts": 2})]), [("/actions/0/retry/attempts", "unknown_field")]),
        (task(actions=[action(on_error="ignore")]), [("/actions/0/on_error", "bad_enum")]),
        (task(actions=[action(on_unknown="hope")]), [("/actions/0/on_unknown", "bad_enum")]),
        (task(actions=[action(name="x" * 201)]), [("/actions/0/name", "name_too_long")]),
        (
            task(actions=[action(params=[])]),
            [("/actions/0/params", "wrong_type"), ("/actions/0/params/status", "missing")],
        ),
        (task(actions=[action(params={})]), [("/actions/0/params/status", "missing")]),
    ],
)
def test_wrong_shapes(spec, expected):
    """Each mistake is one error at its place."""
    assert errors_of(spec) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"cron": "0 0 30 2 *", "timezone": "UTC"}, [("/trigger/params/cron", "bad_cron")]),
        ({"cron": "@daily", "timezone": "Mars/X"}, [("/trigger/params/timezone", "bad_timezone")]),
        (
            {"cron": "x", "timezone": "x"},
            [("/trigger/params/timezone", "bad_timezone"), ("/trigger/params/cron", "bad_cron")],
        ),
        ({"cron": "@daily"}, [("/trigger/params/timezone", "missing")]),
        ({"cron": "@daily", "timezone": "UTC", "x": 1}, [("/trigger/params/x", "unknown_field")]),
    ],
)
def test_impossible_crons(params, expected):
    """What cannot fire is refused at save time, at the parameter that is wrong."""
    assert errors_of(task(trigger={"capability": "system.schedule.cron", "params": params})) == expected


@pytest.mark.parametrize(
    ("every", "code"), [("PT0.5S", "below_minimum"), ("5m", "bad_duration"), ("P1M", "bad_duration")]
)
def test_impossible_intervals(every, code):
    """An interval has a length, and it is at least a second."""
    spec = task(trigger={"capability": "system.schedule.interval", "params": {"every": every}})
    assert errors_of(spec) == [("/trigger/params/every", code)]


def test_templates_in_a_trigger():
    """A trigger has nothing to look back on; only `verify` of a webhook has templates."""
    templated = {"capability": "system.schedule.interval", "params": {"every": "{{ run.id }}"}}
    assert ("/trigger/params/every", "template_not_allowed") in errors_of(task(trigger=templated))
    token = {"type": "token", "value": "{{ req.headers['x-token'] }}", "secret": "s3cret"}
    check_task(task(trigger={"capability": "system.webhook", "params": {"verify": token}}), catalog, connections)
    broken = {"capability": "system.webhook", "params": {"verify": {"type": "token", "value": "x"}}}
    assert errors_of(task(trigger=broken)) == [("/trigger/params/verify/secret", "missing")]


status = "/actions/{}/params/status"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (with_param("{{ x"), [(status.format(0), "template_syntax")]),
        (with_param("{{ trigger.output.x | nope }}"), [(status.format(0), "unknown_filter")]),
        (with_param("{{ actoin1.output }}"), [(status.format(0), "unknown_name")]),
        (with_param("{{ action1.output }}"), [(status.format(0), "unknown_name")]),
        (with_param("{{ action2.output }}"), [(status.format(0), "unknown_name")]),
        (with_param("{{ trigger.params }}"), [(status.format(0), "unknown_name")]),
        (with_param("{{ action1.result }}", listing), [(status.format(1), "unknown_name")]),
        (with_param("{{ action1.output.cuont }}", listing), [(status.format(1), "unknown_name")]),
        (with_param("{{ action1.output.count.x }}", listing), [(status.format(1), "unknown_name")]),
        (with_param("{{ action1.output.orders[0].ID }}", listing), [(status.format(1), "unknown_name")]),
        (with_param("{{ today }}"), [(status.format(0), "unknown_name")]),
        (task(actions=[action(**{"if": "action1.output"})]), [("/actions/0/if", "unknown_name")]),
        (task(actions=[action(**{"if": "a and b or c"})]), [("/actions/0/if", "ambiguous_condition")]),
        (task(actions=[action(**{"if": 7})]), [("/actions/0/if", "wrong_type")]),
    ],
)
def test_templates_that_cannot_work(spec, expected):
    """A template that does not parse, or reads what is not there yet, is refused where it stands."""
    assert errors_of(spec) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ trigger.output.anything.at_all }}",
        "{{ action1.output.count }} of {{ orders.output.count }}",
        "{{ action1.output.orders[0].id }}{{ action1.output.orders.first.id }}{{ action1.output.orders.size }}",
        "{{ action1.output.meta.free.form }}",
        "{{ action1.status }} {{ action1.error.code }} {{ run.id }} {{ task.name }} {{ now }}",
        "{% for order in action1.output.orders %}{{ order.id }}{% endfor %}",
    ],
)
def test_templates_that_may_work(text):
    """Earlier actions by number and key, outputs that are or may be there, and the names of the run."""
    check_task(with_param(text, action(key="orders")), catalog, connections)


def test_later_actions_are_named_as_such():
    """The message tells a later action from a misspelt one."""
    with pytest.raises(Invalid) as caught:
        check_task(
            task(actions=[action(params={"status": "{{ last.output }}"}), action(key="last")]), catalog, connections
        )
    assert "comes later" in caught.value.errors[0].message


def test_more_templates_than_anybody_writes():
    """What would hold a process up only by being compiled is refused by counting."""
    assert errors_of(with_param(["{{ now }}"] * 5_001)) == [("", "template_limit")]
    check_task(with_param("{{ now }}" * 900), catalog, connections)


def test_all_errors_at_once():
    """One mistake does not hide another, also not two templates in one action."""
    spec = task(
        name="",
        trigger={"capability": "system.schedule.cron", "params": {"cron": "x", "timezone": "UTC"}},
        actions=[action(params={"status": "{{ x", "limit": "{{ y"}), action(connection="conn_x", params={"limit": 10})],
    )
    assert set(errors_of(spec)) >= {
        ("/name", "missing"),
        ("/trigger/params/cron", "bad_cron"),
        ("/actions/0/params/status", "template_syntax"),
        ("/actions/0/params/limit", "template_syntax"),
        ("/actions/1/connection", "unknown_connection"),
        ("/actions/1/params/status", "missing"),
        ("/actions/1/params/limit", "out_of_range"),
    }


def test_capabilities_of_anything():
    """The capabilities to load before checking; nonsense names none."""
    assert capabilities_of(task(actions=[listing, listing])) == ["system.schedule.cron", "shop.orders.list"]
    assert capabilities_of({"trigger": 1, "actions": [None, {"capability": 2}]}) == []
    assert capabilities_of([]) == []
