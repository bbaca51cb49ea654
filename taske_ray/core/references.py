"""Whether what a task's template reads is there when it is read (format, 2.4)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from taske_ray.core.capability import Capability

Path = tuple[str | int | None, ...]
_anywhere = frozenset({"size", "first", "last"})  # Liquid's own, on texts, arrays and objects
_step_names = ("output", "status", "error")
_scalars = frozenset({"string", "number", "integer", "boolean", "null"})
_open_words = ("anyOf", "oneOf", "allOf", "$ref", "if", "patternProperties", "additionalProperties")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an action can look back on: the capabilities of the actions before it, and every name in the task."""

    capabilities: tuple[Capability | None, ...]
    numbers: Mapping[str, int]


def check_paths(paths: Iterable[Path], earlier: Earlier) -> list[str]:
    """What is wrong with these paths, in words, in a stable order."""
    problems = (_problem(path, earlier) for path in sorted(paths, key=_written) if path)
    return list(dict.fromkeys(problem for problem in problems if problem is not None))


def _problem(path: Path, earlier: Earlier) -> str | None:
    root = path[0]
    if root in {"run", "task", "now"} or root is None:
        return None
    if root == "trigger":
        # what it holds below `output` is not looked at: a run by hand brings whatever it was given
        is_output = path[1:2] in ((), ("output",), (None,))
        return None if is_output else f"'{_written(path[:2])}': a trigger has only 'output'"
    number = earlier.numbers.get(str(root))
    if number is None:
        known = ", ".join(["trigger", *_names_before(earlier), "run", "task", "now"])
        return f"'{root}' is not known here (known: {known})"
    if number > len(earlier.capabilities):
        return f"'{root}' comes later; an action sees only those before it"
    return _output_problem(path, earlier.capabilities[number - 1])


def _names_before(earlier: Earlier) -> list[str]:
    return [name for name, number in earlier.numbers.items() if number <= len(earlier.capabilities)]


def _output_problem(path: Path, capability: Capability | None) -> str | None:
    if len(path) == 1 or path[1] is None:
        return None
    if path[1] not in _step_names:
        return f"'{_written(path[:2])}': an action has only {', '.join(_step_names)}"
    if path[1] != "output" or capability is None or capability.output is None:
        return None
    schema: Any = capability.output
    for depth, segment in enumerate(path[2:], 3):
        if segment in _anywhere:
            return None
        if _excludes(schema, segment):
            return f"'{_written(path[:depth])}': {capability.id} has no such output"
        schema = _below(schema, segment)
    return None


def _excludes(schema: Any, segment: str | int | None) -> bool:
    """Whether a schema has no place for this segment. An object that lists its properties has no others."""
    if not isinstance(schema, Mapping) or segment is None or any(word in schema for word in ("anyOf", "oneOf", "$ref")):
        return schema is False
    kind = schema.get("type")
    if isinstance(segment, int):
        return isinstance(kind, str) and kind in _scalars
    if isinstance(kind, str) and kind in _scalars | {"array"}:
        return True
    properties = schema.get("properties")
    if not properties or segment in properties:
        return False
    return schema.get("additionalProperties") is False or not any(word in schema for word in _open_words)


def _below(schema: Any, segment: str | int | None) -> Any:
    if not isinstance(schema, Mapping) or segment is None:
        return None
    if isinstance(segment, int):
        return schema.get("items")
    return (schema.get("properties") or {}).get(segment)


def _written(path: Path) -> str:
    return ".".join("…" if segment is None else str(segment) for segment in path)
