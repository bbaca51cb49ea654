"""The catalog: every document is valid, labelled in three languages, and does what its recorded cases say."""

from collections.abc import Iterator
from typing import Any

import pytest

from taske_ray.catalog.registry import load_documents, load_modules
from taske_ray.core.capability import Capability, Module, ParamsSchema, run_recorded_test

_modules = load_modules()
_capabilities = [each for module in _modules.values() for each in module.capabilities.values()]
_cases = [(each, case) for each in _capabilities for case in each.tests]
_languages = {"ko", "en", "ja"}


def test_the_modules_that_come_along() -> None:
    """The catalog has the modules and capabilities that this version promises."""
    assert [document["module"] for document in load_documents()] == list(_modules)
    assert {each.id for each in _capabilities} >= {
        "system.schedule.cron",
        "system.schedule.interval",
        "system.webhook",
        "system.manual",
        "system.email.send",
        "system.delay",
        "http.request",
        "http.poll",
        "google.drive.list_files",
        "slack.chat.post_message",
        "slack.lookup_channels",
    }
    assert {"system", "http", "rss", "google", "slack", "github", "gitlab", "discord", "telegram"} <= set(_modules)
    assert {"notion", "stripe", "openai", "kakao", "kma"} <= set(_modules)


@pytest.mark.parametrize(("capability", "case"), _cases, ids=[f"{each.id}: {case['name']}" for each, case in _cases])
def test_recorded_cases(capability: Capability, case: dict[str, Any]) -> None:
    """Each recorded case of the catalog passes, offline."""
    assert run_recorded_test(capability, case) == []


@pytest.mark.parametrize("capability", _capabilities, ids=[each.id for each in _capabilities])
def test_each_capability_is_recorded(capability: Capability) -> None:
    """A capability with requests has a success and an error case; any other at least one of wrong parameters."""
    assert any("error" in case for case in capability.tests)
    assert capability.request is None or any("error" not in case for case in capability.tests)
    assert capability.sample is not None
    assert capability.output is not None


@pytest.mark.parametrize("module", _modules.values(), ids=list(_modules))
def test_labels_in_three_languages(module: Module) -> None:
    """Names and descriptions of modules, schemes, capabilities and parameters are in ko, en and ja."""
    labels = [
        module.name,
        module.description,
        *(scheme.name for scheme in module.auth.values() if module.doc.get("auth")),
    ]
    labels += [
        label for each in module.capabilities.values() for label in (each.name, each.doc.get("description", each.name))
    ]
    assert [label for label in labels if not isinstance(label, dict) or set(label) != _languages] == []
    schemas = [each.params for each in module.capabilities.values()]
    schemas += [scheme.fields for scheme in module.auth.values() if "fields" in str(module.doc.get("auth"))]
    assert [name for schema in schemas for name in _unlabelled(schema)] == []


def _unlabelled(schema: ParamsSchema) -> Iterator[str]:
    for name, part in schema.schema["properties"].items():
        known = {"client_id", "client_secret"}
        if name not in known and ("title" not in part or set(part.get("x-title", ())) != {"ko", "ja"}):
            yield name
        if "description" in part and set(part.get("x-description", ())) != {"ko", "ja"}:
            yield f"description of {name}"


def test_credentials_are_bound() -> None:
    """No scheme with a secret may go anywhere: its hosts are named by the module or by its owner."""
    for module in _modules.values():
        literal = [host.evaluate({}) for host in module.allowed_hosts if host.constant]
        for scheme in module.auth.values():
            assert not scheme.has_secret or scheme.allowed_hosts or "*" not in literal
