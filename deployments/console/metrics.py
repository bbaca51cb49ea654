"""Live counts as Prometheus text."""

from collections.abc import Iterator, Mapping
from typing import Any


def prometheus(figures: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    """The figures of hosts (`{host: {name: number}}`) and the database's counts, one sample a line."""
    lines = ["# TYPE taske_runs gauge"]
    lines += [f'taske_runs{{status="{status}"}} {count}' for status, count in sorted(counts.items())]
    for name, samples in sorted(_by_name(figures).items()):
        lines.append(f"# TYPE taske_{name} gauge")
        lines += [f'taske_{name}{{host="{_escaped(host)}"}} {value}' for host, value in samples]
    return "\n".join(lines) + "\n"


def _by_name(figures: Mapping[str, Any]) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for host, values in figures.items():
        for name, value in _numbers("", values):
            found.setdefault(name, []).append((host, value))
    return found


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _numbers(f"{name}_{part}" if name else str(part), inner)
    elif isinstance(value, (int, float)):
        yield "".join(c if c.isalnum() else "_" for c in name.lower()) or "value", float(value)


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
