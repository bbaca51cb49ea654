"""What differs between two versions of a module document, and what of it breaks tasks (format, section 8). Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from taske_ray.core.capability.compatibility import breaking
from taske_ray.core.capability.document.place import escape

Kind = Literal["added", "removed", "changed"]
_whole = frozenset({"tests", "sample"})  # of interest as one thing


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs. The pointer is the new document's, for what was removed the old one's."""

    pointer: str
    kind: Kind
    breaking: bool = False


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every difference, in the order of the documents; capabilities are compared by their ids."""
    found = list(_differences(_without(old), _without(new), ""))
    before, after = _by_id(old), _by_id(new)
    for name, (index, doc) in after.items():
        pointer = f"/capabilities/{index}"
        if name not in before:
            found.append(Change(pointer, "added"))
        else:
            found += _of_capability(before[name][1], doc, pointer)
    found += [
        Change(f"/capabilities/{index}", "removed", breaking=True)
        for name, (index, _) in before.items()
        if name not in after
    ]
    return found


def broken_capabilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The capabilities whose next version tasks do not move to by themselves, or that are gone."""
    before, after = _by_id(old), _by_id(new)
    return [name for name, (_, doc) in before.items() if name not in after or breaking(doc, after[name][1])]


def _of_capability(old: Mapping[str, Any], new: Mapping[str, Any], pointer: str) -> Iterator[Change]:
    breaks = [pointer + place for place in breaking(old, new)]
    for change in _differences(old, new, pointer):
        broken = any(_within(place, change.pointer) or _within(change.pointer, place) for place in breaks)
        yield Change(change.pointer, change.kind, breaking=broken)


def _differences(old: Any, new: Any, pointer: str) -> Iterator[Change]:
    if old == new:
        return
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield Change(pointer, "changed")
        return
    for name in [*new, *(name for name in old if name not in new)]:
        place = f"{pointer}/{escape(name)}"
        if name not in old or name not in new:
            yield Change(place, "added" if name in new else "removed")
        elif name in _whole:
            yield from [Change(place, "changed")] if old[name] != new[name] else []
        else:
            yield from _differences(old[name], new[name], place)


def _within(place: str, other: str) -> bool:
    return place == other or place.startswith(f"{other}/")


def _without(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in doc.items() if name not in ("capabilities", "version")}


def _by_id(doc: Mapping[str, Any]) -> dict[str, tuple[int, Mapping[str, Any]]]:
    return {each["capability"]: (index, each) for index, each in enumerate(doc.get("capabilities", ()))}
