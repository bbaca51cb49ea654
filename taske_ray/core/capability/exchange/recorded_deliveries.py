"""Runs the recorded deliveries of a webhook trigger, offline (format, sections 7 and 8)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from taske_ray.core.capability.document.verify import parse_verify
from taske_ray.core.capability.module import Capability
from taske_ray.core.times import parse_time
from taske_ray.core.webhook import (
    Accepted,
    Answer,
    Delivery,
    Filtered,
    Handshake,
    Reception,
    Rejected,
    receive,
    reception,
)
from taske_ray.errors import Invalid

_results: Final = {Accepted: "accepted", Filtered: "filtered", Handshake: "handshake", Rejected: "rejected"}
_fields: Final = frozenset({"headers", "body", "raw", "result", "output", "dedupe_key", "respond"})


def delivery_differences(capability: Capability, test: Mapping[str, Any], now: str) -> list[str]:
    """What differs from the recorded deliveries, one line each. `secret` stands for all that is secret in the scope."""
    if capability.webhook is None:
        return ["only a webhook trigger receives deliveries"]
    try:
        rules = _rules(capability, test, now)
    except Invalid as error:
        return [f"the trigger's parameters do not fit: {error.message}"]
    return [
        f"delivery {number}: {line}"
        for number, recorded in enumerate(test["deliveries"], 1)
        for line in _differences(recorded, rules, now)
    ]


def _rules(capability: Capability, test: Mapping[str, Any], now: str) -> Reception:
    block = dict(capability.webhook or {})
    app = capability.module.app_webhook
    if block["mode"] == "app" and app is not None:
        block |= {"verify": app["verify"], "handshake": app["handshake"], "respond": app["respond"]}
    params = capability.params.fill(test.get("params", {}), now=now)
    own = params.get("verify") if block["mode"] == "manual" else None
    secret, config = test.get("secret", {}), test.get("config", {})
    return reception(
        block,
        verify=[parse_verify(own)] if isinstance(own, dict) else None,
        dedupe_header=params.get("dedupe_header"),
        scope={
            "params": capability.params.scope(params),
            "conn": {"config": config, "secret": secret},
            "hook": {"state": secret, "url": None},
            "app": {"secret": secret},
        },
    )


def _differences(recorded: Mapping[str, Any], rules: Reception, now: str) -> Iterator[str]:
    yield from (f"unknown field: {name}" for name in sorted(set(recorded) - _fields))
    found = receive(_delivery(recorded, now), rules, parse_time(now))
    result = _results[type(found)]
    if result != recorded.get("result"):
        reason = f" ({found.reason}: {found.message})" if isinstance(found, Rejected) else ""
        yield f"is {result}{reason}, recorded {recorded.get('result')}"
    elif isinstance(found, Accepted):
        yield from _accepted_differences(recorded, found)
    elif isinstance(found, Handshake):
        yield from _answer_differences(recorded, found.answer)


def _delivery(recorded: Mapping[str, Any], now: str) -> Delivery:
    headers = {name.lower(): str(value) for name, value in recorded.get("headers", {}).items()}
    if "raw" in recorded:
        body = str(recorded["raw"]).encode()
    elif "body" in recorded:
        body = json.dumps(recorded["body"], ensure_ascii=False).encode()
    else:
        body = b""
    return Delivery("POST", "/hooks/recorded", body, now, headers)


def _accepted_differences(recorded: Mapping[str, Any], found: Accepted) -> Iterator[str]:
    outputs, keys = [event.output for event in found.events], [event.key for event in found.events]
    actual = {"output": outputs if len(outputs) > 1 else outputs[0], "dedupe_key": keys if len(keys) > 1 else keys[0]}
    for name, value in actual.items():
        if name in recorded and recorded[name] != value:
            yield f"{name} is {_shown(value)}, recorded {_shown(recorded[name])}"
    if found.answer is not None:
        yield from _answer_differences(recorded, found.answer)


def _answer_differences(recorded: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    actual = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
    for name, value in recorded.get("respond", {}).items():
        if actual.get(name) != value:
            yield f"respond.{name} is {_shown(actual.get(name))}, recorded {_shown(value)}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
