"""The catalog: which modules there are, what they can do, and doing one thing now."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

from taske_ray.schemas.catalog import Capability, CapabilitySummary, Module, ModuleSummary, SavedModule
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Flow, Request, ask, discard, each, fetch, fields, get, json_of, path, post

Kind = Literal["trigger", "action", "lookup"]


class Modules:
    """The outside services that tasks can talk to."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(self) -> Iterator[ModuleSummary]:
        """All modules, in the caller's language."""
        return self._line.stream(each(ModuleSummary, get(path("api", "v1", "modules"))))

    def get(self, module: str) -> Module:
        """A module with its ways to connect and its capabilities."""
        return self._line.run(fetch(Module, get(path("api", "v1", "modules", module))))

    def apply(self, document: Mapping[str, Any], *, draft: bool = False) -> SavedModule:
        """Add or change a module from its document (admin); a `draft` may have open questions (`x-todo`)."""
        return self._line.run(fetch(SavedModule, saving(document, draft=draft)))

    def diff(self, document: Mapping[str, Any]) -> SavedModule:
        """What applying this document would change, and which tasks would stay behind (admin); saves nothing."""
        return self._line.run(fetch(SavedModule, saving(document, draft=True, dry_run=True)))

    def delete(self, module: str) -> None:
        """Take a module away (admin)."""
        self._line.run(discard(Request("DELETE", path("api", "v1", "admin", "modules", module))))


class AsyncModules:
    """The outside services that tasks can talk to, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    def list(self) -> AsyncIterator[ModuleSummary]:
        """All modules, in the caller's language."""
        return self._line.stream(each(ModuleSummary, get(path("api", "v1", "modules"))))

    async def get(self, module: str) -> Module:
        """A module with its ways to connect and its capabilities."""
        return await self._line.run(fetch(Module, get(path("api", "v1", "modules", module))))

    async def apply(self, document: Mapping[str, Any], *, draft: bool = False) -> SavedModule:
        """Add or change a module from its document (admin); a `draft` may have open questions (`x-todo`)."""
        return await self._line.run(fetch(SavedModule, saving(document, draft=draft)))

    async def diff(self, document: Mapping[str, Any]) -> SavedModule:
        """What applying this document would change, and which tasks would stay behind (admin); saves nothing."""
        return await self._line.run(fetch(SavedModule, saving(document, draft=True, dry_run=True)))

    async def delete(self, module: str) -> None:
        """Take a module away (admin)."""
        await self._line.run(discard(Request("DELETE", path("api", "v1", "admin", "modules", module))))


class Capabilities:
    """What modules can do."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(
        self, *, kind: Kind | None = None, module: str | None = None, q: str | None = None
    ) -> Iterator[CapabilitySummary]:
        """Capabilities of a kind, of a module, or with these words in them."""
        return self._line.stream(each(CapabilitySummary, listing(kind, module, q)))

    def get(self, capability: str) -> Capability:
        """A capability with its parameters and output as JSON Schema."""
        return self._line.run(fetch(Capability, get(path("api", "v1", "capabilities", capability))))

    def invoke(self, capability: str, params: Mapping[str, Any] | None = None, *, connection: str | None = None) -> Any:
        """Run one action now and return its output."""
        return self._line.run(invoke(capability, params, connection))


class AsyncCapabilities:
    """What modules can do, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    def list(
        self, *, kind: Kind | None = None, module: str | None = None, q: str | None = None
    ) -> AsyncIterator[CapabilitySummary]:
        """Capabilities of a kind, of a module, or with these words in them."""
        return self._line.stream(each(CapabilitySummary, listing(kind, module, q)))

    async def get(self, capability: str) -> Capability:
        """A capability with its parameters and output as JSON Schema."""
        return await self._line.run(fetch(Capability, get(path("api", "v1", "capabilities", capability))))

    async def invoke(
        self, capability: str, params: Mapping[str, Any] | None = None, *, connection: str | None = None
    ) -> Any:
        """Run one action now and return its output."""
        return await self._line.run(invoke(capability, params, connection))


def saving(document: Mapping[str, Any], *, draft: bool = False, dry_run: bool = False) -> Request:
    """Save a module under the name in its document, or ask what that would change."""
    where = path("api", "v1", "admin", "modules", str(document.get("module", "-")))
    chosen = {name: "true" for name, wanted in (("draft", draft), ("dry_run", dry_run)) if wanted}
    return Request("PUT", where, query=chosen, body=dict(document))


def listing(kind: str | None, module: str | None, words: str | None) -> Request:
    """The first page of capabilities."""
    return get(path("api", "v1", "capabilities"), kind=kind, module=module, q=words)


def invoke(capability: str, params: Mapping[str, Any] | None, connection: str | None) -> Flow[Any]:
    """Run one action now."""
    body = {**fields(connection=connection), "params": dict(params or {})}
    return json_of((yield from ask(post(path("api", "v1", "capabilities", capability, "invoke"), body))))
