"""The catalog as users and admins see it, and how documents become versioned rows (capability-format, section 1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from taske_ray.core.capability import canonical_hash, parse_module
from taske_ray.core.capability.changes import Change, broken_capabilities, changes
from taske_ray.core.ids import format_id
from taske_ray.db import modules as rows
from taske_ray.db.database import Database
from taske_ray.db.modules import CapabilityHead, ModuleHead, Origin, Use
from taske_ray.db.tables import Capability as CapabilityRow
from taske_ray.db.tables import Module as ModuleRow
from taske_ray.errors import Invalid, NotFound, VersionConflict
from taske_ray.services.catalog_cache import CapabilityCache, Catalog
from taske_ray.services.labels import locales, localised
from taske_ray.services.module_views import capability_summary, capability_view, module_summary, module_view
from taske_ray.services.trail import record

# What of a module changes how its capabilities act: together with a capability's own text it makes its version.
_shared = ("base_url", "allowed_hosts", "auth", "defaults", "errors", "rate_limits", "rate_headers")


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving a document did, or would do. `affected` are the tasks that stay on the version they have."""

    module: str
    version: int
    changed: bool
    capabilities: dict[str, int]
    changes: Sequence[Change] = ()
    affected: Sequence[Use] = ()

    @property
    def breaking(self) -> bool:
        """Whether a task could trip over it, whether or not there is one."""
        return any(change.breaking for change in self.changes)


class Modules:
    """Reads for everyone; writes for admins and for the start of the service."""

    def __init__(self, database: Database, cache: CapabilityCache) -> None:
        self._database = database
        self._cache = cache

    async def list(self, *, locale: str) -> list[dict[str, Any]]:
        """Every module, by id."""
        catalog = await self._cache.catalog()
        return [module_summary(current, locale) for _, current in sorted(catalog.modules.items())]

    async def get(self, module: str, *, locale: str) -> dict[str, Any]:
        """One module with its ways to connect and its capabilities. Raises NotFound."""
        catalog = await self._cache.catalog()
        if module not in catalog.modules:
            raise NotFound
        return module_view(catalog, catalog.modules[module], locale)

    async def capabilities(
        self, *, locale: str, kind: str | None = None, module: str | None = None, words: str | None = None
    ) -> Sequence[dict[str, Any]]:
        """Capabilities by id; `words` are looked for in ids, names and descriptions, in every language."""
        catalog = await self._cache.catalog()
        found = []
        for name in sorted(catalog.capabilities):
            capability = catalog.capability(name)
            if capability is None or (kind and capability.kind != kind) or (module and capability.module.id != module):
                continue
            if words is None or _mentions(catalog, name, words):
                found.append(capability_summary(catalog, name, locale))
        return found

    async def capability(self, name: str, *, locale: str) -> dict[str, Any]:
        """One capability with its parameters, output and example. Raises NotFound."""
        catalog = await self._cache.catalog()
        if catalog.capability(name) is None:
            raise NotFound
        return capability_view(catalog, name, locale)

    async def put(
        self,
        module: str,
        document: dict[str, Any],
        *,
        by: UUID | None = None,
        draft: bool = False,
        dry_run: bool = False,
    ) -> Saved:
        """Save an admin's document as the newest version, or with `dry_run` only tell what that would change.

        A document with open questions (`x-todo`) is taken as a `draft` alone. `by`: which admin; None is the operator.
        Raises Invalid with every broken rule, VersionConflict.
        """
        parse_module(document)
        if document["module"] != module:
            raise Invalid.at("/module", "bad_id", f"The document's module must be {module!r}, as in the address")
        _check_draft(document, draft=draft)
        saved = await self._save(document, "admin", by, dry_run=dry_run)
        self._cache.forget()
        return saved

    async def retire(self, module: str, *, by: UUID | None = None) -> None:
        """Nothing new may refer to it; pinned versions finish their runs. Raises NotFound."""
        async with self._database.transaction(owner=by) as tx:
            await rows.lock_module(tx, module)
            if not await rows.retire_module(tx, module):
                raise NotFound
            await record(tx, "module.retire", by=by, object_=module)
        self._cache.forget()

    async def sync_catalog(
        self, documents: Iterable[dict[str, Any]], origin: Literal["catalog", "demo"] = "catalog"
    ) -> Sequence[Saved]:
        """Load the shipped documents; what an admin changed or retired stays as it is. Raises Invalid."""
        saved = []
        for document in documents:
            parse_module(document)
            saved.append(await self._save(document, origin))
        self._cache.forget()
        return [one for one in saved if one.changed]

    async def _save(
        self, document: dict[str, Any], origin: Origin, by: UUID | None = None, *, dry_run: bool = False
    ) -> Saved:
        name = document["module"]
        digest = canonical_hash({key: value for key, value in document.items() if key != "version"})
        async with self._database.transaction(owner=by) as tx:
            await rows.lock_module(tx, name)
            head = next(iter(await rows.module_heads(tx, name)), None)
            known = {found.capability: found for found in await rows.capability_heads(tx, name)}
            if origin == "admin":
                _check_version(document, head)
            if head is not None and _stays(head, digest, origin):
                return Saved(name, head.version, changed=False, capabilities=_versions(known.values()))
            row = ModuleRow(
                module=name, version=head.version + 1 if head else 1, hash=digest, doc=document, origin=origin
            )
            changed = list(_changed(document, row.version, known))
            before = await rows.current_document(tx, head)
            broken = [one for one in broken_capabilities(before, document) if one in known and not known[one].retired]
            uses = await rows.uses_of(tx, broken) if origin == "admin" else []
            gone = known.keys() - {doc["capability"] for doc in document["capabilities"]}
            if not dry_run:
                await rows.add_module(tx, row, changed)
                await rows.retire_capabilities(tx, gone)
                if origin == "admin":
                    await record(tx, "module.change", by=by, object_=name, detail={"version": row.version})
        kept = [found for found in known.values() if not found.retired and found.capability not in gone]
        versions = _versions(kept) | {new.capability: new.version for new in changed}
        return Saved(
            name,
            row.version,
            changed=True,
            capabilities=versions,
            changes=changes(before, document) if before else (),
            affected=await self._affected(uses, known),
        )

    async def _affected(self, uses: Iterable[Use], known: dict[str, CapabilityHead]) -> Sequence[Use]:
        """The tasks that follow the current version and will not follow the next one."""
        return [
            use
            for use in uses
            if not use.named and await self._cache.for_run(use.capability, use.version) == known[use.capability].version
        ]


def saved_view(saved: Saved) -> dict[str, Any]:
    """What saving did, in the words of the contract."""
    return {
        "module": saved.module,
        "version": saved.version,
        "changed": saved.changed,
        "capabilities": saved.capabilities,
        "changes": [{"pointer": one.pointer, "kind": one.kind, "breaking": one.breaking} for one in saved.changes],
        "breaking": saved.breaking,
        "affected_tasks": [
            {"id": format_id("task", use.task_id), "capability": use.capability, "version": use.version}
            for use in saved.affected
        ],
    }


def _check_draft(document: dict[str, Any], *, draft: bool) -> None:
    """A document with open questions loads as a draft, and then offers no trigger (format, section 8)."""
    if not document.get("x-todo"):
        return
    if not draft:
        raise Invalid.at("/x-todo", "open_todo", "The document has open questions; answer them, or load it as a draft")
    for index, capability in enumerate(document["capabilities"]):
        if capability["kind"] == "trigger":
            pointer = f"/capabilities/{index}/kind"
            raise Invalid.at(pointer, "draft_trigger", "A document with open questions offers no trigger")


def _check_version(document: dict[str, Any], head: ModuleHead | None) -> None:
    stated, current = document.get("version"), head.version if head else 0
    if stated is not None and stated not in (current, current + 1):
        raise VersionConflict(f"The document says version {stated}; the current one is {current}")


def _stays(head: ModuleHead, digest: str, origin: Origin) -> bool:
    """Whether the newest row is left alone: it says the same, or it is an admin's and this is not an admin."""
    if origin != "admin" and (head.origin == "admin" or head.retired):
        return True
    return head.hash == digest and not head.retired


def _changed(
    document: dict[str, Any], module_version: int, known: dict[str, CapabilityHead]
) -> Iterable[CapabilityRow]:
    shared = {name: document[name] for name in _shared if name in document}
    for doc in document["capabilities"]:
        name, digest = doc["capability"], canonical_hash({"capability": doc, "module": shared})
        before = known.get(name)
        if before is None or before.hash != digest or before.retired:
            yield CapabilityRow(
                capability=name,
                version=before.version + 1 if before else 1,
                module=document["module"],
                module_version=module_version,
                hash=digest,
                doc=doc,
            )


def _versions(heads: Iterable[CapabilityHead]) -> dict[str, int]:
    return {head.capability: head.version for head in heads if not head.retired}


def _mentions(catalog: Catalog, name: str, words: str) -> bool:
    capability = catalog.capability(name)
    if capability is None:
        return False
    summaries = [capability_summary(catalog, name, locale) for locale in locales]
    texts = [name, *(localised(capability.module.doc.get("name"), locale) or "" for locale in locales)]
    texts += [str(part) for summary in summaries for part in (summary["name"], summary["description"]) if part]
    return all(word in " ".join(texts).casefold() for word in words.casefold().split())
