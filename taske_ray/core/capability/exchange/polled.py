"""The items of one page of a poll: filtered, named and mapped, each on its own (format, section 6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taske_ray.core.capability.document.poll import PollSpec
from taske_ray.core.capability.exchange.encode import to_text
from taske_ray.core.capability.module import Capability
from taske_ray.core.outcome import PolledItem
from taske_ray.errors import TemplateError


@dataclass(slots=True)
class PageItems:
    """What a page held. `ends`: nothing on later pages can be new, because the list goes back in time."""

    items: list[PolledItem]
    invalid: int = 0
    filtered: int = 0
    passed: list[Any] = field(default_factory=list)
    ends: bool = False


def read_items(capability: Capability, seen: Mapping[str, Any], raw: list[Any]) -> PageItems:
    """Reads the items of a page; one that cannot be read is counted as invalid and does not stop the others."""
    spec = capability.poll
    assert spec is not None
    page = PageItems([])
    for item in raw:
        scope = {**seen, "item": item}
        try:
            if spec.filter is not None and not spec.filter.evaluate(scope):
                page.filtered += 1
                page.passed.append(_cursor_value(spec, scope))
                continue
            found = _item(capability, spec, scope)
        except TemplateError:
            found = None
        if found is None:
            page.invalid += 1
        else:
            page.items.append(found)
    page.ends = bool(raw) and _is_past(spec, {**seen, "item": raw[-1]})
    return page


def _item(capability: Capability, spec: PollSpec, scope: Mapping[str, Any]) -> PolledItem | None:
    """One item; None if it has no identity."""
    key = to_text(spec.key.evaluate(scope))
    if not key:
        return None
    output = scope["item"] if capability.response.item is None else capability.response.item.evaluate(scope)
    version = spec.version_key.evaluate(scope) if spec.version_key is not None else None
    return PolledItem(
        key=key,
        output=capability.shape_output(output)[0],
        version_key=to_text(version) if version is not None else None,
        cursor_value=_cursor_value(spec, scope),
    )


def _cursor_value(spec: PollSpec, scope: Mapping[str, Any]) -> Any:
    return None if spec.cursor.value is None else spec.cursor.value.evaluate(scope)


def _is_past(spec: PollSpec, scope: Mapping[str, Any]) -> bool:
    """Whether the last item of a page in descending order is older than where the check starts."""
    start = scope["cursor"]["from"]
    if spec.cursor.order != "desc" or spec.cursor.value is None or start is None:
        return False
    try:
        return spec.cursor.is_before(spec.cursor.value.evaluate(scope), start)
    except TemplateError:
        return False
