"""Whether a task makes sense, with everything that is wrong with it at once, each at its pointer.

The shape, the capabilities and connections it names, parameters against their schemas as far as they are known, and
every template: does it parse, and is everything it reads there when it is read. What may only be known at run time
(the type of a value, a missing field of an answer) is not looked at.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from taske_ray.core.capability import Capability, parse_verify
from taske_ray.core.connection import KnownConnection, default_connection, misfit
from taske_ray.core.fields import Fields, Report
from taske_ray.core.ids import format_id
from taske_ray.core.interval import parse_interval
from taske_ray.core.references import Earlier, check_paths
from taske_ray.core.schedule import parse_cron
from taske_ray.core.template import Template, compile_condition, compile_value, contains_template, count_tags
from taske_ray.core.times import parse_duration
from taske_ray.errors import Invalid, TemplateError
from taske_ray.limits import Limits, codes, profiles

longest_name = 200
most_attempts = 20
most_tags = 5_000
_key = re.compile(r"[a-z][a-z0-9_]{0,39}")
_numbered = re.compile(r"action[0-9]+")
_taken_keys = frozenset({"trigger", "run", "task", "now"})
_pin = re.compile(r"([a-z0-9_.]+)(?:@([1-9][0-9]{0,8}))?")
_epoch = datetime(1970, 1, 1, tzinfo=UTC)

Catalog = Callable[[str], Capability | None]
"""The capability of an id as a task writes it, with its pin: `google.drive.list_files` or `…@3`."""

Connections = Mapping[str, KnownConnection]
"""The connections that the owner may use, by id."""


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A task that makes sense. `spec` has its defaults filled in; `capabilities` are trigger's and actions', in order.

    `pins` are the versions that the task itself insists on (`capability@3`), by capability id.
    """

    spec: dict[str, Any]
    trigger: Capability
    actions: tuple[Capability, ...]
    pins: dict[str, int]

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """All of them, each once."""
        return tuple({one.id: one for one in (self.trigger, *self.actions)}.values())


def parse_capability(text: str) -> tuple[str, int | None]:
    """`google.drive.list_files@3` as id and pinned version; without a pin None. ValueError if it is neither."""
    found = _pin.fullmatch(text)
    if found is None:
        raise ValueError("a capability is written module.name or module.name@version")
    return found[1], None if found[2] is None else int(found[2])


def capabilities_of(spec: Any) -> list[str]:
    """The capabilities that a task names, as it writes them, each once; whatever is not even text is left out."""
    if not isinstance(spec, Mapping):
        return []
    actions = spec.get("actions")
    parts = [spec.get("trigger"), *(actions if isinstance(actions, list) else [])]
    named = (part.get("capability") for part in parts if isinstance(part, Mapping))
    return list(dict.fromkeys(text for text in named if isinstance(text, str)))


def check_task(
    spec: Mapping[str, Any], catalog: Catalog, connections: Connections, limits: Limits = profiles["default"]
) -> CheckedTask:
    """The task, checked and with its defaults filled in; Invalid with every error there is."""
    report = Report()
    if count_tags(spec) > most_tags:  # compiling takes 20 µs each, and whoever asks for it shares a process with others
        raise Invalid.at("", "template_limit", f"a task has at most {most_tags} template tags in all")
    fields = Fields(spec, "", report, required=("name", "trigger"), optional=("enabled", "overlap", "actions"))
    name = _name(fields, "name")
    checker = _Checker(report, catalog, connections, limits)
    trigger, trigger_capability = checker.trigger(fields)
    actions, capabilities = checker.actions(fields)
    checked = {
        "name": name,
        "enabled": fields.boolean("enabled", default=True),
        "overlap": fields.one_of("overlap", ("allow", "skip", "queue"), "allow"),
        "trigger": trigger,
        "actions": actions,
    }
    report.raise_if_any("The task has errors.")
    assert trigger_capability is not None
    return CheckedTask(checked, trigger_capability, tuple(c for c in capabilities if c is not None), checker.pins)


def _name(fields: Fields, field: str) -> str | None:
    name = fields.text(field)
    if name is not None and not name.strip():
        fields.fail(field, "missing", "a name must not be empty")
    if name is not None and len(name) > longest_name:
        fields.fail(field, "name_too_long", f"a name has at most {longest_name} characters")
    return name


class _Checker:
    """One check of one task: collects errors and pins as it goes."""

    def __init__(self, report: Report, catalog: Catalog, connections: Connections, limits: Limits) -> None:
        self._report = report
        self._catalog = catalog
        self._connections = connections
        self._limits = limits
        self.pins: dict[str, int] = {}

    def trigger(self, task: Fields) -> tuple[dict[str, Any], Capability | None]:
        """The trigger, normalised, and its capability."""
        fields = task.object("trigger", required=("capability",), optional=("connection", "params"))
        if fields is None:
            return {}, None
        capability = self._capability(fields, "trigger")
        params = fields.mapping("params")
        checked = {"capability": fields.text("capability"), "connection": None, "params": params}
        if capability is not None:
            checked["connection"] = self._connection(fields, capability)
            self._trigger_params(capability, params, fields.pointer("params"))
        return checked, capability

    def actions(self, task: Fields) -> tuple[list[dict[str, Any]], list[Capability | None]]:
        """The actions, normalised, and their capabilities (None where unknown)."""
        places = task.objects(
            "actions",
            required=("capability",),
            optional=("connection", "params", "key", "name", "if", "retry", "on_error", "timeout_s", "on_unknown"),
        )
        if len(places) > self._limits.actions:
            task.fail("actions", codes["actions"], f"a task has at most {self._limits.actions} actions")
            return [], []
        keys = self._keys(places)
        checked: list[dict[str, Any]] = []
        earlier: list[Capability | None] = []
        for fields in places:
            capability = self._capability(fields, "action")
            checked.append(self._action(fields, capability, Earlier(tuple(earlier), keys)))
            earlier.append(capability)
        return checked, earlier

    def _keys(self, places: Sequence[Fields]) -> dict[str, int]:
        """The number of the action behind each name that templates may use."""
        names = {f"action{number}": number for number in range(1, len(places) + 1)}
        own: set[str] = set()
        for number, fields in enumerate(places, 1):
            key = fields.text("key")
            if key is None:
                continue
            if not _key.fullmatch(key):
                fields.fail("key", "bad_key", "a key is a lower-case letter, then up to 39 of a-z, 0-9 and _")
            elif key in _taken_keys or (_numbered.fullmatch(key) and key != f"action{number}"):
                fields.fail("key", "reserved_key", f"'{key}' already means something else in templates")
            elif key in own:
                fields.fail("key", "duplicate_key", f"another action has the key '{key}'")
            else:
                names[key] = number
            own.add(key)
        return names

    def _action(self, fields: Fields, capability: Capability | None, earlier: Earlier) -> dict[str, Any]:
        params = fields.mapping("params")
        retry = fields.object("retry", optional=("max_attempts",))
        checked = {
            "capability": fields.text("capability"),
            "connection": None if capability is None else self._connection(fields, capability),
            "params": params,
            "key": fields.text("key"),
            "name": _name(fields, "name"),
            "if": self._condition(fields, earlier),
            "retry": {"max_attempts": retry.integer("max_attempts", 1, most_attempts, 5) if retry else 5},
            "on_error": fields.one_of("on_error", ("stop", "continue"), "stop"),
            "timeout_s": fields.integer("timeout_s", 1, self._limits.longest_timeout_s, self._limits.timeout_s),
            "on_unknown": fields.one_of("on_unknown", ("resend", "ask", "fail"), None),
        }
        self._params(params, fields.pointer("params"), earlier)
        if capability is not None:
            self._report.under(fields.pointer("params"), capability.params.check_partial(params))
        optional = ("key", "name", "if", "on_unknown")
        return {name: value for name, value in checked.items() if value is not None or name not in optional}

    def _capability(self, fields: Fields, kind: str) -> Capability | None:
        text = fields.text("capability")
        if text is None:
            return None
        try:
            name, pin = parse_capability(text)
            capability = self._catalog(text)
        except ValueError:
            capability = None
        if capability is None:
            fields.fail("capability", "unknown_capability", f"there is no capability '{text[:100]}'")
            return None
        if capability.kind != kind:
            message = f"'{text}' is one of the {capability.kind}s; use one of the {kind}s here"
            fields.fail("capability", "unknown_capability", message)
            return None
        if not capability.module.enabled:
            fields.fail("capability", "capability_disabled", f"the module of '{text}' is switched off")
            return None
        if pin is not None and self.pins.setdefault(name, pin) != pin:
            fields.fail(
                "capability", "conflicting_pins", f"this task uses '{name}' in version {self.pins[name]} already"
            )
        return capability

    def _connection(self, fields: Fields, capability: Capability) -> str | None:
        given = fields.text("connection")
        if given is None:
            self._unnamed(fields, capability)
            return None
        wrong = misfit(capability, self._connections.get(given))
        if wrong is not None:
            fields.fail("connection", *wrong)
        return given

    def _unnamed(self, fields: Fields, capability: Capability) -> None:
        """No connection is named: the instance's is used if there is one, else the capability must do without."""
        shared = default_connection(capability)
        known = None if shared is None else self._connections.get(format_id("conn", shared))
        if known is not None:
            wrong = misfit(capability, known)
            if wrong is not None:
                fields.fail("connection", *wrong)
        elif capability.needs_connection:
            message = f"'{capability.id}' needs a connection to {capability.module.id}"
            if shared is not None:
                message += "; an administrator can store one for everybody"
            fields.fail("connection", "connection_required", message)

    def _trigger_params(self, capability: Capability, params: Mapping[str, Any], pointer: str) -> None:
        self._report.under(pointer, capability.params.check_partial(params))
        for name, value in params.items():
            if capability.execution == "webhook" and name == "verify":
                self._verify(value, f"{pointer}/verify")
            elif contains_template(value):
                message = "a trigger's parameters are fixed; templates belong into the actions"
                self._report.fail(f"{pointer}/{name}", "template_not_allowed", message)
        if capability.poll is not None:
            self._poll_interval(params.get("every"), capability.poll.every, pointer)
        try:
            _parse_schedule(capability.executor, params)
        except Invalid as error:
            self._report.under(pointer, error.errors)

    def _poll_interval(self, written: Any, usual: timedelta, pointer: str) -> None:
        """Not more often than this service allows; what the capability itself allows is its schema's business."""
        shortest_s = self._limits.poll_every_s
        try:
            every = parse_duration(written) if isinstance(written, str) else usual
        except ValueError:
            return
        if shortest_s is not None and every.total_seconds() < shortest_s:
            self._report.fail(f"{pointer}/every", codes["poll_every_s"], f"must be at least {shortest_s} s")

    def _verify(self, value: Any, pointer: str) -> None:
        try:
            if value is not None:
                parse_verify(value)
        except Invalid as error:
            self._report.under(pointer, error.errors)

    def _condition(self, fields: Fields, earlier: Earlier) -> str | bool | None:
        condition = fields.raw("if")
        if condition is None:
            return None
        if not isinstance(condition, (str, bool)):
            fields.fail("if", "wrong_type", "must be a condition")
            return None
        self._template(compile_condition, condition, fields.pointer("if"), earlier)
        return condition

    def _params(self, params: Mapping[str, Any], pointer: str, earlier: Earlier) -> None:
        """Each parameter on its own, so that one that does not parse does not hide the others."""
        if any(name.startswith("$") for name in params):
            self._template(_compile_params, params, pointer, earlier)
            return
        for name, value in params.items():
            below = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            self._template(_compile_params, value, below, earlier)

    def _template(self, compile_it: Callable[[Any], Template], source: Any, pointer: str, earlier: Earlier) -> None:
        try:
            paths = compile_it(source).paths()
        except TemplateError as error:
            self._report.fail(pointer + error.pointer, error.code, error.message)
            return
        for message in check_paths(paths, earlier):
            self._report.fail(pointer, "unknown_name", message)


def _compile_params(value: Any) -> Template:
    return compile_value(value, strict_value=True)


def _parse_schedule(executor: str | None, params: Mapping[str, Any]) -> None:
    """What a schema cannot say about a schedule; wrong types are the schema's business."""
    if executor == "cron" and isinstance(params.get("cron"), str) and isinstance(params.get("timezone"), str):
        parse_cron(params["cron"], params["timezone"])
    if executor == "interval" and isinstance(params.get("every"), str):
        parse_interval(params["every"], _epoch)
