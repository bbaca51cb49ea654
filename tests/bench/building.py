"""What building one request costs: `python -m tests.bench.building` prints microseconds for requests of the catalog.

From a task's parameters with templates in them to the bytes of the request: render, fill and check the parameters,
evaluate the module's templates, apply the credential, write. Everything is compiled, as it is for a task's second run.
The limit is 150 µs at the median.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from taske_ray.catalog.registry import load_modules
from taske_ray.core.capability import CallContext, Capability, ConnectionValues, Module, converse
from taske_ray.core.template import compile_value, contains_template

LIMIT_US: Final = 150.0
_rounds, _each = 50, 20
_now: Final = "2026-01-05T00:00:00Z"
_scope: Final = {
    "trigger": {"output": {"scheduled_at": _now, "body": {"n": 7, "name": "기획서"}}},
    "action1": {"output": {"fileList": [{"name": f"문서 {n}"} for n in range(10)], "count": 10}},
}
CASES: Final[dict[str, tuple[dict[str, Any], ConnectionValues | None]]] = {
    "http.request": (
        {"method": "POST", "url": "https://api.example.com/v1/things", "body": {"n": "{{ trigger.output.body.n }}"}},
        None,
    ),
    "google.drive.list_files": (
        {
            "folder_id": "0AE",
            "name_contains": "{{ trigger.output.body.name }}",
            "modified_after": "{{ trigger.output.scheduled_at | date_add: '-P7D' }}",
        },
        ConnectionValues("access_token", {}, {"token": "t0ken-of-google"}),
    ),
    "slack.chat.post_message": (
        {"channel": "C1", "text": "{{ action1.output.fileList | map: 'name' | join: ', ' }}"},
        ConnectionValues("bot_token", {}, {"token": "xoxb-0123456789"}),
    ),
    "stripe.customer.create": (
        {"email": "mina@example.com", "metadata": {"n": "{{ trigger.output.body.name }}"}},
        ConnectionValues("secret_key", {}, {"token": "sk_test_0123456789"}),
    ),
}


def median_us(build: Callable[[], object]) -> float:
    """The median over rounds of calls, in microseconds for one."""
    found = []
    for _ in range(_rounds):
        began = time.process_time_ns()
        for _ in range(_each):
            build()
        found.append((time.process_time_ns() - began) / _each / 1000)
    return statistics.median(found)


def builder(
    capability: Capability, params: dict[str, Any], connection: ConnectionValues | None
) -> Callable[[], object]:
    """Builds the request of one call, to the bytes."""
    template = compile_value(params, strict_value=True)

    def build() -> object:
        filled = capability.params.fill(template.evaluate(_scope), now=_now)
        context = CallContext(filled, _now, connection, run_id="run_1", step="action1", idempotency_key="run_1:action1")
        talk = converse(capability, context)
        request = next(talk)
        talk.close()
        return request

    return build


def recorded(module: Module) -> Iterator[Callable[[], object]]:
    """Builders of the requests that a module's recorded cases begin with."""
    for capability in module.capabilities.values():
        for case in capability.tests:
            if capability.request is None or "error" in case or capability.execution == "poll":
                continue
            given = any(name in case for name in ("auth", "secret", "config"))
            auth = case.get("auth", capability.auth_ids[0])
            connection = ConnectionValues(auth, case.get("config", {}), case.get("secret", {})) if given else None
            literal = {name: value for name, value in case.get("params", {}).items() if not contains_template(value)}
            if len(literal) == len(case.get("params", {})):
                yield builder(capability, literal, connection)


def main() -> None:
    """Print the table."""
    modules = load_modules()
    print("| request | median | of the limit of 150 µs |\n|---|---:|---:|")  # noqa: T201 - what the command is for
    for name, (params, connection) in CASES.items():
        build = builder(modules[name.partition(".")[0]].capabilities[name], params, connection)
        build()
        spent = median_us(build)
        print(f"| {name} | {spent:.0f} µs | {spent / LIMIT_US:.2f} |")  # noqa: T201
    every = [median_us(build) for module in modules.values() for build in recorded(module)]
    spent = statistics.median(every)
    print(f"| median of {len(every)} requests of the whole catalog | {spent:.0f} µs | {spent / LIMIT_US:.2f} |")  # noqa: T201


if __name__ == "__main__":
    main()
