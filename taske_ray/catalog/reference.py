"""`docs/reference/modules/*.md`, a page per module of the catalog: `python -m taske_ray.catalog.reference FOLDER`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taske_ray.catalog.registry import load_modules
from taske_ray.core.capability import AuthScheme, Capability, Module, ParamsSchema

_unknown_outcomes = {
    "safe": "When nobody can know whether a call arrived, it is made again.",
    "keyed": "When nobody can know whether a call arrived, it is made again under the same key.",
    "ask": "When nobody can know whether a call arrived, the run waits for your decision.",
}
_kinds = {"trigger": "Triggers", "action": "Actions", "lookup": "Lookups, which fill the choices of a form"}


def pages() -> dict[str, str]:
    """The text of each page by file name: one per module, and `index.md`."""
    modules = load_modules()
    return {"index.md": _index(modules), **{f"{name}.md": page(module) for name, module in modules.items()}}


def page(module: Module) -> str:
    """The page of one module: how to connect, then each capability with what it takes and gives."""
    lines = [
        f"# {_english(module.name)} (`{module.id}`)\n",
        "<!-- Made by `python -m taske_ray.catalog.reference`; a test compares. -->\n",
        f"{_english(module.description)}\n",
    ]
    if module.docs_url:
        lines.append(f"The service's own documentation: <{module.docs_url}>\n")
    lines += _connecting(module)
    for kind, title in _kinds.items():
        found = [each for each in module.capabilities.values() if each.kind == kind]
        lines += [f"## {title}\n", *(line for each in found for line in _capability(each))] if found else []
    return "\n".join(lines)


def _index(modules: Mapping[str, Module]) -> str:
    rows = [
        f"| [{_english(module.name)}]({name}.md) | {_english(module.description)} | {len(module.capabilities)} |"
        for name, module in modules.items()
    ]
    head = "# Modules\n\n<!-- Made by `python -m taske_ray.catalog.reference`; a test compares. -->\n"
    told = "A module that is missing here is a document away: [how to add a module](../../how-to/add-a-module.md).\n"
    return "\n".join([head, told, "| module | what it does | capabilities |", "|---|---|---:|", *rows, ""])


def _connecting(module: Module) -> Iterator[str]:
    schemes = [scheme for scheme in module.auth.values() if scheme.type != "none"]
    if not schemes:
        return
    yield "## Ways to connect\n"
    for scheme in schemes:
        yield f"- `{scheme.id}` ({scheme.type}): {_english(scheme.name or scheme.id)}{_asked(scheme)}"
    yield ""


def _asked(scheme: AuthScheme) -> str:
    if scheme.owner == "instance":
        return ". An administrator connects it once, for everybody."
    if scheme.type == "oauth2_code":
        return ". You log in there; nothing is typed here."
    secret = [f"`{name}`" for name in scheme.fields.schema["properties"]]
    return f". Asks for {', '.join(secret)}." if secret else "."


def _capability(capability: Capability) -> Iterator[str]:
    yield f"### `{capability.id}`\n"
    yield f"{_english(capability.description or capability.name)}\n"
    if capability.scopes:
        yield f"Scopes: {', '.join(f'`{scope}`' for scope in capability.scopes)}.\n"
    if habit := _habit(capability):
        yield f"{habit}\n"
    yield from _parameters(capability.params)
    if capability.sample is not None:
        yield f"Gives, for example:\n\n```json\n{json.dumps(capability.sample, ensure_ascii=False, indent=2)}\n```\n"


def _habit(capability: Capability) -> str:
    """What one has to know besides: how often it looks, how it is reached, what happens when nobody knows."""
    if capability.poll is not None:
        every, least = (f"{each.total_seconds():g} s" for each in (capability.poll.every, capability.poll.min_every))
        return f"Looks every {every}, or as `every` says, but at least {least} apart."
    if capability.webhook is not None and capability.webhook.get("mode") != "manual":
        return "The service calls: needs a public address (`TASKE_PUBLIC_URL`)."
    known = capability.idempotency.cls
    if capability.kind != "action" or capability.execution != "http" or not known.constant:
        return ""
    return _unknown_outcomes[known.evaluate({})]


def _parameters(params: ParamsSchema) -> Iterator[str]:
    schema = params.schema
    if not schema["properties"]:
        return
    yield "| parameter | | what |\n|---|---|---|"
    for name, part in schema["properties"].items():
        needed = "required" if name in schema.get("required", ()) else _default(part)
        told = ". ".join(text for text in (part.get("title"), part.get("description")) if text)
        yield f"| `{name}` | {_typed(part)}{', ' if needed else ''}{needed} | {_in_cell(told)} |"
    yield ""


def _typed(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    kind = part.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(part: Mapping[str, Any]) -> str:
    if "x-default" in part:
        return "computed unless given"
    return f"`{json.dumps(part['default'], ensure_ascii=False)}` unless given" if "default" in part else ""


def _english(label: str | Mapping[str, str]) -> str:
    return label if isinstance(label, str) else label["en"]


def main(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        folder.joinpath(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
